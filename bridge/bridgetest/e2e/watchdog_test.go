package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// TestWatchdogStopsWithTheCommitter: the daemon pings the service manager while it works, stops when its committer
// hangs, says so, and goes on when the committer does. (systemd would have killed it by then.)
func TestWatchdogStopsWithTheCommitter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hang := filepath.Join(dir, "hang")
	b := bridgetest.Start(t, bridgetest.Options{
		Outputs: fileOutput(filepath.Join(dir, "archive.ndjson")),
		Env:     []string{"WATCHDOG_USEC=2000000", "LINUXGUARD_BRIDGE_FAILPOINT=" + hang},
	})
	pings := func() int { return b.Notify.Count("WATCHDOG=1") }
	bridgetest.Eventually(t, arrive, "two pings of a working daemon", func() bool { return pings() >= 2 })

	if err := os.WriteFile(hang, []byte("syncs hang"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := b.Client(sender.ClientOptions{Timeout: time.Minute})
	answered := make(chan sender.Answer, 1)
	go func() {
		answer, err := client.Post(t.Context(), b.Signer().Deliver(sender.Sample(3, time.Now(), nil).JSON()))
		if err != nil {
			t.Errorf("post: %v", err)
		}
		answered <- answer
	}()
	said := func() bool { return strings.Contains(strings.Join(b.Notify.Messages(), "\n"), "no progress") }
	bridgetest.Eventually(t, arrive, "a word about the hang", said)
	before := pings()
	bridgetest.Eventually(t, arrive, "the hanging delivery's 503", func() bool { return len(answered) == 1 })
	if answer := <-answered; answer.Status != 503 {
		t.Errorf("a delivery that can't be made durable is answered %v", answer)
	}
	if after := pings(); after != before {
		t.Errorf("%d pings while the committer hangs", after-before)
	}

	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, arrive, "pings after the hang", func() bool { return pings() > before })
}
