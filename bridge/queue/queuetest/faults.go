package queuetest

import (
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var faultTests = []test{
	{name: "FailedOperations", run: testFailedOperations, needs: []need{failing}},
	{name: "FailedClose", run: testFailedClose, needs: []need{failing}},
	{name: "EverythingAtOnce", run: testEverythingAtOnce},
}

// testFailedOperations: whatever a disk that fails has refused has not happened, and what it could not take yet it takes when
// it is back.
func testFailedOperations(t *trial) {
	t.start("a", "b")
	events := t.fill(0, 5)
	t.append(t.numbered(5), "stale", queue.Quarantined)
	t.advance(t.claim("b"), 2)
	t.accept(t.numbered(6)) // takes it along
	id := t.items()[0].ID
	disk := t.world.(Failer)
	disk.FailWrites(true)
	b := t.claim("b")
	for what, do := range map[string]func() error{
		"re-send":    func() error { _, err := t.q.Resend(t.ctx(), id, nil); return err },
		"drop":       func() error { return t.q.DropDeadLetter(t.ctx(), id) },
		"quarantine": func() error { return b.Quarantine(t.ctx(), []queue.DeadLetter{t.refusal(b, events[3], 4)}) },
		"declare":    func() error { _, err := t.q.Declare(t.ctx(), append(t.specs, queue.OutputSpec{Name: "c"})); return err },
		"undeclare":  func() error { _, err := t.q.Declare(t.ctx(), t.specs[:1]); return err },
	} {
		t.want(what+" while writes fail", do(), queue.ErrUnavailable)
	}
	t.advance(t.claim("a"), 4)
	disk.FailWrites(false)
	t.eventually("healthy again", func() bool {
		t.clock.add(time.Second)
		return t.q.Status().Healthy
	})
	t.accept(t.numbered(7))
	for _, l := range t.lifetimes() {
		l.begin()
		t.cursors(l.name, map[string]uint64{"a": 4, "b": 2})
		items := t.items()
		if s := t.q.Status(); len(items) != 1 || items[0].ID != id || s.LastSeq != 7 || len(s.Outputs) != 2 {
			t.Errorf("%s: items %+v, status %+v", l.name, items, s)
		}
	}
}

// testFailedClose: a queue that can't sync what it was told says so, and can be opened again.
func testFailedClose(t *trial) {
	t.options.ProgressInterval = time.Hour
	t.start("a")
	events := t.fill(0, 5)
	t.advance(t.claim("a"), 3)
	disk := t.world.(Failer)
	disk.FailWrites(true)
	t.open = false
	if err := t.q.Close(t.ctx()); err == nil {
		t.Error("closed without an error although progress could not be synced")
	}
	t.world.Kill(t.q)
	disk.FailWrites(false)
	t.reopen()
	t.cursors("opened again", map[string]uint64{"a": 0})
	t.readBack(t.claim("a"), events)
}

// testEverythingAtOnce: whoever asks for whatever at the same time gets an answer, and the queue is sound afterwards. It is
// for the race detector.
func testEverythingAtOnce(t *trial) {
	t.start("a", "b")
	const n = 40
	e := t.numbered(n)
	t.append(e, "stale", queue.Quarantined)
	tenures := []*queue.Tenure{t.claim("a"), t.claim("b")}
	ctx := t.ctx()
	repeatedly := func(do func(i int) error) func() {
		return func() {
			for i := range n {
				if err := do(i); err != nil {
					t.Errorf("at once: %v", err)
					return
				}
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(repeatedly(func(i int) error { _, err := t.q.Append(ctx, t.numbered(i), ""); return err }))
	wg.Go(repeatedly(func(i int) error { _, err := t.q.Append(ctx, t.numbered(1000+i), "stale"); return err }))
	wg.Go(repeatedly(func(int) error { _, err := t.q.Append(ctx, e, "stale"); return err }))
	for _, tenure := range tenures {
		at := uint64(0)
		wg.Go(repeatedly(func(int) error {
			b, err := tenure.Read(ctx, at, 1, miB)
			at = b.Through
			t.advance(tenure, at)
			return err
		}))
		wg.Go(repeatedly(func(int) error { _, err := tenure.Range(ctx, 1, 5, miB); return err }))
		wg.Go(repeatedly(func(int) error { tenure.Valid(); tenure.Cursor(); return nil }))
	}
	wg.Go(repeatedly(func(int) error { _, err := t.q.Outcomes(ctx, "a", 1, n); return err }))
	wg.Go(repeatedly(func(int) error { _, err := t.q.Find(ctx, "d1"); return err }))
	wg.Go(repeatedly(func(int) error { _, err := t.q.LastAccepted(ctx); return err }))
	wg.Go(repeatedly(func(int) error { _, err := t.q.ListDeadLetters(ctx, 0, 10, true); return err }))
	wg.Go(repeatedly(func(int) error { _, err := t.q.Declare(ctx, t.specs); return err }))
	wg.Go(repeatedly(func(int) error { return t.q.Ping(ctx) }))
	wg.Go(repeatedly(func(int) error { t.q.Status(); t.q.Generation(); return nil }))
	wg.Go(repeatedly(func(int) error { t.q.SetLimits(t.options.Limits); return nil }))
	wg.Go(repeatedly(func(int) error {
		role, err := t.q.Hold(ctx, "keeper")
		if err == nil {
			role.Release()
		}
		return err
	}))
	wg.Wait()
	t.restart()
	if s := t.q.Status(); s.LastSeq != n || s.DeadLetters != n+1 || s.Events != 0 || !s.Healthy {
		t.Errorf("%+v", s)
	}
}
