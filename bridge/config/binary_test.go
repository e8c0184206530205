package config

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// TestBinary has the built program check every file of TestRules. It must find the same but for the outputs, of which it
// knows other kinds, and end with exit code 2.
func TestBinary(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for _, c := range ruleCases(t) {
		text := c.Must(t, "config.toml")
		if c.Name == "tls-expired" || worldOnly(text) {
			continue // check is strict: tls-expired-strict is the case for it
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			got := checkWith(t, binary, text)
			if w, g := comparable(c.Must(t, "want")), comparable(got); !slices.Equal(g, w) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
			}
		})
	}
}

// worldOnly reports whether a case needs what only the tests can be told of: a unit, roots.
func worldOnly(text string) bool {
	return strings.HasPrefix(text, "# service") || strings.HasPrefix(text, "# socket") || strings.HasPrefix(text, "# roots")
}

func build(t *testing.T) string {
	t.Helper()
	root, errRoot := repo.Root()
	cache, errCache := repo.Cache("config")
	if err := errors.Join(errRoot, errCache); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(cache, "linuxguard-bridge")
	if err := repo.Build(t.Context(), root, "./cmd/linuxguard-bridge", binary, "-trimpath"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// checkWith runs "check" on one case in a world of the real time.
func checkWith(t *testing.T, binary, text string) string {
	t.Helper()
	w := newWorldAt(t, time.Now())
	w.issue(text)
	w.write(t, "config.toml", strings.ReplaceAll(text, "DIR", w.dir), 0o600)
	cmd := exec.CommandContext(t.Context(), binary, "check", "--config", w.path("config.toml"))
	for key, value := range w.environment() {
		if key != "CREDENTIALS_DIRECTORY" || !strings.HasPrefix(text, "# outside") {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	out, err := cmd.Output()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 || len(exit.Stderr) > 0 {
		t.Errorf("%v", err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(out), w.path("config.toml"), "config.toml"), w.dir, "DIR")
}

var (
	anyDate    = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`)
	outputLine = regexp.MustCompile(`^config\.toml:\d+:\d+: (error|warning): output\.`)
)

// comparable leaves out what depends on the day, the disk and the kinds of outputs.
func comparable(report string) []string {
	var lines []string
	for line := range strings.Lines(anyDate.ReplaceAllString(report, "DATE")) {
		about := strings.HasPrefix(line, "config.toml: valid") || strings.HasPrefix(line, "config.toml: not valid")
		about = about || strings.HasPrefix(line, "judged as") || strings.Contains(line, "LinuxGuard trusts public certificate authorities only")
		if !about && !outputLine.MatchString(line) && !strings.Contains(line, "the file system has") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}
