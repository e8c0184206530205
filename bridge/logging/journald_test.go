package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"
)

// journaldScript runs a real journald in mount and process namespaces of its own, where /run is empty, has this test
// binary write to it and prints what journalctl reads back. journald ends with the namespace.
const journaldScript = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald &
for try in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$0" -test.run='^TestJournaldChild$' >&2
for try in $(seq 100); do
  found=$(journalctl -D /run/log/journal -o json --no-pager SYSLOG_IDENTIFIER=linuxguard-bridge 2>/dev/null || true)
  [ -n "$found" ] && break
  sleep 0.1
done
printf '%s\n' "$found"`

// TestRealJournald has the records read by journald itself: the judge of what its protocol is. It takes root and the
// package systemd, and is part of the long tests; the short ones have the fake socket.
func TestRealJournald(t *testing.T) {
	t.Parallel()
	if os.Getenv("LINUXGUARD_LONG") == "" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", journaldScript, self)
	cmd.Env = append(os.Environ(), "JOURNALD_CHILD=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("journald in a namespace (it takes root, unshare and systemd-journald): %v\n%s", err, stderr.String())
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("not one record: %v in %q\n%s", err, out, stderr.String())
	}
	for name, want := range map[string]string{
		"MESSAGE":    `held\nPRIORITY=0 delivery_id=d-1 bridge_seq=7 error="401: no\n_UID=5" weird key!=v`,
		"PRIORITY":   "3",
		"MESSAGE_ID": messageIDs["output_blocked"], "LINUXGUARD_EVENT": "output_blocked", "LINUXGUARD_DELIVERY_ID": "d-1",
		"LINUXGUARD_BRIDGE_SEQ": "7", "LINUXGUARD_ERROR": `401: no\n_UID=5`, "LINUXGUARD_WEIRD_KEY_": "v",
		"_UID": "0", "_TRANSPORT": "journal",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestJournaldChild is the child of TestRealJournald and nothing by itself.
func TestJournaldChild(t *testing.T) {
	if os.Getenv("JOURNALD_CHILD") == "" {
		return
	}
	if !journal.Enabled() {
		t.Fatal("journald does not listen")
	}
	log, err := New(Options{Format: "journal", Level: slog.LevelInfo, Stderr: os.Stderr, Getenv: os.Getenv, JournalSocket: "/run/systemd/journal/socket"})
	if err != nil {
		t.Fatal(err)
	}
	log.Error("held\nPRIORITY=0", "event", "output_blocked", "delivery_id", "d-1", "bridge_seq", 7, "error", errors.New("401: no\n_UID=5"), "weird key!", "v")
}
