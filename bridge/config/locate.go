package config

import (
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// position is a place in a file, both numbers from 1; the column counts characters, as editors show it.
type position struct {
	file         string
	line, column int
}

// locations maps every key and every list element of one TOML file to its place.
type locations map[string]position

// find returns the place of p or, for a key that the file does not have, of the nearest table around it. The zero
// position means that not even that is there.
func (l locations) find(p keyPath) position {
	for ; len(p) > 0; p = p[:len(p)-1] {
		if at, ok := l[p.String()]; ok {
			return at
		}
	}
	return position{}
}

// locate finds the places of all keys of src, which must be TOML that the parser has accepted: the parser tells no
// positions, so the scanner here repeats as much of the grammar as tells keys from values and nothing else. On other
// text the result is unspecified; it never fails.
func locate(src, file string) locations {
	src = strings.TrimPrefix(src, "\ufeff")
	s := &scanner{src: src, file: file, found: locations{}, tables: map[string]int{}}
	var table keyPath
	for s.skipBlank(); s.pos < len(s.src); s.skipBlank() {
		before := s.pos
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.keyValue(table)
		}
		if s.pos == before {
			s.pos++
		}
	}
	return s.found
}

// scanner walks over TOML text.
type scanner struct {
	src    string
	file   string // its name
	pos    int
	found  locations
	tables map[string]int // how many elements an array of tables has so far
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// accept skips c when it comes next.
func (s *scanner) accept(c byte) bool {
	if s.pos < len(s.src) && s.src[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// skipSpace skips blanks on the line.
func (s *scanner) skipSpace() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// skipBlank skips blanks, line ends and comments.
func (s *scanner) skipBlank() {
	for {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '#':
			s.skipTo("\n")
		default:
			return
		}
	}
}

// skipTo skips to the next of the bytes in stop, or to the end.
func (s *scanner) skipTo(stop string) {
	if i := strings.IndexAny(s.src[s.pos:], stop); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.src)
}

// note records where p is, unless a place is known already.
func (s *scanner) note(p keyPath, offset int) {
	if _, known := s.found[p.String()]; !known {
		at := placeOf(s.src, offset)
		at.file = s.file
		s.found[p.String()] = at
	}
}

// placeOf turns a byte offset into a position.
func placeOf(src string, offset int) position {
	before := src[:min(offset, len(src))]
	start := strings.LastIndexByte(before, '\n') + 1
	return position{line: strings.Count(before, "\n") + 1, column: utf8.RuneCountInString(before[start:]) + 1}
}

// segment is one part of a dotted key.
type segment struct {
	name   string
	offset int
}

// header reads [a.b] or [[a.b]] and returns the table that the lines after it belong to.
func (s *scanner) header() keyPath {
	s.accept('[')
	isArray := s.accept('[')
	var table keyPath
	segments := s.key()
	for i, seg := range segments {
		table = table.key(seg.name)
		last := i == len(segments)-1
		if last && !isArray {
			delete(s.found, table.String()) // its own header says better where it is than a table inside it
		}
		s.note(table, seg.offset)
		if last && isArray {
			s.tables[table.String()]++
		}
		if n := s.tables[table.String()]; n > 0 {
			table = table.index(n - 1)
			s.note(table, seg.offset)
		}
	}
	s.accept(']')
	if isArray {
		s.accept(']')
	}
	return table
}

// key reads a dotted key.
func (s *scanner) key() []segment {
	var segments []segment
	for {
		s.skipSpace()
		seg := segment{offset: s.pos}
		switch s.peek() {
		case '"', '\'':
			seg.name = s.quoted()
		default:
			for s.pos < len(s.src) && isBare(rune(s.src[s.pos])) {
				s.pos++
			}
			seg.name = s.src[seg.offset:s.pos]
		}
		segments = append(segments, seg)
		s.skipSpace()
		if !s.accept('.') {
			return segments
		}
	}
}

// quoted reads a quoted key. The parser itself is asked what its escapes mean.
func (s *scanner) quoted() string {
	start := s.pos
	s.str()
	literal := s.src[start:s.pos]
	var holder struct{ K string }
	if _, err := toml.Decode("K = "+literal, &holder); err != nil {
		return strings.Trim(literal, `"'`)
	}
	return holder.K
}

// keyValue reads "key = value" within table.
func (s *scanner) keyValue(table keyPath) {
	for _, seg := range s.key() {
		table = table.key(seg.name)
		s.note(table, seg.offset)
	}
	if s.accept('=') {
		s.skipSpace()
		s.value(table)
	}
}

// value reads the value of p.
func (s *scanner) value(p keyPath) {
	switch s.peek() {
	case '"', '\'':
		s.str()
	case '[':
		s.pos++
		s.list(']', func(i int) {
			s.note(p.index(i), s.pos)
			s.value(p.index(i))
		})
	case '{':
		s.pos++
		s.list('}', func(int) { s.keyValue(p) })
	default:
		s.skipTo(",]}#\r\n")
	}
}

// list reads what stands between brackets, with commas between; element reads one.
func (s *scanner) list(end byte, element func(i int)) {
	for i := 0; s.pos < len(s.src); i++ {
		s.skipBlank()
		if s.accept(end) {
			return
		}
		before := s.pos
		element(i)
		s.skipBlank()
		if !s.accept(',') && s.pos == before {
			s.pos++
		}
	}
}

// str reads a string of any of the four kinds.
func (s *scanner) str() {
	quote := s.src[s.pos : s.pos+1]
	escapes := quote == `"`
	if long := strings.Repeat(quote, 3); strings.HasPrefix(s.src[s.pos:], long) {
		s.pos += 3
		s.strEnd(long, escapes)
		for s.accept(quote[0]) { // up to two quotes may stand right before the closing three
		}
		return
	}
	s.pos++
	s.strEnd(quote, escapes)
}

// strEnd skips past the closing quotes.
func (s *scanner) strEnd(closing string, escapes bool) {
	for s.pos < len(s.src) {
		switch {
		case strings.HasPrefix(s.src[s.pos:], closing):
			s.pos += len(closing)
			return
		case escapes && s.src[s.pos] == '\\':
			s.pos++
		}
		s.pos++
	}
	s.pos = min(s.pos, len(s.src))
}
