package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// files is a module whose packages pass, fail, don't build, and hang.
var files = map[string]string{
	"go.mod":            "module example.com/m\n\ngo 1.26\n",
	"good/good_test.go": "package good\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) { t.Log(\"not shown\") }\n",
	"none/none.go":      "package none\n",
	"broken/broken_test.go": `package broken

import "testing"

func TestBroken(t *testing.T) { undefined() }
`,
	"bad/bad_test.go": `package bad

import "testing"

func TestGood(t *testing.T) { t.Log("not shown") }

func TestBad(t *testing.T) {
	t.Run("inner", func(t *testing.T) { t.Error("this is why") })
	t.Run("other", func(t *testing.T) { t.Log("not shown") })
}
`,
	"panics/panics_test.go": `package panics

import "testing"

func TestPanics(t *testing.T) { panic("this is the panic") }
`,
	"hangs/hangs_test.go": `package hangs

import (
	"os"
	"testing"
)

func TestOver(t *testing.T) {}

func TestHangs(t *testing.T) {
	t.Run("inner", func(t *testing.T) {
		if err := os.WriteFile("../hanging", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {}
	})
}
`,
}

// module writes files and returns the folder.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestItReadsLikeGoTest(t *testing.T) {
	t.Parallel()
	dir := module(t)
	for _, c := range []struct {
		pkg  string
		code int
		want string // of the whole output, times left out
	}{
		{"good", 0, "ok  \texample.com/m/good\tTIME\n"},
		{"none", 0, "?   \texample.com/m/none\t[no test files]\n"},
		{"broken", 1, "# example.com/m/broken [example.com/m/broken.test]\nbroken/broken_test.go:5:33: undefined: undefined\nFAIL\texample.com/m/broken [build failed]\n"},
		{"bad", 1, "--- FAIL: TestBad (TIME)\n    --- FAIL: TestBad/inner (TIME)\n        bad_test.go:8: this is why\nFAIL\nFAIL\texample.com/m/bad\tTIME\n"},
	} {
		t.Run(c.pkg, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := run(t.Context(), &out, dir, time.Hour, []string{"-count=1", "./" + c.pkg})
			got := regexp.MustCompile(`\d+\.\d+s`).ReplaceAllString(out.String(), "TIME")
			if code != c.code || got != c.want {
				t.Errorf("exit code %d\n%s\nwant %d\n%s", code, got, c.code, c.want)
			}
		})
	}
}

func TestAPanicIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code := run(t.Context(), &out, module(t), time.Hour, []string{"./panics"}); code != 1 || !strings.Contains(out.String(), "panic: this is the panic") {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}

// TestTheLimit: the package that had not ended is named, and its processes end. That of a test which hangs may be killed
// before it has told more than that it started.
func TestTheLimit(t *testing.T) {
	t.Parallel()
	dir := module(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "hanging")); err == nil {
				cancel(errors.New("the time is up")) // as the limit does it
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	var out bytes.Buffer
	code := run(ctx, &out, dir, time.Hour, []string{"./hangs", "./good"})
	for _, want := range []string{"\nFAIL: the time is up; these had not ended:\n", "  hangs, which ran for "} {
		if code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("exit code %d\n%s\nwant %q", code, &out, want)
		}
	}
}

// TestWhatHadNotEnded: tests that failed already are shown, then those that ran, without those that waited for subtests
// or for their turn, and last the packages that were not begun.
func TestWhatHadNotEnded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	r := newReport(&out, []string{"example.com/m/a", "example.com/m/b/c", "example.com/m/b/d"}, func() time.Time { return now })
	for _, e := range []event{
		{Action: "start"},
		{Action: "run", Test: "TestOver"}, {Action: "pass", Test: "TestOver"},
		{Action: "run", Test: "TestFails"}, {Action: "output", Test: "TestFails", Output: "    x_test.go:1: this is why\n"},
		{Action: "output", Test: "TestFails", Output: "--- FAIL: TestFails (0.00s)\n"}, {Action: "fail", Test: "TestFails"},
		{Action: "run", Test: "TestWaits"}, {Action: "pause", Test: "TestWaits"},
		{Action: "run", Test: "TestHangs"}, {Action: "run", Test: "TestHangs/inner"},
	} {
		e.Package = "example.com/m/b/c"
		r.take(e)
	}
	now = now.Add(90 * time.Second)
	r.unfinished(errors.New("the time is up"))
	want := "--- FAIL: TestFails (0.00s)\n    x_test.go:1: this is why\n\nFAIL: the time is up; these had not ended:\n" +
		"  b/c, which ran for 1m30s\n    TestHangs/inner, for 1m30s\n  not begun (to be built, or waiting for their turn): a, b/d\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}
