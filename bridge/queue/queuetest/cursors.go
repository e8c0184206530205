package queuetest

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var cursorTests = []test{
	{name: "CursorsSurvive", run: testCursorsSurvive},
	{name: "ProgressRidesAlong", run: testProgressRidesAlong},
	{name: "ProgressAlone", run: testProgressAlone},
	{name: "ProgressOnRelease", run: testProgressOnRelease},
	{name: "AdvanceBounds", run: testAdvanceBounds},
}

// cursors complains unless the outputs' cursors are these.
func (t *trial) cursors(when string, want map[string]uint64) {
	t.Helper()
	for name, cursor := range want {
		if at := t.claim(name).Cursor(); at != cursor {
			t.Errorf("%s: %s is at %d, want %d", when, name, at, cursor)
		}
	}
}

func testCursorsSurvive(t *trial) {
	t.options.ProgressInterval = time.Hour // so that it is the close that syncs
	t.start("a", "b", "c")
	for round := range uint64(3) {
		t.fill(int(10*round), 10)
		last := 10 * (round + 1)
		t.advance(t.claim("a"), last)
		t.advance(t.claim("b"), last-3)
		t.restart()
		t.cursors("restarted", map[string]uint64{"a": last, "b": last - 3, "c": 0})
	}
	for round := range 3 { // numbers go on although no event is needed any more
		t.advance(t.claim("b"), t.q.Status().LastSeq)
		t.advance(t.claim("c"), t.q.Status().LastSeq)
		t.advance(t.claim("a"), t.q.Status().LastSeq)
		t.restart()
		if seq := t.accept(t.numbered(100 + round)); seq != uint64(31+round) {
			t.Errorf("sequence %d after a restart, want %d", seq, 31+round)
		}
	}
}

// testProgressRidesAlong: whoever is killed again and again, faster than progress is synced by itself, gets ahead all the
// same, since each append takes it along.
func testProgressRidesAlong(t *trial) {
	t.options.ProgressInterval = time.Hour
	t.start("a", "b")
	for round := range uint64(5) {
		first := t.accept(t.numbered(int(2 * round)))
		t.advance(t.claim("a"), first)
		t.accept(t.numbered(int(2*round + 1)))
		t.kill()
		t.cursors("killed", map[string]uint64{"a": first, "b": 0})
	}
}

// testProgressAlone: progress is synced soon although there is no append.
func testProgressAlone(t *trial) {
	t.start("a")
	t.fill(0, 10)
	before := t.q.Status().Commits
	t.advance(t.claim("a"), 7)
	t.eventually("a commit without an append", func() bool { return t.q.Status().Commits > before })
	t.kill()
	t.cursors("killed", map[string]uint64{"a": 7})
}

// testProgressOnRelease: the next owner begins where the last one has ended.
func testProgressOnRelease(t *trial) {
	t.options.ProgressInterval = time.Hour
	t.start("a")
	t.fill(0, 10)
	tenure := t.claim("a")
	t.advance(tenure, 4)
	tenure.Release()
	if at := t.claim("a").Cursor(); at != 4 {
		t.Errorf("the next owner begins at %d, want 4", at)
	}
	t.restart()
	t.cursors("restarted", map[string]uint64{"a": 4})
}

// testAdvanceBounds: no cursor moves back, or beyond the newest event.
func testAdvanceBounds(t *trial) {
	t.start("a", "b")
	t.fill(0, 5)
	tenure := t.claim("a")
	t.advance(tenure, 4)
	for _, through := range []uint64{0, 2, 4} {
		tenure.Advance(t.progress(1, through, queue.Filtered))
		if at := tenure.Cursor(); at != 4 {
			t.Errorf("after an advance to %d the cursor is at %d, want 4", through, at)
		}
	}
	for seq, r := range t.outcomes("a", 1, 4) {
		if r.Outcome != queue.Delivered {
			t.Errorf("sequence %d was delivered and is now %v", seq, r.Outcome)
		}
	}
	tenure.Advance(t.progress(5, 1000, queue.Delivered))
	if at := tenure.Cursor(); at != 5 {
		t.Errorf("after an advance to 1000 the cursor is at %d, want 5", at)
	}
	t.accept(t.numbered(5))
	for _, l := range t.lifetimes()[1:] {
		l.begin()
		t.cursors(l.name, map[string]uint64{"a": 5, "b": 0})
		if o := t.outcomes("a", 6, 6)[6]; o.Outcome != queue.Queued {
			t.Errorf("%s: sequence 6 is %v, was never sent", l.name, o.Outcome)
		}
	}
}
