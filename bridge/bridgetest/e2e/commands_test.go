package e2e

import (
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// TestCommands runs the binary's other commands beside the daemon.
func TestCommands(t *testing.T) {
	t.Parallel()
	rsyslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	b := bridgetest.Start(t, bridgetest.Options{
		Endpoint: `required_headers = { Authorization = ["env:LINUXGUARD_TEST_AUTH"] }`, Env: []string{"LINUXGUARD_TEST_AUTH=Bearer right"},
		Outputs: "[output.siem]\ntype = \"syslog\"\naddresses = [\"" + rsyslog.URL("tcp") + "\"]\n",
	})
	t.Run("version", func(t *testing.T) {
		if out, _, code := b.Command(nil, "version"); code != 0 || !strings.HasPrefix(out, "linuxguard-bridge ") {
			t.Errorf("%d %q", code, out)
		}
	})
	t.Run("check", func(t *testing.T) {
		if out, errOut, code := b.Command(nil, "check", "--probe"); code != 0 || !strings.Contains(out, "probe siem") {
			t.Errorf("%d %s%s", code, out, errOut)
		}
	})
	t.Run("send", func(t *testing.T) {
		out, errOut, code := b.Command(nil, "send", "--severity", "all", "--wait")
		if code != 0 || !strings.Contains(out, "siem    delivered  5      kernel-acknowledged") {
			t.Errorf("%d\n%s%s", code, out, errOut)
		}
		rsyslog.WaitRecords(5, arrive)
		if out, errOut, code := b.Command(nil, "send", "--forge"); code != 0 || !strings.Contains(out, "401 Unauthorized") {
			t.Errorf("forged: %d\n%s%s", code, out, errOut)
		}
		if out, errOut, code := b.Command(nil, "send", "--duplicate", "--wait"); code != 0 || !strings.Contains(out, "duplicate") {
			t.Errorf("duplicate: %d\n%s%s", code, out, errOut)
		}
		rsyslog.Stop()
		// However busy the machine is: when the time is up, the bridge is asked how it stands.
		if out, errOut, code := b.Command(nil, "send", "--wait", "--wait-timeout", "1ms"); code != 1 || !strings.Contains(out, "queued") {
			t.Errorf("with the output down: %d\n%s%s", code, out, errOut)
		}
		rsyslog.Start()
	})
	t.Run("render", func(t *testing.T) {
		out, errOut, code := b.Command(body(func(*sender.Envelope) {}), "render")
		if code != 0 || !strings.HasPrefix(out, "<12>1 ") || !strings.Contains(out, "[linuxguard@32473 ") {
			t.Errorf("%d\n%s%s", code, out, errOut)
		}
	})
}
