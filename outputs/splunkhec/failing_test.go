package splunkhec

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// failVariable makes TestFailing fail, in a child process.
const failVariable = "SPLUNKHEC_FAIL"

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:1", &hectest.Splunk{Token: testToken, Ack: true, AckNever: true})
		w.addRaw("silent:1", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); time.Sleep(time.Hour) })
		w.add("hole:1", &hectest.Splunk{Token: testToken})
		w.set("hole:1", func(h *host) { h.blackHole = true })
		for _, name := range []string{"http://splunk:1", "http://silent:1", "http://hole:1"} {
			out, _ := w.output(ackOn, name)
			sendBatch(context.Background(), out, outputtest.Records(t, 1, 1))
		}
		time.Sleep(5 * time.Second)
		if os.Getenv(failVariable) != "" {
			t.Fatal("on purpose")
		}
	})
}

// TestAFailureLetsOthersRun: a test that fails in the middle of a world, with everything under way, says why, and the
// tests behind it run.
func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^(TestFailing|TestRequests)$")
	cmd.Env = append(os.Environ(), failVariable+"=yes")
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"on purpose", "--- FAIL: TestFailing", "--- PASS: TestRequests"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, want a failure that says %q:\n%s", err, want, out)
		}
	}
}
