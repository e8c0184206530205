package config

import (
	"strconv"
	"strings"
)

// keyPath names one place in a TOML file: keys and list indexes from the top, each written as in a dotted key. A
// quoted key stays quoted, so that its string is unique and safe to print on a terminal.
type keyPath []string

// path makes a keyPath from keys in clear.
func path(keys ...string) keyPath { return keyPath(nil).key(keys...) }

// key returns p with keys added.
func (p keyPath) key(keys ...string) keyPath {
	longer := make(keyPath, len(p), len(p)+len(keys))
	copy(longer, p)
	for _, k := range keys {
		longer = append(longer, quoteKey(k))
	}
	return longer
}

// index returns p with the index of a list's element added.
func (p keyPath) index(i int) keyPath {
	longer := make(keyPath, len(p), len(p)+1)
	copy(longer, p)
	return append(longer, "["+strconv.Itoa(i)+"]")
}

// String returns p as a dotted key, with indexes in brackets: output.siem.addresses[1].
func (p keyPath) String() string {
	var b strings.Builder
	for i, segment := range p {
		if i > 0 && segment[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(segment)
	}
	return b.String()
}

// quoteKey writes a key as TOML wants it: bare where that is allowed.
func quoteKey(key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return !isBare(r) }) {
		return strconv.QuoteToGraphic(key)
	}
	return key
}

// isBare reports whether r may stand in a key without quotes.
func isBare(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// relative reads a key as an output names it, such as "addresses[1]" or "match.header", and adds it to p.
func (p keyPath) relative(dotted string) keyPath {
	for part := range strings.SplitSeq(dotted, ".") {
		name, indexes, _ := strings.Cut(part, "[")
		if name != "" {
			p = p.key(name)
		}
		for digits := range strings.SplitSeq(strings.ReplaceAll(indexes, "]", ""), "[") {
			if i, err := strconv.Atoi(digits); err == nil {
				p = p.index(i)
			}
		}
	}
	return p
}
