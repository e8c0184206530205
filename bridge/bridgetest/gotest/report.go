package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json`, see go doc test2json.
type event struct {
	Time       time.Time
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Output     string
}

// report prints what happens in a test run, and knows what is under way.
type report struct {
	out  io.Writer
	now  func() time.Time
	left map[string]*pkg // packages that have not ended, by import path
	root string          // what all of them begin with
}

// pkg is a package that has not ended.
type pkg struct {
	started time.Time // zero: its tests don't run yet
	tests   []*test   // in order of their start
}

// test is one test, or the package itself under the name "".
type test struct {
	name    string
	started time.Time
	paused  bool // until others have made room for it (t.Parallel)
	ended   bool
	failed  bool
	output  []string
}

func newReport(out io.Writer, packages []string, now func() time.Time) *report {
	r := &report{out: out, now: now, left: map[string]*pkg{}}
	for _, path := range packages {
		r.left[path] = &pkg{}
	}
	if len(packages) > 1 {
		first, last := slices.Min(packages), slices.Max(packages)
		n := 0
		for n < min(len(first), len(last)) && first[n] == last[n] {
			n++
		}
		r.root = first[:strings.LastIndexByte(first[:n], '/')+1]
	}
	return r
}

// read takes events until the stream ends.
func (r *report) read(stream io.Reader) error {
	in := bufio.NewReader(stream)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				_, _ = fmt.Fprintf(r.out, "%s", line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	if e.Action == "build-output" {
		_, _ = fmt.Fprint(r.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := r.left[e.Package]
	if p == nil {
		p = &pkg{}
		r.left[e.Package] = p
	}
	t := p.test(e.Test, r.now())
	switch e.Action {
	case "start":
		p.started = r.now()
	case "pause":
		t.paused = true
	case "cont":
		t.paused, t.started = false, r.now()
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "skip", "fail":
		t.ended, t.failed = true, e.Action == "fail"
		if e.Test == "" {
			r.end(e.Package, p, t)
		} else if !t.failed {
			t.output = nil
		}
	}
}

// test is the test of that name; it is made when it is new.
func (p *pkg) test(name string, now time.Time) *test {
	for _, t := range slices.Backward(p.tests) {
		if t.name == name {
			return t
		}
	}
	t := &test{name: name, started: now}
	p.tests = append(p.tests, t)
	return t
}

// end prints a package: what its failed tests said, or those that did not end when it failed, and its own last line.
func (r *report) end(path string, p *pkg, whole *test) {
	delete(r.left, path)
	if whole.failed {
		for _, t := range p.tests {
			if t != whole && (t.failed || !t.ended) {
				r.print(t)
			}
		}
	}
	for _, line := range whole.output {
		if whole.failed || line != "PASS\n" {
			_, _ = fmt.Fprint(r.out, line)
		}
	}
}

// print shows a test as `go test` does without -v: the result first, subtests indented, and no lines about the progress.
func (r *report) print(t *test) {
	indent := strings.Repeat("    ", strings.Count(t.name, "/"))
	var results, said []string
	for _, line := range t.output {
		switch mark, _, _ := strings.Cut(strings.TrimSpace(line), " "); mark {
		case "===":
		case "---":
			results = append(results, indent+strings.TrimLeft(line, " "))
		default:
			said = append(said, indent+line)
		}
	}
	_, _ = fmt.Fprint(r.out, strings.Join(append(results, said...), ""))
}

// unfinished says what has not ended when the run had to: what failed already, then the tests that ran in each package and for how long, innermost
// tests only, and the packages that were still to be built or waited for their turn.
func (r *report) unfinished(cause error) {
	for _, path := range slices.Sorted(maps.Keys(r.left)) {
		for _, t := range r.left[path].tests {
			if t.failed {
				r.print(t)
			}
		}
	}
	_, _ = fmt.Fprintf(r.out, "\nFAIL: %v; these had not ended:\n", cause)
	var waiting []string
	for _, path := range slices.Sorted(maps.Keys(r.left)) {
		p := r.left[path]
		name := strings.TrimPrefix(path, r.root)
		if p.started.IsZero() {
			waiting = append(waiting, name)
			continue
		}
		_, _ = fmt.Fprintf(r.out, "  %s, which ran for %v\n", name, r.since(p.started))
		for _, t := range p.running() {
			_, _ = fmt.Fprintf(r.out, "    %s, for %v\n", t.name, r.since(t.started))
		}
	}
	if len(waiting) > 0 {
		_, _ = fmt.Fprintf(r.out, "  not begun (to be built, or waiting for their turn): %s\n", strings.Join(waiting, ", "))
	}
}

func (r *report) since(t time.Time) time.Duration { return r.now().Sub(t).Round(time.Second) }

// running are the tests that have not ended and wait for no subtest.
func (p *pkg) running() (found []*test) {
	for _, t := range p.tests {
		inner := slices.ContainsFunc(p.tests, func(s *test) bool { return !s.ended && strings.HasPrefix(s.name, t.name+"/") })
		if t.name != "" && !t.ended && !t.paused && !inner {
			found = append(found, t)
		}
	}
	return found
}
