package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

func noEnv(string) string { return "" }

// fakeJournal is a native journal socket; the returned function reads one record's fields.
func fakeJournal(t *testing.T) (path string, read func() map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() map[string]string {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 256<<10)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("no record: %v", err)
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(buf[:n])) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name[0] == '_' || len(name) > 64 {
				t.Errorf("journald would refuse the line %q", line)
			}
			fields[name] = value
		}
		return fields
	}
}

func newJournalLogger(t *testing.T, level slog.Leveler, socket string, fallback *bytes.Buffer) *slog.Logger {
	t.Helper()
	log, err := New(Options{Format: "auto", Level: level, Stderr: fallback, Getenv: noEnv, UnderJournal: true, JournalSocket: socket})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestJournalRecord(t *testing.T) {
	t.Parallel()
	socket, read := fakeJournal(t)
	log := newJournalLogger(t, slog.LevelInfo, socket, nil)
	log.With("output", "siem").WithGroup("by").Warn("the output needs an operator", "uid", 0)
	want := map[string]string{
		"MESSAGE": "the output needs an operator output=siem by.uid=0", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "linuxguard-bridge",
		"LINUXGUARD_OUTPUT": "siem", "LINUXGUARD_BY_UID": "0",
	}
	checkFields(t, read(), want)

	log.Error("held", "event", "output_blocked", "delivery_id", "d-1", "bridge_seq", 7, "error", errors.New("401: no"))
	want = map[string]string{
		"MESSAGE": `held delivery_id=d-1 bridge_seq=7 error="401: no"`, "PRIORITY": "3", "SYSLOG_IDENTIFIER": "linuxguard-bridge",
		"MESSAGE_ID": messageIDs["output_blocked"], "LINUXGUARD_EVENT": "output_blocked", "LINUXGUARD_DELIVERY_ID": "d-1",
		"LINUXGUARD_BRIDGE_SEQ": "7", "LINUXGUARD_ERROR": "401: no",
	}
	checkFields(t, read(), want)
}

func checkFields(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d fields, want %d: %q", len(got), len(want), got)
	}
}

// TestJournalInjection: neither a key, a value nor a message may begin a field of its own or take one of journald's.
func TestJournalInjection(t *testing.T) {
	t.Parallel()
	socket, read := fakeJournal(t)
	log := newJournalLogger(t, slog.LevelInfo, socket, nil)
	log.Info("a\nPRIORITY=0", "k\n_UID", "0\nMESSAGE_ID=feed", "MESSAGE", "x", "event", "no\nsuch", "_TRANSPORT", "kernel",
		strings.Repeat("long", 40), "v", "", "no key")
	got := read()
	for _, name := range []string{"_UID", "_TRANSPORT", "MESSAGE_ID"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s=%q was injected", name, v)
		}
	}
	if got["PRIORITY"] != "6" || got["LINUXGUARD_MESSAGE"] != "x" || !strings.HasPrefix(got["MESSAGE"], `a\nPRIORITY=0 `) {
		t.Errorf("%q", got)
	}
}

func TestJournalRecordIsBounded(t *testing.T) {
	t.Parallel()
	socket, read := fakeJournal(t)
	var fallback bytes.Buffer
	log := newJournalLogger(t, slog.LevelInfo, socket, &fallback)
	attrs := make([]any, 0, 200)
	for range 100 {
		attrs = append(attrs, "k", strings.Repeat("é", 10000))
	}
	log.Info(strings.Repeat("m", 100000), attrs...)
	got := read()
	if n := len(got["MESSAGE"]); n > maxValue+40 {
		t.Errorf("the message has %d bytes", n)
	}
	if !strings.HasSuffix(got["LINUXGUARD_K"], "é... (20000 bytes)") {
		t.Errorf("the value ends in %q", got["LINUXGUARD_K"][len(got["LINUXGUARD_K"])-30:])
	}
	if fallback.Len() > 0 {
		t.Errorf("the journal refused it")
	}
}

func TestJournalGoneFallsBackToStderr(t *testing.T) {
	t.Parallel()
	var fallback bytes.Buffer
	newJournalLogger(t, slog.LevelInfo, filepath.Join(t.TempDir(), "nobody"), &fallback).Warn("two\nlines", "output", "siem")
	if got, want := fallback.String(), "<4>two\\nlines output=siem\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJournalComesBack(t *testing.T) {
	t.Parallel()
	socket, read := fakeJournal(t)
	log := newJournalLogger(t, slog.LevelInfo, socket, new(bytes.Buffer))
	log.Info("first")
	read()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	h, _ := log.Handler().(*journalHandler)
	_ = h.sink.conn.Close() // what a write to a gone peer leads to
	log.Info("second")
	buf := make([]byte, 1024)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "MESSAGE=second\n") {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]int{-4: 7, 0: 6, 2: 5, 4: 4, 8: 3, 12: 2} {
		if got := priorityOf(level); int(got) != want {
			t.Errorf("%v is %d, want %d", level, got, want)
		}
	}
}

func TestMessageIDsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, id := range messageIDs {
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] != "" {
			t.Errorf("%s has id %q (also of %q)", name, id, seen[id])
		}
		seen[id] = name
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := newTextHandler(slog.LevelDebug, &out, false)
	r := slog.NewRecord(time.Date(2026, 11, 23, 12, 0, 5, 0, time.UTC), slog.LevelWarn, "refused \x1b[31mred", 0)
	r.Add("error", errors.New(`bad "sig"`), "empty", "", "body", "a\u202eb\nc\x9b", "token", secret.NewValue("hunter2"),
		slog.Group("by", "uid", 0), "for", 90*time.Second, "at", time.Unix(0, 0))
	if err := h.WithAttrs([]slog.Attr{slog.String("endpoint", "main")}).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := `2026-11-23 12:00:05 WARN  refused \x1b[31mred endpoint=main error="bad \"sig\"" empty="" body=a\u202eb\nc\x9b ` +
		"token=[redacted] by.uid=0 for=1m30s at=1970-01-01T00:00:00Z\n"
	if got := out.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestColour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := newTextHandler(slog.LevelDebug, &out, true)
	if err := h.Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelError, "m", 0)); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "\x1b[31mERROR\x1b[0m m\n" {
		t.Errorf("%q", got)
	}
	if UseColour(&out, noEnv) {
		t.Error("colour on something that is no terminal")
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log, err := New(Options{Level: level, Stderr: &out, Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("shown\u009b", "error", errors.New("x\u202ey"), "token", secret.NewValue("hunter2"), "after", time.Second)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, out.String())
	}
	for key, want := range map[string]string{"msg": `shown\u009b`, "error": `x\u202ey`, "token": "[redacted]", "after": "1s", "level": "DEBUG"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestUnknownFormatAndLevel(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Format: "xml", Getenv: noEnv}); err == nil {
		t.Error("format xml was accepted")
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("level loud was accepted")
	}
	if l, err := ParseLevel("warn"); l != slog.LevelWarn || err != nil {
		t.Errorf("%v, %v", l, err)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := NewDedup(slog.New(newTextHandler(slog.LevelDebug, &out, false)), func() time.Time { return now })
	fail := func(text string) { f.Failed(context.Background(), slog.LevelWarn, "failed", errors.New(text)) }
	expect := func(want string) {
		t.Helper()
		_, got, _ := strings.Cut(out.String(), "WARN  ")
		if out.Len() > 0 && got == "" {
			_, got, _ = strings.Cut(out.String(), "INFO  ")
		}
		if got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
		out.Reset()
	}
	fail("dial 10.0.0.1:4000->10.0.0.2:514: refused")
	expect("failed error=\"dial 10.0.0.1:4000->10.0.0.2:514: refused\"\n")
	fail("dial 10.0.0.1:4001->10.0.0.2:514: refused")
	expect("")
	fail("time-out")
	expect("failed error=time-out\n")
	for range 5 { // two texts in turn stay folded
		fail("dial 10.0.0.1:4001->10.0.0.2:514: refused")
		fail("time-out")
	}
	expect("")
	fail("503")
	expect("failed error=503\n")
	fail("403")
	expect("failed error=403\n")
	now = now.Add(61 * time.Minute)
	fail("time-out")
	expect("failed error=time-out repeated=6 since=2026-01-01T00:00:00Z\n")
	f.Recovered(context.Background(), "works again", slog.String("output", "siem"))
	expect("works again failures=16 for=1h1m0s output=siem\n")
	f.Recovered(context.Background(), "works again")
	expect("")
}
