package mapping_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// The parsers of this file are written from the specifications and know nothing of the encoders. Each refuses what its
// specification refuses, and a name that comes twice.

// pairs are parsed fields in order.
type pairs []pair

type pair struct{ name, value string }

func (p *pairs) add(name, value string) error {
	for _, q := range *p {
		if q.name == name {
			return fmt.Errorf("%q comes twice", name)
		}
	}
	*p = append(*p, pair{name, value})
	return nil
}

func (p pairs) get(name string) (string, bool) {
	for _, q := range p {
		if q.name == name {
			return q.value, true
		}
	}
	return "", false
}

// syslogLine is a parsed RFC 5424 message.
type syslogLine struct {
	pri                                      int
	timestamp, host, app, procid, msgid, msg string
	elements                                 map[string]pairs
}

var header5424 = regexp.MustCompile(`^<(0|[1-9][0-9]{0,2})>1 (-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})) ` +
	`([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) `)

func parse5424(line string) (*syslogLine, error) {
	m := header5424.FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("no header: %.100q", line)
	}
	s := &syslogLine{timestamp: m[2], host: m[3], app: m[4], procid: m[5], msgid: m[6], elements: map[string]pairs{}}
	if _, err := fmt.Sscan(m[1], &s.pri); err != nil || s.pri > 191 {
		return nil, fmt.Errorf("PRI %s", m[1])
	}
	rest, nothing := strings.CutPrefix(line[len(m[0]):], "-") // NILVALUE
	if !nothing {
		var err error
		if rest, err = s.parseElements(rest); err != nil {
			return nil, err
		}
	}
	if rest != "" {
		if rest[0] != ' ' {
			return nil, fmt.Errorf("after the structured data: %.50q", rest)
		}
		s.msg = rest[1:]
	}
	return s, nil
}

var (
	sdOpen  = regexp.MustCompile(`^\[([!#-<>-\\^-~]{1,32})`)
	sdParam = regexp.MustCompile(`^ ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\.)*)"`)
)

func (s *syslogLine) parseElements(rest string) (string, error) {
	for strings.HasPrefix(rest, "[") {
		m := sdOpen.FindStringSubmatch(rest)
		if m == nil || s.elements[m[1]] != nil {
			return "", fmt.Errorf("no SD-ID, or twice: %.50q", rest)
		}
		rest = rest[len(m[0]):]
		params := pairs{}
		for p := sdParam.FindStringSubmatch(rest); p != nil; p = sdParam.FindStringSubmatch(rest) {
			if err := params.add(p[1], unbackslash(p[2], `"\]`)); err != nil {
				return "", err
			}
			rest = rest[len(p[0]):]
		}
		if !strings.HasPrefix(rest, "]") {
			return "", fmt.Errorf("no end of %s: %.50q", m[1], rest)
		}
		rest = rest[1:]
		s.elements[m[1]] = params
	}
	return rest, nil
}

// unbackslash removes the backslash before every character of special; before another it stays.
func unbackslash(s, special string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(special, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

var wordKey = regexp.MustCompile(`^\w+$`)

// parseCEF reads the seven header fields and the extension. A key is a run of letters, digits and underscores before an
// unescaped "=", after a space or at the start.
func parseCEF(msg string) (header []string, ext pairs, err error) {
	rest, ok := strings.CutPrefix(msg, "CEF:0|")
	if !ok {
		return nil, nil, fmt.Errorf("no CEF: %.50q", msg)
	}
	for len(header) < 6 {
		i := unescapedIndex(rest, '|')
		if i < 0 {
			return nil, nil, fmt.Errorf("%d header fields", len(header))
		}
		header = append(header, unbackslash(rest[:i], `\|`))
		rest = rest[i+1:]
	}
	for rest != "" {
		eq := unescapedIndex(rest, '=')
		if eq < 1 || !wordKey.MatchString(rest[:eq]) {
			return nil, nil, fmt.Errorf("no key: %.50q", rest)
		}
		key := rest[:eq]
		value := rest[eq+1:]
		rest = ""
		if next := unescapedIndex(value, '='); next >= 0 {
			space := strings.LastIndexByte(value[:next], ' ')
			if space < 0 {
				return nil, nil, fmt.Errorf("an unescaped = in the value of %s", key)
			}
			value, rest = value[:space], value[space+1:]
		}
		if err := ext.add(key, cefValue(value)); err != nil {
			return nil, nil, err
		}
	}
	return header, ext, nil
}

// cefValue undoes the escapes of an extension's value: \\, \=, \n and \r.
func cefValue(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\=`, `=`, `\n`, "\n", `\r`, "\r").Replace(s)
}

// unescapedIndex finds c outside of backslash pairs.
func unescapedIndex(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case c:
			return i
		}
	}
	return -1
}

// parseLEEF reads LEEF 2.0 with its delimiter.
func parseLEEF(msg string) (header []string, attrs pairs, err error) {
	parts := strings.SplitN(msg, "|", 7)
	if len(parts) != 7 || parts[0] != "LEEF:2.0" || len(parts[5]) != 1 {
		return nil, nil, fmt.Errorf("no LEEF 2.0: %.80q", msg)
	}
	for attr := range strings.SplitSeq(parts[6], parts[5]) {
		key, value, ok := strings.Cut(attr, "=")
		if !ok || !wordKey.MatchString(key) {
			return nil, nil, fmt.Errorf("no key in %.50q", attr)
		}
		if err := attrs.add(key, value); err != nil {
			return nil, nil, err
		}
	}
	return parts[1:6], attrs, nil
}

var header3164 = regexp.MustCompile(`^<([0-9]{1,3})>([A-Z][a-z]{2} [ 123][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}) ([A-Za-z0-9._-]*[A-Za-z0-9]) (.*)$`)

// parseObject reads a JSON object's members in order, values as their JSON text, and refuses a name that comes twice.
func parseObject(text string) (pairs, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("no object: %w", err)
	}
	var members pairs
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if err := members.add(name.(string), string(value)); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil || d.InputOffset() != int64(len(text)) {
		return nil, fmt.Errorf("text after the object, or no end: %w", err)
	}
	return members, nil
}

// TestParsersRefuse: an oracle that accepts everything is none.
func TestParsersRefuse(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		``, `<192>1 - - - - - - m`, `<1>1 - - - - - [a b="c] m`, `<1>1 - - - - - [a b="c"d="e"] m`, `<1>1 - - - - - [a][a] m`,
		`<1>1 - - - - - [a b="1" b="2"] m`, `<1>1 2026-03-02T14:32:01.1234567Z - - - - - m`, `<1>1 - - - - - [a b="]"] m`, `<01>1 - - - - - - m`,
	} {
		if _, err := parse5424(line); err == nil && !strings.HasSuffix(line, "- m") {
			t.Errorf("accepted %q", line)
		}
	}
	for _, msg := range []string{`CEF:0|a|b`, `CEF:0|a|b|c|d|e|f|x`, `CEF:0|a|b|c|d|e|f|x=1 x=2`, `CEF:0|a|b|c|d|e|f|x=a=b`} {
		if _, _, err := parseCEF(msg); err == nil {
			t.Errorf("accepted %q", msg)
		}
	}
	for _, msg := range []string{`LEEF:2.0|a|b|c|d|^|x`, `LEEF:2.0|a|b|c|d|^|x=1^x=2`, `LEEF:1.0|a|b|c|d|^|x=1`} {
		if _, _, err := parseLEEF(msg); err == nil {
			t.Errorf("accepted %q", msg)
		}
	}
	for _, text := range []string{`{"a":1,"a":2}`, `{"a":1}x`, `[]`, `{"a":1`} {
		if _, err := parseObject(text); err == nil {
			t.Errorf("accepted %q", text)
		}
	}
}
