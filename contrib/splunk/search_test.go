package splunk

import (
	"slices"
	"strings"
	"testing"
)

// matches evaluates a search of field="value", OR, NOT, parentheses and AND by juxtaposition.
func matches(t testing.TB, search string, f fields) bool {
	t.Helper()
	s := &searcher{t: t, parser: parser{rest: search, fields: f}}
	found := s.or()
	if s.space(); s.rest != "" {
		t.Fatalf("search %s: left over %q", search, s.rest)
	}
	return found
}

type searcher struct {
	parser

	t testing.TB
}

func (s *searcher) or() bool {
	found := s.and()
	for s.take("OR ") {
		found = s.and() || found
	}
	return found
}

func (s *searcher) and() bool {
	found := s.not()
	for s.space(); s.rest != "" && s.rest[0] != ')' && !strings.HasPrefix(s.rest, "OR "); s.space() {
		found = s.not() && found
	}
	return found
}

func (s *searcher) not() bool {
	if s.take("NOT ") {
		return !s.not()
	}
	if s.take("(") {
		found := s.or()
		if !s.take(")") {
			s.t.Fatalf("no closing parenthesis before %q", s.rest)
		}
		return found
	}
	s.space()
	name := word.FindString(s.rest)
	s.rest = s.rest[len(name):]
	if name == "" || !s.take(`="`) {
		s.t.Fatalf(`neither field="value" nor an operator: %q`, s.rest)
	}
	want := s.quoted()
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return slices.ContainsFunc(s.fields[name], func(v string) bool { return strings.HasPrefix(v, prefix) })
	}
	return slices.Contains(s.fields[name], want)
}

func TestMatches(t *testing.T) {
	t.Parallel()
	f := fields{"a": {"1"}, "b": {"x", "y"}}
	for search, want := range map[string]bool{
		`a="1"`: true, `a="2"`: false, `a="2" OR b="y"`: true, `NOT a="1"`: false, `(a="1" OR a="2") NOT b="x"`: false,
		`(a="1" OR a="2") NOT b="z"`: true, `a="1*"`: true, `b="z*"`: false, `a="1" b="z"`: false,
	} {
		if got := matches(t, search, f); got != want {
			t.Errorf("%s: %v", search, got)
		}
	}
}
