package config

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// syntaxProblem says what keeps src from being TOML, and the remedy. It repeats nothing of the text, which may be a secret that somebody typed
// without quotes; that is why the parser's own words, which quote what it found, are only looked at.
func syntaxProblem(src string, err error) Problem {
	if p, bad := encodingProblem(src); bad {
		return p
	}
	p := Problem{Severity: Error, Text: "this is not TOML", Hint: "a line is a [table], or key = value with text in quotes; see https://toml.io", cause: true}
	parsed := toml.ParseError{}
	if !errors.As(err, &parsed) {
		return p
	}
	if before := lineOf(src, parsed.Position.Line-1); strings.Contains(parsed.Message, "table name") && !strings.Contains(lineOf(src, parsed.Position.Line), "[") {
		parsed.Position.Line, parsed.Position.Col = parsed.Position.Line-1, len(before)+1 // the parser read on into the next line
	}
	p.Line, p.Column = parsed.Position.Line, columnOf(src, parsed.Position)
	if text, hint := mistake(src, parsed); text != "" {
		p.Text, p.Hint = text, hint
	}
	return p
}

// encodingProblem looks for what an editor of another system has made of the file.
func encodingProblem(src string) (Problem, bool) {
	p := Problem{Severity: Error, Line: 1, Column: 1, cause: true}
	switch broken := bytes.IndexFunc([]byte(src), func(r rune) bool { return r == utf8.RuneError }); {
	case strings.HasPrefix(src, "\xff\xfe"), strings.HasPrefix(src, "\xfe\xff"), strings.Contains(src, "\x00"):
		p.Text, p.Hint = "the file is written as UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"
	case broken >= 0 && !utf8.ValidString(src):
		at := placeOf(src, firstInvalid(src))
		p.Line, p.Column = at.line, at.column
		p.Text, p.Hint = "this character is not UTF-8", "save the file as UTF-8: iconv -f ISO-8859-1 -t UTF-8"
	case strings.Contains(strings.ReplaceAll(src, "\r\n", ""), "\r"):
		p.Text, p.Hint = "lines end with CR alone, as on old systems", `save the file with LF: tr '\r' '\n'`
	default:
		return p, false
	}
	return p, true
}

// firstInvalid is the offset of the first byte that belongs to no character.
func firstInvalid(src string) int {
	for i, r := range src {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(src[i:]); size == 1 {
				return i
			}
		}
	}
	return len(src)
}

// mistake is what a person has most likely done, and what to do instead.
func mistake(src string, found toml.ParseError) (text, hint string) {
	line := lineOf(src, found.Position.Line)
	said := found.Message
	switch {
	case strings.Contains(said, "already"):
		return alreadyThere(src, found)
	case strings.ContainsAny(line, "“”„‟‘’‚«»"):
		return "these are typographic quotes", `use straight ones: "..."`
	case strings.ContainsFunc(line, func(r rune) bool { return r != ' ' && r != '\t' && (unicode.IsSpace(r) || r == '\u200b') }):
		return "there is a special blank here, as copied from a web page", "type it anew"
	case strings.Contains(said, "escape"), strings.Contains(said, "hexadecimal digits after"):
		return `in "..." a backslash begins an escape`, `write '...' instead, or \\ for one`
	case strings.Contains(said, "newlines"), strings.Contains(said, `EOF; expected '"`), strings.Contains(said, `EOF; expected "'`):
		return "the closing quote is missing", "a value ends on the line where it begins"
	}
	return mistakeOfLine(strings.TrimSpace(line), said)
}

// lineOf returns one line, counted from 1.
func lineOf(src string, n int) string {
	lines := strings.Split(src, "\n")
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSuffix(lines[n-1], "\r")
}

// alreadyThere names the first of two places.
func alreadyThere(src string, found toml.ParseError) (text, hint string) {
	hint = "each key and each [table] stands once: keep one"
	name := regexp.MustCompile(`'(.*)'`).FindStringSubmatch(found.Message)
	if name == nil {
		return "this is there twice", hint
	}
	before := strings.Join(strings.Split(src, "\n")[:max(0, found.Position.Line-1)], "\n")
	if at, ok := locate(before, "")[name[1]]; ok {
		return "this is in line " + strconv.Itoa(at.line) + " already", hint
	}
	return "this is there twice", hint
}

var (
	truthWord = regexp.MustCompile(`(?i)^(yes|no|on|off|y|n|true|false)\s*(#.*)?$`)
	noneWord  = regexp.MustCompile(`(?i)^(none|null|nil|~)\s*(#.*)?$`)
	quoted    = regexp.MustCompile(`^("([^"\\]|\\.)*"|'[^']*')`)
	colon     = regexp.MustCompile(`^["'\w.-]+\s*:`)
)

// mistakeOfLine looks at the line alone; said are the parser's words.
func mistakeOfLine(line, said string) (text, hint string) {
	key, value, hasValue := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch {
	case isForeignComment(line), quoted.MatchString(value) && isForeignComment(strings.TrimSpace(quoted.ReplaceAllString(value, ""))):
		return "a comment begins with #", ""
	case strings.HasPrefix(line, "[") && !hasValue:
		return "a table's header is one name in brackets", "for instance [server] or [output.siem]"
	case colon.MatchString(line) && (!hasValue || strings.Index(line, ":") < len(key)):
		return "a key and its value are parted by =, not by a colon", `key = "value"`
	case strings.Contains(said, "array terminator"), strings.HasPrefix(value, "["):
		return "this list is not right", `it is ["a", "b"]: brackets, text in quotes, commas between`
	case strings.HasPrefix(value, "{"):
		return "this inline table is not right", `it is { key = "value", other = "value" }, on one line or with commas at the ends`
	case !hasValue:
		return "this line is no [table] and no key with a value", `key = "value"; text over several lines stands in """..."""`
	case strings.TrimSpace(key) == "":
		return "the key is missing", `key = "value"`
	case value == "" || value[0] == '#':
		return "the value is missing", `key = "value"; to leave a key at its default, take its line out`
	case truthWord.MatchString(value):
		return "this is not a boolean", "write true or false, in small letters and without quotes"
	case noneWord.MatchString(value):
		return "this is not a value", "to leave a key at its default, take its line out"
	case quoted.MatchString(value):
		return "there is more behind the value", `a value ends at its closing quote: a quote inside is written \", a list [ "a", "b" ]`
	case value[0] == '"' || value[0] == '\'':
		return "the closing quote is missing", ""
	}
	return "the value lacks its quotes", `text, durations, sizes with a unit and addresses stand in quotes: key = "5m"`
}

func isForeignComment(text string) bool {
	return strings.HasPrefix(text, "//") || strings.HasPrefix(text, ";") || strings.HasPrefix(text, "/*") || strings.HasPrefix(text, "--")
}

// columnOf turns the parser's byte column into characters.
func columnOf(src string, at toml.Position) int {
	line := lineOf(src, at.Line)
	return utf8.RuneCountInString(line[:max(0, min(at.Col-1, len(line)))]) + 1
}
