package splunk

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fields are an event's; a field can have several values, and one that is missing is null.
type fields map[string][]string

// evaluate computes an eval expression of what the add-on uses: "text", field, 'odd field', f(x, ...) and x.y for
// concatenation.
func evaluate(text string, f fields) (value []string, err error) {
	p := &parser{rest: text, fields: f}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("eval %s: %v", text, r)
		}
	}()
	value = p.concatenation()
	if p.space(); p.rest != "" {
		panic("left over: " + p.rest)
	}
	return value, nil
}

type parser struct {
	rest   string
	fields fields
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *parser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parser) concatenation() []string {
	value := p.term()
	for p.take(".") {
		next := p.term()
		if value == nil || next == nil {
			value = nil
			continue
		}
		value = []string{value[0] + next[0]}
	}
	return value
}

var word = regexp.MustCompile(`^[A-Za-z_]\w*`)

func (p *parser) term() []string {
	switch {
	case p.take(`"`):
		return []string{p.quoted()}
	case p.take(`'`):
		name, rest, found := strings.Cut(p.rest, `'`)
		if !found {
			panic("no closing quote")
		}
		p.rest = rest
		return p.fields[name]
	}
	name := word.FindString(p.rest)
	if name == "" {
		panic("neither text, field nor function: " + p.rest)
	}
	p.rest = p.rest[len(name):]
	if !p.take("(") {
		return p.fields[name]
	}
	var args [][]string
	for !p.take(")") {
		args = append(args, p.concatenation())
		p.take(",")
	}
	return call(name, args)
}

// quoted reads to the closing quote: a backslash escapes itself and a quote, and stands for itself before anything else.
func (p *parser) quoted() string {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == '\\' || p.rest[i+1] == '"') {
			i++
			b.WriteByte(p.rest[i])
			continue
		}
		if c == '"' {
			p.rest = p.rest[i+1:]
			return b.String()
		}
		b.WriteByte(c)
	}
	panic("no closing quote")
}

func call(name string, args [][]string) []string {
	switch {
	case name == "coalesce" && len(args) > 0:
		for _, a := range args {
			if a != nil {
				return a
			}
		}
		return nil
	case name == "mvdedup" && len(args) == 1:
		var once []string
		for _, v := range args[0] {
			if !slices.Contains(once, v) {
				once = append(once, v)
			}
		}
		return once
	case name == "replace" && len(args) == 3:
		if args[0] == nil {
			return nil
		}
		return []string{regexp.MustCompile(args[1][0]).ReplaceAllString(args[0][0], strings.ReplaceAll(args[2][0], `\1`, `${1}`))}
	}
	panic(fmt.Sprintf("%s with %d arguments is not known here", name, len(args)))
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	f := fields{"a": {"1"}, "data.b": {`x\"y\\z\]`}, "many": {"1", "1", "2"}}
	for text, want := range map[string][]string{
		`"a \"b\" \\ \1"`: {`a "b" \ \1`}, `coalesce(none, 'data.b')`: {`x\"y\\z\]`}, `none`: nil, `a.":".a`: {"1:1"}, `a.none`: nil,
		`replace('data.b', "\\\\([\"\\\\\\]])", "\1")`: {`x"y\z]`}, `mvdedup(many)`: {"1", "2"},
	} {
		if got, err := evaluate(text, f); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"a`, `f(x)`, `a b`, `coalesce()`, `'a`, ``} {
		if got, err := evaluate(text, f); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}
