// Package contribtest is what the tests of contrib share: they fill an example in as its reader would, run the program
// that it is for, and post to a real bridge.
package contribtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// Arrive is how long anything may take to arrive; it takes milliseconds.
const Arrive = 30 * time.Second

// Fill reads an example and replaces what its reader has to: pairs of old and new text. An old text that the example
// doesn't have fails the test, so that no replacement goes stale.
func Fill(t testing.TB, path string, oldNew ...string) string {
	t.Helper()
	text := ReadFile(t, path)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("%s has no %q", path, oldNew[i])
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}

// ReadFile is a file's text.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WriteFile writes text into a file that others can't read.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Sample is a signal's webhook body with description.
func Sample(severity int, description string) []byte {
	envelope := sender.Sample(severity, time.Now(), nil)
	envelope.Data.Description = description
	return envelope.JSON()
}

// FileOutput is the table of an output that writes JSON lines to path.
func FileOutput(path string) string {
	return fmt.Sprintf("[output.archive]\ntype = \"file\"\npath = %q\n", path)
}

// WaitLines waits until a file has at least n JSON lines and returns them; numbers stay as they were written.
func WaitLines(t testing.TB, path string, n int) []map[string]any {
	t.Helper()
	var lines []map[string]any
	bridgetest.Eventually(t, Arrive, path, func() bool {
		lines = bridgetest.JSONLines(t, path)
		return len(lines) >= n
	})
	return lines
}
