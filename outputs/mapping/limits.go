package mapping

import (
	"math"
	"unicode/utf8"
)

// cutMark ends a value that was cut. It is plain in every format.
const cutMark = "..."

// limits says what of a record is left out to make it fit. Sizes are in encoded octets.
type limits struct {
	description int // in MSG
	element     int // of the description's copy in the structured data
	field       int // unknown fields whose JSON is so long or longer are left out,
	same        int // but for the first so many of just that length
	value       int // of texts that are no ID; noValues leaves those fields out
	id          int
	cut         string // what bridge_cut says; empty: nothing is cut
}

const (
	unlimited = math.MaxInt
	noValues  = -1
)

var whole = limits{description: unlimited, element: unlimited, field: unlimited, value: unlimited, id: unlimited}

// drops reports whether c is left out altogether.
func (l *limits) drops(c *column) bool {
	return l.value == noValues && c.number == nil && !c.id && c.name != description
}

// host returns the name for a header: in full as far as the header can hold it, or little of it when nothing else helps.
func (l *limits) host(name string) string {
	const little = 64
	if l.value == noValues && len(name) > little {
		return name[:little]
	}
	return name
}

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

// inElement is of for the structured data.
func (l *limits) inElement(c *column) int {
	if c.name == description {
		return l.element
	}
	return l.of(c)
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
