package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// Severity tells what keeps a configuration from being used from what an operator should know.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one finding about a configuration file. It never holds a secret.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`   // from 1; 0: the file as a whole
	Column   int      `json:"column,omitempty"` // from 1, in characters
	Key      string   `json:"key,omitempty"`    // dotted, e.g. output.siem.addresses[1]
	Text     string   `json:"text"`             // what is wrong
	Hint     string   `json:"hint,omitempty"`   // what to do about it

	cause bool // the others may follow from it

	Live bool `json:"-"` // time alone changes it, and whoever runs with the file says how it is now: a certificate that ends soon
}

// String returns the problem as one line, the way compilers write it: file:line:column: error: key: text (hint).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	fmt.Fprintf(&b, ": %s: ", p.Severity)
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Report holds everything that was found about one file, sorted by position.
type Report struct {
	File     string // the first, after which the configuration is called
	Problems []Problem

	order []string // the names of all files
}

// Errors returns the problems that keep the file from being used.
func (r *Report) Errors() []Problem { return r.of(Error) }

// Warnings returns the problems that don't.
func (r *Report) Warnings() []Problem { return r.of(Warning) }

func (r *Report) of(s Severity) []Problem {
	var found []Problem
	for _, p := range r.Problems {
		if p.Severity == s {
			found = append(found, p)
		}
	}
	return found
}

// Err returns nil when the file can be used, else an *InvalidError.
func (r *Report) Err() error {
	if errs := r.Errors(); len(errs) > 0 {
		return &InvalidError{Problems: errs}
	}
	return nil
}

// WriteText writes one line a problem and a last line that sums up.
func (r *Report) WriteText(w io.Writer) error {
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	verdict := "valid"
	if r.Err() != nil {
		verdict = "not valid"
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s, %s\n", r.File, verdict,
		display.Count(len(r.Errors()), "error"), display.Count(len(r.Warnings()), "warning"))
	return err
}

// WireReport is a Report as JSON.
type WireReport struct {
	File     string    `json:"file"`
	Valid    bool      `json:"valid"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Problems []Problem `json:"problems"`
}

// MarshalJSON implements json.Marshaler.
func (r *Report) MarshalJSON() ([]byte, error) {
	problems := r.Problems
	if problems == nil {
		problems = []Problem{}
	}
	return json.Marshal(WireReport{r.File, r.Err() == nil, len(r.Errors()), len(r.Warnings()), problems})
}

// sort puts causes first, and else the problems in the order of the files; the ones about a whole file come first.
func (r *Report) sort() {
	rank := func(p Problem) int {
		if p.cause {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(slices.Index(r.order, a.File), slices.Index(r.order, b.File)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Text, b.Text))
	})
	r.Problems = slices.Compact(r.Problems)
}

// InvalidError says that a configuration can't be used.
type InvalidError struct{ Problems []Problem } // errors only, at least one

// Error implements error: the first problem, and how many more there are.
func (e *InvalidError) Error() string {
	text := e.Problems[0].String()
	if more := len(e.Problems) - 1; more > 0 {
		text += fmt.Sprintf(" - and %s more, see linuxguard-bridge check", display.Count(more, "error"))
	}
	return text
}
