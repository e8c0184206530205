// Package confdoc reads the comments of the reference configuration, packaging/config.reference.toml, which explain every key. The
// manual page is made from them, and the tests hold them against what the code takes, so that neither can drift.
//
//	# Prose of a table.          a block of comment lines belongs to the line right below it
//	[table]
//
//	# Prose of a key. Default: X.
//	#key = value                 no blank after the "#": a setting that is turned off
//
// A key's prose ends in "Required." or has "Default: " with the default's text.
package confdoc

import (
	"fmt"
	"regexp"
	"strings"
)

// Document is a commented configuration file.
type Document struct {
	Preamble []string // blocks of prose before the first table; lines that are indented stand as they are
	Tables   []Table
}

// Table is one [table] with its keys.
type Table struct {
	Name string // as between the brackets
	List bool   // [[table]]
	Off  bool   // commented out
	Line int    // from 1
	Text string
	Keys []Key
}

// Header is the table's name in its brackets.
func (t Table) Header() string {
	if t.List {
		return "[[" + t.Name + "]]"
	}
	return "[" + t.Name + "]"
}

// Key is one setting.
type Key struct {
	Name, Value string // Value as TOML
	Off         bool   // commented out
	Line        int    // from 1
	Text        string
}

var (
	headerLine = regexp.MustCompile(`^(#?)(\[\[?)([^\[\]]+)\]\]?$`)
	keyLine    = regexp.MustCompile(`^(#?)([a-z][a-z0-9_]*) = (.+)$`)
)

// Parse reads a commented configuration file. It fails on a line that is neither prose nor a table nor a key.
func Parse(text string) (*Document, error) {
	var doc Document
	var block []string // the prose right above
	for i, line := range strings.Split(text, "\n") {
		prose := strings.Join(block, "\n")
		switch {
		case line == "":
			if len(doc.Tables) == 0 && prose != "" {
				doc.Preamble = append(doc.Preamble, prose)
			}
			block = nil
		case line == "#" || strings.HasPrefix(line, "# "):
			block = append(block, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		case headerLine.MatchString(line):
			m := headerLine.FindStringSubmatch(line)
			doc.Tables = append(doc.Tables, Table{Name: m[3], List: m[2] == "[[", Off: m[1] != "", Line: i + 1, Text: prose})
			block = nil
		case keyLine.MatchString(line) && len(doc.Tables) > 0:
			m := keyLine.FindStringSubmatch(line)
			table := &doc.Tables[len(doc.Tables)-1]
			table.Keys = append(table.Keys, Key{Name: m[2], Value: m[3], Off: m[1] != "", Line: i + 1, Text: prose})
			block = nil
		default:
			return nil, fmt.Errorf("line %d is neither prose nor a table nor a key: %s", i+1, line)
		}
	}
	return &doc, nil
}

var defaultText = regexp.MustCompile(`(?s)\bDefault: (.*?)\.(\s|$)`)

// Default is the default as the prose says it; ok is false when it says none.
func (k Key) Default() (text string, ok bool) {
	m := defaultText.FindStringSubmatch(k.Text)
	if m == nil {
		return "", false
	}
	return strings.Join(strings.Fields(m[1]), " "), true
}

// ShowsDefault reports whether the value that stands there is the default of the prose.
func (k Key) ShowsDefault() bool {
	text, ok := k.Default()
	text, _, _ = strings.Cut(text, ";")
	return ok && strings.Trim(text, `"`) == strings.Trim(k.Value, `"[]`)
}
