package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// reloadOutputs is generation n of the outputs: steady never changes, altered differs in every generation, and guest is
// there in every other one.
func reloadOutputs(dir string, n int) string {
	table := func(name, more string) string {
		return fmt.Sprintf("\n[output.%s]\ntype = \"file\"\npath = %s\n%s\n", name, bridgetest.Quote(filepath.Join(dir, name)), more)
	}
	text := table("steady", "") + table("altered", fmt.Sprintf("index = %q\nformat = \"hec\"", fmt.Sprint("generation-", n)))
	if n%2 == 1 {
		text += table("guest", "")
	}
	return text
}

// TestReloadUnderLoad: a hundred reloads while signals come in lose nothing and send nothing twice, at the output that
// stays as it is and at the one that is replaced each time.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := bridgetest.Start(t, bridgetest.Options{Outputs: reloadOutputs(dir, 0)})
	client := b.Client(sender.ClientOptions{Connections: 8})
	ctx, end := context.WithCancel(t.Context())
	var mu sync.Mutex
	accepted := map[string]bool{}
	var posting sync.WaitGroup
	for range 8 {
		posting.Go(func() {
			for ctx.Err() == nil {
				e := sender.Sample(3, time.Now(), nil)
				answer, err := client.Post(t.Context(), b.Signer().Deliver(e.JSON()))
				if err != nil || answer.Outcome != "accepted" {
					t.Errorf("post during reloads: %v %v", answer, err)
					return
				}
				mu.Lock()
				accepted[e.Data.SignalID] = true
				mu.Unlock()
			}
		})
	}
	for n := 1; n <= 100; n++ {
		b.Configure(bridgetest.Options{Outputs: reloadOutputs(dir, n)})
		b.Reload()
	}
	end()
	posting.Wait()
	if text := b.Status().Config.LastReloadError; text != "" {
		t.Errorf("the last reload failed: %s", text)
	}
	for _, name := range []string{"steady", "altered"} {
		var seen map[string]int
		bridgetest.Eventually(t, arrive, "all signals at "+name, func() bool {
			seen = countIDs(bridgetest.JSONLines(t, filepath.Join(dir, name)))
			return len(seen) >= len(accepted)
		})
		for id := range accepted {
			if seen[id] != 1 {
				t.Errorf("%s has %s %d times", name, id, seen[id])
			}
		}
		if len(seen) != len(accepted) {
			t.Errorf("%s has %d signals, %d were accepted", name, len(seen), len(accepted))
		}
	}
	for _, account := range b.Audit().Outputs {
		if !account.AccountedFor {
			t.Errorf("not all is accounted for: %+v", account)
		}
	}
	t.Logf("%d signals accepted during 100 reloads", len(accepted))
}

// countIDs counts records by signal ID, in the flat form or inside a HEC event.
func countIDs(records []map[string]any) map[string]int {
	seen := map[string]int{}
	for _, r := range records {
		if event, ok := r["event"].(map[string]any); ok {
			r = event
		}
		id, _ := r["signal_id"].(string)
		seen[id]++
	}
	return seen
}

// TestReloadRefusesABadFile: the old configuration goes on in full, and the status, the log and check say why.
func TestReloadRefusesABadFile(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive.ndjson")
	good := bridgetest.Options{Outputs: fileOutput(archive)}
	b := bridgetest.Start(t, good)
	hash := b.Status().Config.Hash
	for _, bad := range []string{
		"\n[output.other]\ntype = \"file\"\npath = \"relative\"\n",
		fileOutput(archive) + "formatt = \"json\"\n",
		"\n[output",
	} {
		b.Configure(bridgetest.Options{Outputs: bad})
		b.Reload()
		status := b.Status()
		if status.Config.LastReloadError == "" || status.Config.Hash != hash {
			t.Errorf("after %q: error %q, hash changed %v", bad, status.Config.LastReloadError, status.Config.Hash != hash)
		}
		if _, _, code := b.Command(nil, "check"); code != 2 {
			t.Errorf("check of %q exits with %d, want 2", bad, code)
		}
		if messages := b.Notify.Messages(); !strings.Contains(messages[len(messages)-1], "reload failed") {
			t.Errorf("the service manager was told %q", messages[len(messages)-1])
		}
		client := b.Client(sender.ClientOptions{})
		b.MustPost(client, sender.Sample(2, time.Now(), nil).JSON(), "accepted")
	}
	b.Configure(good)
	b.Reload()
	if text := b.Status().Config.LastReloadError; text != "" {
		t.Errorf("a good file is refused: %s", text)
	}
	bridgetest.Eventually(t, arrive, "three records", func() bool { return len(bridgetest.JSONLines(t, archive)) == 3 })
}
