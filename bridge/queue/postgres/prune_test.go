package postgres

import (
	"sync/atomic"
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

// TestPruneResent: a repeated re-send gives the same sequence however long ago the first one was, for the newest queue.MaxResent of them.
func TestPruneResent(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	var ahead atomic.Int64
	q := r.open("a", func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	if got, err := q.Append(r.ctx(), r.event(1), "held"); err != nil || got.Verdict != queue.Quarantined {
		t.Fatalf("%+v, %v", got, err)
	}
	items, err := q.ListDeadLetters(r.ctx(), 0, 1, true)
	if err != nil || len(items) != 1 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	seq, err := q.Resend(r.ctx(), items[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	fill := q.db.sql("INSERT INTO SCHEMA.resent SELECT n, -n FROM generate_series($1::bigint, $2) n")
	if _, err := q.db.pool.Exec(r.ctx(), fill, 1000, 1000+queue.MaxResent-2); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(1000 * time.Hour))
	left := func() (n int) {
		q.prune(r.ctx())
		if err := q.db.pool.QueryRow(r.ctx(), q.db.sql("SELECT count(*) FROM SCHEMA.resent")).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := left(); n != queue.MaxResent {
		t.Fatalf("%d re-sends are remembered, want %d", n, queue.MaxResent)
	}
	if again, err := q.Resend(r.ctx(), items[0].ID, nil); err != nil || again != seq {
		t.Fatalf("re-sent again as %d, %v; was %d", again, err, seq)
	}
	if _, err := q.db.pool.Exec(r.ctx(), fill, 5000, 5009); err != nil {
		t.Fatal(err)
	}
	if n := left(); n != queue.MaxResent {
		t.Errorf("%d re-sends are remembered, want %d", n, queue.MaxResent)
	}
	if again, err := q.Resend(r.ctx(), items[0].ID, nil); err != nil || again != seq {
		t.Errorf("the newest re-send is %d, %v; was %d", again, err, seq)
	}
}
