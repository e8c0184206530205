// Package rfc5424 encodes syslog messages after RFC 5424 into bytes, and nothing else: no transport, no knowledge of
// signals, no allocation (every function appends to the slice that it is given).
//
//	<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD-ID name="value" ...][...] MSG
//	|---------------- AppendHeader ---------------| |--- OpenElement, -----------| AppendText
//	                                                   AppendParam, CloseElement
//
// No value can leave its place. In the header, where the RFC has no escaping, what is no PRINTUSASCII becomes "_". In
// parameter values `"`, `\` and `]` get a backslash. In values and text every control character (C0, DEL, C1, and the
// separators U+2028 and U+2029) and every byte that is not valid UTF-8 is written as "#" and three octal digits a byte,
// as rsyslog does with what it receives: a line feed is "#012". So no value starts a second record on a transport framed
// by line feeds, and the result is valid UTF-8 whatever came in. A "#" that was in the text is left alone unless it would
// be read as one of these: "#012" that somebody typed is written "#043012". So "#" and three octal digits (000 to 377) are
// always one byte, and nobody can type what looks like a line feed.
package rfc5424
