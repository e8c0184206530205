package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestLossesAreAcknowledgedOnce: the caller's name is stored and logged, and afterwards status is quiet.
func TestLossesAreAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	b, c, log := control(t)
	list, err := c.Losses(t.Context())
	if err != nil || len(list.Losses) != 1 || list.Losses[0].ID != 3 || list.Losses[0].Last != 1233502 {
		t.Fatalf("%+v, %v", list, err)
	}
	if l, err := c.AcknowledgeLoss(t.Context(), 3); err != nil || l.What != "segment 12 is damaged" {
		t.Fatalf("%+v, %v", l, err)
	}
	want := fmt.Sprintf("acknowledge 3 by alice (uid %d)", os.Getuid())
	if got := b.Queue.Changes(); !slices.Equal(got, []string{want}) {
		t.Errorf("changes %q, want %q", got, want)
	}
	for _, want := range []string{"event=loss_acknowledged loss=3", "claimed_user=alice", fmt.Sprintf("by.uid=%d", os.Getuid())} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	if st, err := c.Status(t.Context()); err != nil || st.Lost != "" || st.Queue.Losses != 0 {
		t.Errorf("%+v, %v", st.Judgment, err)
	}
	var refused *admin.RefusedError
	if _, err := c.AcknowledgeLoss(t.Context(), 3); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("a second time: %v", err)
	}
}

func TestReplayIsLoggedWithWhoDidIt(t *testing.T) {
	t.Parallel()
	b, c, log := control(t)
	a, err := c.Replay(t.Context(), "siem", 24*time.Hour)
	if err != nil || a.Events != 4711 || !a.Since.Equal(admintest.Now().Add(-24*time.Hour)) {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := b.Queue.Changes(); !slices.Equal(got, []string{"replay siem since 2026-11-22T12:00:00Z"}) {
		t.Errorf("changes %q", got)
	}
	for _, want := range []string{"event=queue_replayed output=siem", "events=4711", "claimed_user=alice"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
}

// TestTraceIsNeverBeforeTheReceipt: in whole milliseconds, rounded up, whatever the clock did; and the receiver's own duplicates count.
func TestTraceIsNeverBeforeTheReceipt(t *testing.T) {
	t.Parallel()
	received := admintest.Now().Add(123456 * time.Microsecond)
	for at, want := range map[time.Time]time.Time{
		received:                             admintest.Now().Add(124 * time.Millisecond),
		received.Add(time.Nanosecond):        admintest.Now().Add(124 * time.Millisecond),
		received.Add(44 * time.Microsecond):  admintest.Now().Add(124 * time.Millisecond),
		received.Add(544 * time.Microsecond): admintest.Now().Add(124 * time.Millisecond),
		received.Add(545 * time.Microsecond): admintest.Now().Add(125 * time.Millisecond),
		received.Add(-time.Hour):             admintest.Now().Add(124 * time.Millisecond),
		{}:                                   {},
	} {
		b, c, _ := control(t)
		b.Queue.Seen = []queue.Seen{{Seq: 1234567, DeliveryID: "d", ReceivedAt: received, ReceivedBy: "bridge-2", Verdict: queue.Accepted, Duplicates: 2}}
		b.Queue.Noted["archive"] = []queue.OutcomeRange{{First: 1234567, Last: 1234567, Outcome: queue.Delivered, At: at}}
		b.Source.Cached = map[uint64]int{1234567: 40}
		trace, err := c.Trace(t.Context(), "d")
		if err != nil || len(trace.Events) != 1 || trace.Events[0].Duplicates != 42 || trace.Events[0].ReceivedBy != "bridge-2" {
			t.Fatalf("%+v, %v", trace, err)
		}
		if got := trace.Events[0].Outputs[0].At; !got.Equal(want) || (!at.IsZero() && got.Before(received)) {
			t.Errorf("done at %v, received at %v: %v, want %v", at, received, got, want)
		}
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
		"unknown item":   {func() error { _, err := c.Quarantined(t.Context(), 99); return err }, 404},
		"between items":  {func() error { _, err := c.Drop(t.Context(), 19); return err }, 404},
		"item 0":         {func() error { _, err := c.Drop(t.Context(), 0); return err }, 400},
		"unknown output": {func() error { _, err := c.Resend(t.Context(), 17, []string{"nope"}); return err }, 400},
		"empty trace":    {func() error { _, err := c.Trace(t.Context(), ""); return err }, 400},
		"endless trace":  {func() error { _, err := c.Trace(t.Context(), strings.Repeat("x", 2000)); return err }, 400},
		"reversed range": {func() error { _, err := c.Audit(t.Context(), admin.AuditRequest{First: 5, Last: 3}); return err }, 400},
		"two beginnings": {func() error { _, err := c.Audit(t.Context(), admin.AuditRequest{First: 5, Since: 1}); return err }, 400},
		"audit of nothing": {func() error {
			_, err := c.Audit(t.Context(), admin.AuditRequest{Outputs: []string{"nope"}})
			return err
		}, 400},
		"audit of tomorrow": {func() error { _, err := c.Audit(t.Context(), admin.AuditRequest{Since: -1}); return err }, 400},
		"unknown loss":      {func() error { _, err := c.AcknowledgeLoss(t.Context(), 99); return err }, 404},
		"loss 0":            {func() error { _, err := c.AcknowledgeLoss(t.Context(), 0); return err }, 400},
		"replay to nobody":  {func() error { _, err := c.Replay(t.Context(), "nope", time.Hour); return err }, 400},
		"replay of nothing": {func() error { _, err := c.Replay(t.Context(), "siem", 0); return err }, 400},
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
		b.Queue.Items = append(b.Queue.Items, queue.DeadLetter{ID: id + 1})
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

// TestListenControlMakesItsFolder: for the service's group, and closed to others.
func TestListenControlMakesItsFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "run")
	l, err := admin.ListenControl(t.Context(), filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm()&^0o750 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := admin.NewClient(filepath.Join(t.TempDir(), "s"), "").Status(context.Background())
	if err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("%v", err)
	}
}
