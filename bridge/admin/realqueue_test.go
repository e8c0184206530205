package admin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// realQueue is the control socket over the local queue with the outputs a and b.
func realQueue(t *testing.T) (queue.Queue, *admin.Client) {
	t.Helper()
	q, err := local.Open(t.Context(), local.Options{Directory: t.TempDir(), Bridge: "here"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "a"}, {Name: "b"}}); err != nil {
		t.Fatal(err)
	}
	s := admin.New(admin.Options{Source: &admintest.Source{}, Queue: q, Metrics: prometheus.NewRegistry(), Log: quiet(), Now: time.Now})
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	l, err := admin.ListenControl(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeControl(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := q.Close(context.Background()); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return q, admin.NewClient(path, "")
}

func appendEvent(t *testing.T, q queue.Appender, n int, reason string) queue.Receipt {
	t.Helper()
	body := fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","timestamp":%q,"data":{"signal_id":"s-%d"}}`, time.Now().UTC().Format(time.RFC3339), n)
	e := &queue.Event{ReceivedAt: time.Now(), Endpoint: "main", DeliveryID: fmt.Sprintf("d-%d", n), SecretName: "k", ReceivedBy: "here", Body: body}
	var err error
	if e.Signal, err = signal.Decode(body); err != nil {
		t.Fatal(err)
	}
	r, err := q.Append(t.Context(), e, reason)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWithTheLocalQueue: what the views say about a real queue, through the real socket.
func TestWithTheLocalQueue(t *testing.T) {
	t.Parallel()
	q, c := realQueue(t)
	for n := range 10 {
		appendEvent(t, q, n+1, "")
	}
	if r := appendEvent(t, q, 99, "stale"); r.Verdict != queue.Quarantined {
		t.Fatalf("%+v", r)
	}
	now := time.Now()
	tenure, err := q.Claim(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer tenure.Release()
	batch, err := tenure.Read(t.Context(), 5, 1, 1<<20)
	if err != nil || len(batch.Events) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	refused := queue.DeadLetter{Reason: "400", Output: "a", At: now, Event: *batch.Events[0]}
	if err := tenure.Quarantine(t.Context(), []queue.DeadLetter{refused}); err != nil {
		t.Fatal(err)
	}
	tenure.Advance(queue.Progress{Through: 7, Outcomes: []queue.OutcomeRange{
		{First: 1, Last: 5, Outcome: queue.Delivered, Level: "stored", At: now}, {First: 6, Last: 6, Outcome: queue.Refused, At: now},
		{First: 7, Last: 7, Outcome: queue.Filtered, At: now},
	}})

	checkAccount(t, c, "a received=10 delivered=5 queued=3 quarantined=1 filtered=1 lost=0 unknown=0")
	checkAccount(t, c, "b received=10 delivered=0 queued=10 quarantined=0 filtered=0 lost=0 unknown=0")
	checkTrace(t, c, "d-2", "accepted 2 a=delivered/stored b=queued/")
	checkTrace(t, c, "s-6", "accepted 6 a=quarantined/ b=queued/")
	checkTrace(t, c, "d-99", "quarantined 0")

	list, err := c.Quarantine(t.Context(), 0)
	if err != nil || len(list.Items) != 2 || list.Items[0].Reason != "stale" || list.Items[1].Seq != 6 {
		t.Fatalf("%+v, %v", list, err)
	}
	it, err := c.Quarantined(t.Context(), list.Items[0].ID)
	if err != nil || it.SignalID != "s-99" || !strings.Contains(it.Body, `"s-99"`) {
		t.Fatalf("%+v, %v", it, err)
	}
	a, err := c.Resend(t.Context(), list.Items[1].ID, nil)
	if err != nil || a.Seq != 11 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := c.Drop(t.Context(), list.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if list, err = c.Quarantine(t.Context(), 0); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	checkAccount(t, c, "a received=11 delivered=5 queued=4 quarantined=1 filtered=1 lost=0 unknown=0")
	if losses, err := c.Losses(t.Context()); err != nil || len(losses.Losses) != 0 {
		t.Errorf("%+v, %v", losses, err)
	}
	if a, err := c.Audit(t.Context(), admin.AuditRequest{Since: time.Hour}); err != nil || a.Outputs[0].First != 1 || a.Outputs[0].Received != 11 {
		t.Errorf("%+v, %v", a, err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Queue.LastSeq != 11 || !st.Queue.Healthy || st.Queue.BridgeID == "" {
		t.Errorf("%+v, %v", st.Queue, err)
	}
}

func checkAccount(t *testing.T, c *admin.Client, want string) {
	t.Helper()
	name, _, _ := strings.Cut(want, " ")
	all, err := c.Audit(t.Context(), admin.AuditRequest{Outputs: []string{name}})
	if err != nil || len(all.Outputs) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	r := all.Outputs[0]
	got := fmt.Sprintf("%s received=%d delivered=%d queued=%d quarantined=%d filtered=%d lost=%d unknown=%d",
		r.Output, r.Received, r.Delivered, r.Queued, r.Quarantined, r.Filtered, r.Lost, r.Unknown)
	if got != want {
		t.Errorf("account\n got %s\nwant %s", got, want)
	}
}

func checkTrace(t *testing.T, c *admin.Client, id, want string) {
	t.Helper()
	tr, err := c.Trace(t.Context(), id)
	if err != nil || len(tr.Events) != 1 {
		t.Fatalf("%s: %+v, %v", id, tr, err)
	}
	e := tr.Events[0]
	got := fmt.Sprintf("%s %d", e.Verdict, e.Seq)
	for _, o := range e.Outputs {
		got += fmt.Sprintf(" %s=%s/%s", o.Output, o.Outcome, o.Level)
	}
	if got != want {
		t.Errorf("%s: %s, want %s", id, got, want)
	}
}
