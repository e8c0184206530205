package signal

import (
	"strconv"
	"strings"
)

// maxDepth is encoding/json's limit of nesting, so that both refuse the same bodies.
const maxDepth = 10000

// usualDepth is how deep a value may be nested that is passed on as JSON: parsers of other makes have limits from some 100 levels on, and
// the record adds one or two of its own.
const usualDepth = 64

// scanner walks over JSON text. Its methods return false at the first syntax error and leave pos anywhere then.
type scanner struct {
	text string
	pos  int
	// spaced is set when white space between tokens was passed, huge when a number was that no float64 can hold, deep when a value was
	// nested deeper than usualDepth.
	spaced, huge, deep bool
}

// kind is the type of a JSON value.
type kind uint8

const (
	missing kind = iota
	null
	boolean
	number
	text
	array
	object
)

// value is where one JSON value lies in the text.
type value struct {
	start, end int
	kind       kind
	escaped    bool // a string with at least one backslash
	spaced     bool // there is white space between the tokens within
	huge       bool // there is a number within that no float64 can hold
	deep       bool // something within is nested deeper than usualDepth
}

// stringByte tells the bytes that end the plain run of a JSON string: the quote, the backslash and control characters.
var stringByte = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

func (p *scanner) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
			p.spaced = true
		default:
			return
		}
	}
}

// take passes c after optional white space.
func (p *scanner) take(c byte) bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// value passes one JSON value that begins at pos.
func (p *scanner) value(depth int) (v value, ok bool) {
	if p.pos >= len(p.text) {
		return v, false
	}
	spaced, huge, deep := p.spaced, p.huge, p.deep
	p.spaced, p.huge, p.deep = false, false, depth > usualDepth
	v.start = p.pos
	switch c := p.text[p.pos]; c {
	case '"':
		v.kind = text
		v.escaped, ok = p.str()
	case '{':
		v.kind = object
		ok = p.object(depth+1, nil)
	case '[':
		v.kind = array
		ok = p.array(depth + 1)
	case 't':
		v.kind, ok = boolean, p.word("true")
	case 'f':
		v.kind, ok = boolean, p.word("false")
	case 'n':
		v.kind, ok = null, p.word("null")
	default:
		v.kind, ok = number, p.number()
	}
	v.end, v.spaced, v.huge, v.deep = p.pos, p.spaced, p.huge, p.deep
	p.spaced, p.huge, p.deep = p.spaced || spaced, p.huge || huge, p.deep || deep
	return v, ok
}

// object passes an object; each, when not nil, is told every member and may itself pass the value.
func (p *scanner) object(depth int, each func(name value) bool) bool {
	if depth > maxDepth || !p.take('{') {
		return false
	}
	if p.take('}') {
		return true
	}
	for {
		p.space()
		name := value{start: p.pos, kind: text}
		var ok bool
		if name.escaped, ok = p.str(); !ok {
			return false
		}
		name.end = p.pos
		if !p.take(':') {
			return false
		}
		p.space()
		if each != nil {
			ok = each(name)
		} else {
			_, ok = p.value(depth)
		}
		if !ok {
			return false
		}
		if p.take('}') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

func (p *scanner) array(depth int) bool {
	if depth > maxDepth || !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		p.space()
		if _, ok := p.value(depth); !ok {
			return false
		}
		if p.take(']') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// str passes a string, quotes included.
func (p *scanner) str() (escaped, ok bool) {
	if p.pos >= len(p.text) || p.text[p.pos] != '"' {
		return false, false
	}
	for i := p.pos + 1; i < len(p.text); {
		c := p.text[i]
		switch {
		case !stringByte[c]:
			i++
		case c == '"':
			p.pos = i + 1
			return escaped, true
		case c == '\\':
			escaped = true
			n := escapeLen(p.text[i:])
			if n == 0 {
				return escaped, false
			}
			i += n
		default:
			return escaped, false
		}
	}
	return escaped, false
}

// escapeLen returns the length of the escape sequence at the start of s, 0 when it is none.
func escapeLen(s string) int {
	if len(s) < 2 {
		return 0
	}
	if s[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, s[1]) < 0 {
			return 0
		}
		return 2
	}
	if len(s) < 6 || hex4(s[2:6]) < 0 {
		return 0
	}
	return 6
}

func (p *scanner) word(w string) bool {
	if !strings.HasPrefix(p.text[p.pos:], w) {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *scanner) number() bool {
	start := p.pos
	if !p.numberSyntax() {
		return false
	}
	if p.pos-start > 300 || strings.ContainsAny(p.text[start:p.pos], "eE") {
		_, err := strconv.ParseFloat(p.text[start:p.pos], 64)
		p.huge = p.huge || err != nil
	}
	return true
}

func (p *scanner) numberSyntax() bool {
	if p.pos < len(p.text) && p.text[p.pos] == '-' {
		p.pos++
	}
	if p.pos < len(p.text) && p.text[p.pos] == '0' {
		p.pos++
	} else if !p.digits() {
		return false
	}
	if p.pos < len(p.text) && p.text[p.pos] == '.' {
		p.pos++
		if !p.digits() {
			return false
		}
	}
	if p.pos < len(p.text) && p.text[p.pos]|0x20 == 'e' {
		p.pos++
		if p.pos < len(p.text) && (p.text[p.pos] == '+' || p.text[p.pos] == '-') {
			p.pos++
		}
		return p.digits()
	}
	return true
}

func (p *scanner) digits() bool {
	start := p.pos
	for p.pos < len(p.text) && '0' <= p.text[p.pos] && p.text[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}
