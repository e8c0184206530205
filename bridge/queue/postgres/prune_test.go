package postgres

import (
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// TestPruneInOrder: events go from the oldest on. One that was received while the clock was ahead keeps those behind it, and what is used up of
// max_bytes is counted right meanwhile.
func TestPruneInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	q := r.open("a", nil)
	tenure, err := q.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		e := r.event(n)
		e.ReceivedAt = time.Now().Add(-time.Minute)
		if n == 2 {
			e.ReceivedAt = time.Now().Add(10 * time.Minute)
		}
		if got, err := q.Append(r.ctx(), e, ""); err != nil || got.Verdict != queue.Accepted {
			t.Fatalf("append %d: %+v, %v", n, got, err)
		}
	}
	tenure.Advance(queue.Progress{Through: 6, Outcomes: []queue.OutcomeRange{{First: 1, Last: 6, Outcome: queue.Delivered, Level: "stored", At: time.Now()}}})
	var left, pruned int
	count := func() bool {
		err := q.db.pool.QueryRow(r.ctx(), q.db.sql("SELECT (SELECT count(*) FROM SCHEMA.event), pruned_seq FROM SCHEMA.meta")).Scan(&left, &pruned)
		return err == nil && pruned > 0
	}
	r.eventually("the oldest events to go", count)
	time.Sleep(2 * keepEvery) // the keeper's next looks must change nothing
	if count(); left != 4 || pruned != 2 {
		t.Errorf("%d events are left, pruned up to %d; want 4 and 2", left, pruned)
	}
	if err := q.refresh(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); s.Bytes != 0 || s.Events != 0 {
		t.Errorf("%d bytes of %d events are said to be needed", s.Bytes, s.Events)
	}
}
