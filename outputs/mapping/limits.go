package mapping

import (
	"math"
	"unicode/utf8"
)

// cutMark ends a value that was cut. It is plain in every format.
const cutMark = "..."

// limits says what of a record is left out to make it fit. Sizes are in encoded octets.
type limits struct {
	description int
	field       int // unknown fields whose JSON is longer are left out
	value       int // of texts that are no ID
	id          int
	cut         string // what bridge_cut says; empty: nothing is cut
}

const unlimited = math.MaxInt

var whole = limits{description: unlimited, field: unlimited, value: unlimited, id: unlimited}

// of returns the limit of c's text.
func (l *limits) of(c *column) int {
	switch {
	case c.name == description:
		return l.description
	case c.id:
		return l.id
	default:
		return l.value
	}
}

// escaper appends text as a format wants it. It treats every character by itself.
type escaper func(dst []byte, text string) []byte

// append appends text, or when that takes more than limit octets as much of it as fits, whole characters, and cutMark.
func (l *limits) append(dst []byte, text string, limit int, escape escaper) []byte {
	if limit == unlimited {
		return escape(dst, text)
	}
	start := len(dst)
	for rest := text; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		end := len(dst)
		if dst = escape(dst, rest[:size]); len(dst)-start > limit {
			return append(dst[:end], cutMark...)
		}
		rest = rest[size:]
	}
	return dst
}
