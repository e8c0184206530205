package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// TestMoveToShared: a bridge with a queue of its own goes over to a shared one. Its collectors get every signal once, under one
// bridge_id and without a gap.
func TestMoveToShared(t *testing.T) {
	t.Parallel()
	server := loneServer(t)
	hec := counterparts.HECReceiver(t, counterparts.HECOptions{})
	archive := filepath.Join(t.TempDir(), "archive.ndjson")
	outputs := func(address string) string {
		return `
[output.splunk]
type = "splunk_hec"
urls = ["` + address + `"]
token = "env:LINUXGUARD_TEST_TOKEN"
[output.archive]
type = "file"
path = "` + archive + `"
`
	}
	o := bridgetest.Options{Env: []string{"LINUXGUARD_TEST_TOKEN=x"}, Outputs: outputs("http://127.0.0.1:9")} // nobody listens there
	b := bridgetest.Start(t, o)
	client := b.Client(sender.ClientOptions{})
	var bodies [][]byte
	var ids []string
	for range 40 {
		e := sender.Sample(3, time.Now(), nil)
		bodies, ids = append(bodies, e.JSON()), append(ids, e.Data.SignalID)
		b.MustPost(client, bodies[len(bodies)-1], "accepted")
	}
	bridgetest.Eventually(t, arrive, "all in the file", func() bool { return len(bridgetest.JSONLines(t, archive)) == 40 })
	was := b.Status().Queue
	b.Stop()

	local := b.QueueDir()
	o.SharedQueue, o.Outputs = true, outputs(hec.URL())
	o.Queue = fmt.Sprintf("kind = \"postgres\"\nurl = %q\nreplicated_by = \"nothing\"", server.SocketURL("bridge", "linuxguard_bridge"))
	b.Configure(o)
	if _, stderr, code := b.Command(nil, "queue", "move", "--config", b.ConfigPath, "--from", local); code != 1 || !strings.Contains(stderr, "queue init") {
		t.Errorf("without a schema: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := b.Command(nil, "queue", "init", "--config", b.ConfigPath, "--as", postgres.Superuser); code != 0 {
		t.Fatalf("queue init: exit code %d: %s", code, stderr)
	}
	stdout, stderr, code := b.Command(nil, "queue", "move", "--config", b.ConfigPath, "--from", local)
	if code != 0 || !strings.Contains(stdout, "40 events, 40 deliveries remembered, 0 quarantined items, 2 outputs") {
		t.Fatalf("queue move: exit code %d: %s%s", code, stdout, stderr)
	}
	if stdout, _, code := b.Command(nil, "queue", "move", "--config", b.ConfigPath, "--from", local); code != 0 || !strings.Contains(stdout, "earlier move") {
		t.Errorf("queue move again: exit code %d: %s", code, stdout)
	}
	b.Start()
	client = b.Client(sender.ClientOptions{})
	for _, body := range bodies[:5] {
		b.MustPost(client, body, "duplicate")
	}
	for range 3 {
		e := sender.Sample(3, time.Now(), nil)
		ids = append(ids, e.Data.SignalID)
		b.MustPost(client, e.JSON(), "accepted")
	}
	if s := b.Status().Queue; s.BridgeID != was.BridgeID {
		t.Errorf("the bridge_id was %s and is %s", was.BridgeID, s.BridgeID)
	}
	bridgetest.Eventually(t, arrive, "all at HEC", func() bool { return len(hecSequences(hec)) == 43 })
	bridgetest.Eventually(t, arrive, "the rest in the file", func() bool { return len(bridgetest.JSONLines(t, archive)) >= 43 })
	if n := len(bridgetest.JSONLines(t, archive)); n != 43 {
		t.Errorf("%d lines in the file, 43 were expected", n)
	}
	for i, id := range ids {
		if got := hecSequences(hec)[uint64(i+1)]; got != id {
			t.Errorf("bridge_seq %d is signal %q, want %q", i+1, got, id)
		}
	}

	b.Stop()
	o.SharedQueue, o.Queue, o.QueueDir = false, "", local
	b.Configure(o)
	ctx, cancel := context.WithTimeout(t.Context(), arrive)
	defer cancel()
	if err := b.TryStart(ctx); err == nil || !strings.Contains(b.RawLog(), "was moved to the schema linuxguard_bridge") {
		t.Errorf("a bridge starts on the moved folder: %v\n%s", err, b.RawLog())
	}
	if _, err := os.Stat(filepath.Join(local, "moved")); err != nil {
		t.Error(err)
	}
}

// loneServer is a server with a database and the bridge's role, and no schema.
func loneServer(t *testing.T) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := postgres.New(ctx, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "postgres", "CREATE ROLE bridge LOGIN", "CREATE DATABASE linuxguard_bridge"); err != nil {
		t.Fatal(err)
	}
	return s
}

// hecSequences are the signal IDs by bridge_seq that a receiver got.
func hecSequences(hec *counterparts.HEC) map[uint64]string {
	all := map[uint64]string{}
	hec.Each(func(e counterparts.HECEvent) {
		var seq uint64
		_, _ = fmt.Sscan(fmt.Sprint(e.Event["bridge_seq"]), &seq)
		all[seq], _ = e.Event["signal_id"].(string)
	})
	return all
}
