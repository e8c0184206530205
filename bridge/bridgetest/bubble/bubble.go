// Package bubble proves that a test on fake time can fail without taking the others with it: a goroutine that is left in a
// bubble of testing/synctest when the test ends panics the whole test binary, which hides the reason and all results.
package bubble

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	variable = "LINUXGUARD_TEST_FAIL"
	reason   = "failed on purpose"
)

// Fail fails the test in the child process of FailsAlone, and does nothing elsewhere. It belongs where the most is
// under way in the bubble.
func Fail(t *testing.T) {
	t.Helper()
	if os.Getenv(variable) != "" {
		t.Fatal(reason)
	}
}

// FailsAlone runs the test failing, which calls Fail, and another one in a child process, and fails unless the first says
// why it failed and the second passes.
func FailsAlone(t *testing.T, failing, other string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^("+failing+"|"+other+")$")
	cmd.Env = append(os.Environ(), variable+"=yes")
	out, err := cmd.CombinedOutput()
	for _, want := range []string{reason, "--- FAIL: " + failing + " ", "--- PASS: " + other + " "} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, want a failure with %q:\n%s", err, want, out)
		}
	}
}
