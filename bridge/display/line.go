// Package display writes what people read: text from outside on one line, numbers, times and sizes.
package display

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes any text safe to show on one line of a terminal or log: control characters (C0, DEL, C1), broken UTF-8,
// line breaks and characters that reorder or hide text (bidirectional controls, zero width) become visible escapes
// such as \x1b, \n or \u202e. What follows an escape character stays, as plain text: nothing that was sent is hidden.
func Line(text string) string { return clean(text, false) }

// Error is an error's text on one line: errors that were joined have one each.
func Error(err error) string { return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") }

// Lines is Line for a text of several lines: newlines and tabs stay.
func Lines(text string) string { return clean(text, true) }

// Excerpt is the beginning of a text on one line, in at most limit bytes with the mark of what is left out. Blanks and line
// breaks become one space.
func Excerpt(text string, limit int) string {
	const mark = "..."
	text = Line(strings.Join(strings.Fields(text), " "))
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:max(0, limit-len(mark))], "") + mark
}

func clean(text string, lines bool) string {
	if isClean(text, lines) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[0])|0x100, 16)[1:])
		case shown(r, lines):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

func isClean(text string, lines bool) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !shown(r, lines) {
			return false
		}
	}
	return true
}

// shown reports whether r has a glyph of its own and moves nothing else. unicode.IsPrint excludes the categories Cc
// (controls), Cf (format: bidirectional, zero width, tags), Zl and Zp (line separators), Co and Cn.
func shown(r rune, lines bool) bool {
	if lines && (r == '\n' || r == '\t') {
		return true
	}
	return unicode.IsPrint(r)
}
