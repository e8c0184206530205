package mapping

import (
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// encode3164 appends "<PRI>Mmm dd hh:mm:ss HOST TAG: " and the message. RFC 3164 has no place for structured data: with
// text the same element stands before it, where no text can forge it. CEF and LEEF begin where TAG would stand, as
// their receivers want it.
func (s *Syslog) encode3164(dst []byte, rec *outputs.Record, lim *limits) []byte {
	dst = rfc5424.AppendPriority(dst, s.facility, severity(rec))
	dst = eventTime(rec).In(s.location).AppendFormat(dst, "Jan _2 15:04:05 ")
	if !s.noHost {
		dst = append(appendHost3164(dst, lim.host(rec.Signal.ServerName)), ' ')
	}
	switch s.message {
	case MessageCEF, MessageLEEF:
		return s.appendMessage(dst, rec, lim)
	}
	dst = append(append(dst, s.tag...), ':', ' ')
	if s.message == MessageText {
		dst = append(s.appendElement(dst, rec, lim), ' ')
	}
	return s.appendMessage(dst, rec, lim)
}

// appendHost3164 appends a host name as rsyslog recognises one: letters, digits, dots, underscores and hyphens, ending in
// a letter or digit. Anything else it would take for the TAG.
func appendHost3164(dst []byte, name string) []byte {
	start := len(dst)
	dst = rfc5424.AppendHeaderField(dst, name, rfc5424.MaxHostname)
	for i := start; i < len(dst); i++ {
		if c := dst[i]; !wordByte(c) && c != '.' && c != '-' {
			dst[i] = '-'
		}
	}
	for len(dst) > start && (dst[len(dst)-1] == '.' || dst[len(dst)-1] == '-' || dst[len(dst)-1] == '_') {
		dst = dst[:len(dst)-1]
	}
	if len(dst) == start {
		return append(dst, unknownHost...)
	}
	return dst
}
