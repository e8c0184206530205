package secret

import (
	"strings"
	"unicode/utf8"
)

// Oddity says, without showing anything of it, what about a secret looks like an accident of copying or of an editor, so that it can
// hardly be what the other side has; "": nothing does.
func (v Value) Oddity() string {
	text := v.Reveal()
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"), strings.Contains(text, "\x00"):
		return "is written as UTF-16: save it as plain text"
	case strings.HasPrefix(text, "\ufeff"):
		return "begins with a byte order mark: save it without one"
	case strings.ContainsAny(trimmed, "\r\n"):
		return "has several lines"
	case strings.ContainsAny(text, "\r\n"):
		return "has an empty line before or behind it"
	case trimmed != text:
		return "has blanks around it"
	case len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0]:
		return "stands in quotes"
	case strings.HasPrefix(strings.ToLower(text), "sha256="):
		return `begins with "sha256=", as a signature does`
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	}
	return ""
}
