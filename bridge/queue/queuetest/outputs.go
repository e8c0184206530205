package queuetest

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var outputTests = []test{
	{name: "DeclareNew", run: testDeclareNew},
	{name: "DeclareFirst", run: testDeclareFirst},
	{name: "DeclareKnown", run: testDeclareKnown},
	{name: "RemovedOutput", run: testRemovedOutput},
	{name: "RemovedWhileStopped", run: testRemovedWhileStopped},
	{name: "Forget", run: testForget},
	{name: "Replay", run: testReplay},
	{name: "ReplayWithoutKeep", run: testReplayWithoutKeep},
	{name: "ReplayKept", run: testReplayKept},
	{name: "KeepYieldsRoom", run: testKeepYieldsRoom},
}

// end ends an output, by a declaration of others, and returns what it had left.
func (t *trial) end(name string, others ...queue.OutputSpec) uint64 {
	t.Helper()
	t.specs = others
	left := t.declare(others...)
	if !t.engine.Shared {
		n, ok := left[name]
		if !ok || len(left) != 1 {
			t.Errorf("ended outputs: %v, want %s", left, name)
		}
		return n
	}
	n, err := t.q.Forget(t.ctx(), name)
	t.must("forget "+name, err)
	return n
}

// testDeclareNew: a new output begins now, or with the oldest kept event.
func testDeclareNew(t *trial) {
	t.start("a")
	t.fill(0, 10)
	t.advance(t.claim("a"), 4)
	t.eventually("four events are no longer needed", func() bool { return t.q.Status().Events == 6 })
	t.specs = append(t.specs, queue.OutputSpec{Name: "now"}, queue.OutputSpec{Name: "oldest", StartAtOldest: true})
	if left := t.declare(t.specs...); len(left) > 0 {
		t.Errorf("ended outputs: %v", left)
	}
	oldest := t.claim("oldest").Cursor()
	if oldest > 4 {
		t.Errorf("it begins after %d, and the oldest event that is needed is 5", oldest)
	}
	t.fill(10, 1) // what comes now is for all of them
	for _, l := range t.lifetimes() {
		l.begin()
		t.cursors(l.name, map[string]uint64{"now": 10, "oldest": oldest})
		t.readRest(t.claim("now"), 10, 11)
		t.readRest(t.claim("oldest"), oldest, 11)
	}
}

// testDeclareFirst: what came before there was any output is kept for the first one.
func testDeclareFirst(t *trial) {
	t.openOnly()
	t.fill(0, 5)
	t.close()
	t.startWith(queue.OutputSpec{Name: "oldest", StartAtOldest: true}, queue.OutputSpec{Name: "now"})
	t.readBackCount(t.claim("oldest"), 5)
	t.cursors("declared", map[string]uint64{"oldest": 0, "now": 5})
}

// testDeclareKnown: an output that is known keeps its place, whatever its declaration says now.
func testDeclareKnown(t *trial) {
	t.start("a", "b")
	t.fill(0, 5)
	tenure := t.claim("a")
	t.advance(tenure, 3)
	for _, spec := range []queue.OutputSpec{{Name: "a", DropOldest: true}, {Name: "a", StartAtOldest: true}, {Name: "a"}} {
		if left := t.declare(spec, queue.OutputSpec{Name: "b"}); len(left) > 0 {
			t.Errorf("ended outputs: %v", left)
		}
		if at := tenure.Cursor(); at != 3 || !tenure.Valid() {
			t.Errorf("declared as %+v the cursor is at %d, valid %v", spec, at, tenure.Valid())
		}
	}
}

// testRemovedOutput: an output that no bridge names ends. It is told what it had left, its events are free, its worker stops,
// and if it comes back it is a new one.
func testRemovedOutput(t *trial) {
	t.start("a", "gone")
	t.fill(0, 10)
	t.advance(t.claim("a"), 8)
	gone := t.claim("gone")
	t.advance(gone, 3)
	reading := make(chan error, 1)
	ctx := t.ctx()
	go func() {
		_, err := gone.Read(ctx, 10, 1, miB)
		reading <- err
	}()
	if left := t.end("gone", queue.OutputSpec{Name: "a"}); left != 7 {
		t.Errorf("it had %d events left, want 7", left)
	}
	t.want("a read that waits while the output ends", <-reading, queue.ErrLost)
	t.lost("ended", gone)
	gone.Advance(t.progress(4, 9, queue.Delivered))
	_, err := t.q.Claim(t.ctx(), "gone")
	t.want("claim", err, queue.ErrNotFound)
	t.eventually("its events are free", func() bool { return t.q.Status().Events == 2 })
	for _, l := range t.lifetimes() {
		l.begin()
		if s := t.q.Status(); len(s.Outputs) != 1 || s.Outputs[0].Name != "a" {
			t.Errorf("%s: outputs %+v", l.name, s.Outputs)
		}
	}
	t.declare(queue.OutputSpec{Name: "a"}, queue.OutputSpec{Name: "gone"})
	t.cursors("declared again", map[string]uint64{"gone": 10})
}

// lost complains unless a lease is over and says so.
func (t *trial) lost(why string, l queue.Lease) {
	t.Helper()
	select {
	case <-l.Lost():
	case <-t.ctx().Done():
		t.Errorf("%s: Lost is not closed", why)
	}
	if l.Valid() {
		t.Errorf("%s: still valid", why)
	}
}

// testRemovedWhileStopped: an output that is gone from the configuration at the next start.
func testRemovedWhileStopped(t *trial) {
	t.start("a", "gone")
	t.fill(0, 10)
	t.advance(t.claim("a"), 10)
	t.advance(t.claim("gone"), 4)
	t.close()
	t.openOnly()
	if n := t.q.Status().Events; n != 6 {
		t.Errorf("before the declaration %d events are needed, want 6", n)
	}
	if left := t.end("gone", queue.OutputSpec{Name: "a"}); left != 6 {
		t.Errorf("it had %d events left, want 6", left)
	}
	t.eventually("its events are free", func() bool { return t.q.Status().Events == 0 })
	t.kill()
	if s := t.q.Status(); s.Events != 0 || len(s.Outputs) != 1 {
		t.Errorf("%+v", s)
	}
}

func testForget(t *trial) {
	t.start("a")
	_, err := t.q.Forget(t.ctx(), "typo")
	t.want("forget an output that isn't there", err, queue.ErrNotFound)
	if _, err := t.q.Forget(t.ctx(), "a"); err == nil {
		t.Error("an output that this bridge has declared was forgotten")
	}
	t.claim("a")
}

// testReplay: a cursor moves back to the first event that was received at or after a time, and its worker begins anew.
func testReplay(t *trial) {
	t.start("a", "slow") // which keeps everything
	events := t.fill(0, 10)
	tenure := t.claim("a")
	t.advance(tenure, 10)
	n, err := t.q.Replay(t.ctx(), "a", events[6].ReceivedAt)
	if err != nil || n != 4 {
		t.Errorf("%d events are sent again, want 4; %v", n, err)
	}
	t.lost("replayed", tenure)
	tenure.Advance(t.progress(7, 10, queue.Delivered)) // its worker doesn't know yet
	t.cursors("replayed", map[string]uint64{"a": 6, "slow": 0})
	t.fill(10, 1)
	for _, l := range t.lifetimes() {
		l.begin()
		t.cursors(l.name, map[string]uint64{"a": 6})
		t.readRest(t.claim("a"), 6, 11)
		for seq, o := range t.outcomes("a", 1, 10) {
			if (o.Outcome == queue.Queued) != (seq > 6) {
				t.Errorf("%s: sequence %d is %v", l.name, seq, o.Outcome)
			}
		}
	}
	n, err = t.q.Replay(t.ctx(), "a", events[0].ReceivedAt.Add(-time.Hour))
	if err != nil || n != 11 {
		t.Errorf("all %d are sent again, want 11; %v", n, err)
	}
	t.cursors("replayed from the beginning", map[string]uint64{"a": 0})
	t.advance(t.claim("a"), 5)
	if _, err = t.q.Replay(t.ctx(), "a", t.clock.now().Add(time.Hour)); err != nil {
		t.Errorf("replay of nothing: %v", err)
	}
	t.cursors("replayed from the future on", map[string]uint64{"a": 5})
	_, err = t.q.Replay(t.ctx(), "typo", t.clock.now())
	t.want("replay an output that isn't there", err, queue.ErrNotFound)
}

// testReplayWithoutKeep: as far as events are still there, and no further.
func testReplayWithoutKeep(t *trial) {
	t.start("a")
	t.fill(0, 10)
	t.advance(t.claim("a"), 7)
	t.eventually("the events are not needed", func() bool { return t.q.Status().Events == 3 })
	n, err := t.q.Replay(t.ctx(), "a", t.clock.now().Add(-time.Hour))
	tenure := t.claim("a")
	at := tenure.Cursor()
	events, _ := t.read(tenure, at, 10)
	if err != nil || at > 7 || uint64(len(events)) != n || n < 3 {
		t.Errorf("%d events are sent again, %d were read after %d; %v", n, len(events), at, err)
	}
}

// testReplayKept: keep makes delivered events stay.
func testReplayKept(t *trial) {
	t.options.Limits.Keep = 24 * time.Hour
	t.start("a")
	events := t.fill(0, 10)
	t.advance(t.claim("a"), 10)
	t.eventually("nothing is needed", func() bool { return t.q.Status().Events == 0 })
	t.clock.add(23 * time.Hour)
	t.fill(10, 2)
	t.advance(t.claim("a"), 12)
	for range 2 {
		t.restart()
		if n, err := t.q.Replay(t.ctx(), "a", events[3].ReceivedAt); err != nil || n != 9 {
			t.Errorf("%d events are sent again, want 9; %v", n, err)
		}
		t.readRest(t.claim("a"), 3, 12)
		t.advance(t.claim("a"), 12)
	}
}

// testKeepYieldsRoom: what is kept for a replay makes room for what is new.
func testKeepYieldsRoom(t *trial) {
	t.smallQueue()
	t.options.Limits.Keep = 24 * time.Hour
	t.start("a")
	for i := range 150 {
		seq, err := t.q.Append(t.ctx(), t.sized(i, 16*kiB), "")
		t.must("append", err)
		t.advance(t.claim("a"), seq.Seq)
	}
	if s := t.q.Status(); s.Full || s.Events > 1 {
		t.Errorf("%+v", s)
	}
}
