package admin_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

func mustAddrPort(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatal(err)
	}
	return ap
}

// lockedLog is written by the server and read by the test.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func control(t *testing.T) (*admintest.Bridge, *admin.Client, *lockedLog) {
	t.Helper()
	log := &lockedLog{}
	b := admintest.New(slog.New(slog.NewTextHandler(log, nil)))
	return b, admin.NewClient(b.Control(t), "alice"), log
}

func TestStatusCrossesTheSocketWhole(t *testing.T) {
	t.Parallel()
	_, c, _ := control(t)
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, q := admintest.Sample()
	if !st.At.Equal(admintest.Now()) || st.Config.Hash != report.Config.Hash {
		t.Errorf("%+v", st.Config)
	}
	siem := st.Outputs[1]
	if siem.Queued.Events != 67 || siem.Queued.Cursor != 1234500 || siem.Queued.Oldest.IsZero() || siem.LastError != report.Outputs[1].LastError {
		t.Errorf("%+v", siem)
	}
	if st.Queue.LastSeq != q.State.LastSeq || st.Queue.WindowCovered != q.State.WindowCovered || st.Queue.Quarantine != 3 {
		t.Errorf("%+v", st.Queue)
	}
}

func TestResendAndDropAreLoggedWithWhoDidIt(t *testing.T) {
	t.Parallel()
	b, c, log := control(t)
	a, err := c.Resend(t.Context(), 18, []string{"siem"})
	if err != nil || a.Seq != 1234568 {
		t.Fatalf("%+v, %v", a, err)
	}
	if it, err := c.Drop(t.Context(), 17); err != nil || it.ID != 17 || it.Body != "" {
		t.Fatalf("%+v, %v", it, err)
	}
	if got := b.Queue.Changes(); !slices.Equal(got, []string{"resend 18 [siem]", "drop 17"}) {
		t.Errorf("changes %q", got)
	}
	for _, want := range []string{"event=quarantine_resent item=18", "event=quarantine_dropped item=17", "by.uid=0", "claimed_user=alice", "outputs=[siem]", "bridge_seq=1234568"} {
		if os.Getuid() != 0 && want == "by.uid=0" {
			continue
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "second line") {
		t.Errorf("a payload was logged:\n%s", log.String())
	}
}

func TestAFailedActionIsLoggedAndAnswered(t *testing.T) {
	t.Parallel()
	b, c, log := control(t)
	b.Queue.Fail = queue.ErrFull
	_, err := c.Resend(t.Context(), 18, nil)
	var refused *admin.RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable || refused.Text != queue.ErrFull.Error() {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "without success") {
		t.Errorf("log %s", log.String())
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b, c, _ := control(t)
	for name, c := range map[string]struct {
		do   func() error
		want int
	}{
		"unknown item":      {func() error { _, err := c.Quarantined(t.Context(), 99); return err }, 404},
		"between items":     {func() error { _, err := c.Drop(t.Context(), 19); return err }, 404},
		"item 0":            {func() error { _, err := c.Drop(t.Context(), 0); return err }, 400},
		"unknown output":    {func() error { _, err := c.Resend(t.Context(), 17, []string{"nope"}); return err }, 400},
		"empty trace":       {func() error { _, err := c.Trace(t.Context(), ""); return err }, 400},
		"endless trace":     {func() error { _, err := c.Trace(t.Context(), strings.Repeat("x", 2000)); return err }, 400},
		"reversed range":    {func() error { _, err := c.Reconcile(t.Context(), nil, 5, 3); return err }, 400},
		"unknown reconcile": {func() error { _, err := c.Reconcile(t.Context(), []string{"nope"}, 0, 0); return err }, 400},
	} {
		var refused *admin.RefusedError
		if err := c.do(); !errors.As(err, &refused) || refused.Status != c.want {
			t.Errorf("%s: %v, want %d", name, err, c.want)
		}
	}
	if got := b.Queue.Changes(); len(got) > 0 {
		t.Errorf("changes %q", got)
	}
}

func TestQuarantineComesInPages(t *testing.T) {
	t.Parallel()
	b, c, _ := control(t)
	b.Queue.Items = nil
	for id := range uint64(1234) {
		b.Queue.Items = append(b.Queue.Items, queue.QuarantineItem{ID: id + 1})
	}
	pages, seen := 0, 0
	for after := uint64(0); ; {
		page, err := c.Quarantine(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		seen += len(page.Items)
		if after = page.Next; after == 0 {
			break
		}
	}
	if pages != 3 || seen != 1234 {
		t.Errorf("%d pages, %d items", pages, seen)
	}
}

func TestPayloadsCrossTheSocketUnchanged(t *testing.T) {
	t.Parallel()
	b, c, _ := control(t)
	broken := []byte("\xff\x00\x1b binary")
	b.Queue.Items[1].Event.Body = broken
	it, err := c.Quarantined(t.Context(), 18)
	if err != nil || !bytes.Equal(it.BodyRaw, broken) || it.Body != "" || it.Size != len(broken) {
		t.Errorf("%+v, %v", it, err)
	}
	it, err = c.Quarantined(t.Context(), 17)
	if err != nil || it.Body != string(b.Queue.Items[0].Event.Body) {
		t.Errorf("%+v, %v", it, err)
	}
	b.Queue.Items[1].Event.Body = bytes.Repeat([]byte("x"), 20<<20)
	if it, err = c.Quarantined(t.Context(), 18); err != nil || !it.Cut || it.Size != 20<<20 || len(it.Body) != 8<<20 {
		t.Errorf("%d bytes, cut %v, size %d, %v", len(it.Body), it.Cut, it.Size, err)
	}
}

func TestControlSocketMode(t *testing.T) {
	t.Parallel()
	path := admintest.New(quiet()).Control(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestListenControlReplacesOnlyADeadSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "s")
	first, err := admin.ListenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ListenControl(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("took over a live socket: %v", err)
	}
	u, _ := first.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // what a killed process leaves behind
	_ = first.Close()
	second, err := admin.ListenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ListenControl(t.Context(), path); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("replaced a file: %v", err)
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := admin.NewClient(filepath.Join(t.TempDir(), "s"), "").Status(context.Background())
	if err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("%v", err)
	}
}
