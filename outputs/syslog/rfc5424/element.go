package rfc5424

import "unicode/utf8"

// NilElement stands in place of the structured data when there is none.
const NilElement = "-"

// OpenElement appends "[" and id, which must be a valid SD-ID (see ValidName).
func OpenElement(dst []byte, id string) []byte { return append(append(dst, '['), id...) }

// CloseElement appends "]".
func CloseElement(dst []byte) []byte { return append(dst, ']') }

// AppendParam appends ` name="value"`. name must be valid (see ValidName, AppendName); value may be anything.
func AppendParam(dst []byte, name, value string) []byte {
	dst = OpenParam(dst, name)
	dst = AppendValue(dst, value)
	return append(dst, '"')
}

// OpenParam appends ` name="`: the caller appends the value with AppendValue or something that needs no escaping,
// and the closing quote.
func OpenParam(dst []byte, name string) []byte {
	dst = append(append(dst, ' '), name...)
	return append(dst, '=', '"')
}

// AppendValue appends s as the inside of a parameter's value (section 6.3.3).
func AppendValue(dst []byte, s string) []byte { return appendEscaped(dst, s, &valueClass) }

// AppendText appends s as MSG, or a part of it.
func AppendText(dst []byte, s string) []byte { return appendEscaped(dst, s, &textClass) }

// ValidName reports whether s can be an SD-ID or a parameter's name as it is (section 6.3.2).
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

// AppendName appends s as a name: what a name can't hold becomes "_", and it is cut to limit octets.
func AppendName(dst []byte, s string, limit int) []byte {
	for start := len(dst); len(s) > 0 && len(dst)-start < limit; {
		c, size := s[0], 1
		if c >= utf8.RuneSelf {
			_, size = utf8.DecodeRuneInString(s)
		}
		if !nameByte(c) {
			c = '_'
		}
		dst = append(dst, c)
		s = s[size:]
	}
	return dst
}

func nameByte(c byte) bool { return ' ' < c && c <= '~' && c != '=' && c != ']' && c != '"' }

// What appendEscaped does with a byte.
const (
	plain     = iota
	backslash // a backslash before it
	octal     // #ooo
	hash      // #043 where it would be read as one of those
	wide      // the start of a multi-byte character, or no UTF-8
)

var (
	textClass  = classes("")
	valueClass = classes(`"\]`)
)

func classes(escaped string) (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ' || c == 0x7f:
			t[c] = octal
		case c >= utf8.RuneSelf:
			t[c] = wide
		}
	}
	t['#'] = hash
	for i := range len(escaped) {
		t[escaped[i]] = backslash
	}
	return t
}

func appendEscaped(dst []byte, s string, class *[256]uint8) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if class[c] == plain || class[c] == hash && !isOctal(s[i:]) {
			i++
			continue
		}
		size := 1
		if class[c] == wide {
			if size = wideSize(s[i:]); size > 0 {
				i += size
				continue
			}
			size = -size
		}
		dst = append(dst, s[start:i]...)
		if class[c] == backslash {
			dst = append(dst, '\\', c)
		} else {
			dst = AppendOctal(dst, s[i:i+size])
		}
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}

// isOctal reports whether s begins with what stands for a byte.
func isOctal(s string) bool {
	return len(s) >= 4 && s[0] == '#' && '0' <= s[1] && s[1] <= '3' && '0' <= s[2] && s[2] <= '7' && '0' <= s[3] && s[3] <= '7'
}

// wideSize returns the length of the character at the start of s, negative when it must be written in octal: C1 controls,
// line and paragraph separator, and single bytes that are no UTF-8.
func wideSize(s string) int {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 || r < 0xa0 || r == '\u2028' || r == '\u2029' {
		return -size
	}
	return size
}

// AppendOctal appends every byte of s as "#" and three octal digits.
func AppendOctal(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, '#', '0'+s[i]>>6, '0'+s[i]>>3&7, '0'+s[i]&7)
	}
	return dst
}
