package signal

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape returns the text of a JSON string's inside that holds at least one backslash. broken reports that a
// surrogate without its partner became U+FFFD.
func unescape(inside string) (text string, broken bool) {
	var b strings.Builder
	b.Grow(len(inside))
	for {
		i := strings.IndexByte(inside, '\\')
		if i < 0 {
			b.WriteString(inside)
			return b.String(), broken
		}
		b.WriteString(inside[:i])
		inside = inside[i:]
		if inside[1] != 'u' {
			b.WriteByte(simpleEscape(inside[1]))
			inside = inside[2:]
			continue
		}
		r, n := unicodeEscape(inside)
		broken = broken || r < 0
		if r < 0 {
			r = utf8.RuneError
		}
		b.WriteRune(r)
		inside = inside[n:]
	}
}

func simpleEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

// unicodeEscape reads \uXXXX, or a pair of them, at the start of s. r is -1 for a lone surrogate.
func unicodeEscape(s string) (r rune, n int) {
	r = hex4(s[2:6])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return -1, 6
}

// hex4 reads four hexadecimal digits, -1 when they are none.
func hex4(s string) rune {
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// compact returns raw, valid JSON, without the white space between its tokens.
func compact(raw string) []byte {
	out := make([]byte, 0, len(raw))
	inString := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inString && c == '\\':
			out = append(out, c, raw[i+1])
			i++
			continue
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		out = append(out, c)
	}
	return out
}
