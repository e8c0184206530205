package queuetest

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var roomTests = []test{
	{name: "Full", run: testFull},
	{name: "TooLarge", run: testTooLarge},
	{name: "SetLimits", run: testSetLimits},
	{name: "DropOldest", run: testDropOldest},
	{name: "DropOldestAndDelivered", run: testDropOldestAndDelivered},
	{name: "ReplayDropped", run: testReplayDropped},
	{name: "DropOldestInVain", run: testDropOldestInVain},
	{name: "DropOldestKeepsOthers", run: testDropOldestKeepsOthers},
}

// smallQueue makes max_bytes small enough to be used up.
func (t *trial) smallQueue() {
	t.options.Limits.MaxBytes, t.options.Limits.MaxEventBytes = miB, 256*kiB
}

// testFull: a full queue refuses what is new, answers what it knows, is still healthy, and recovers when there is room.
func testFull(t *trial) {
	t.smallQueue()
	t.start("a", "b")
	first := t.sized(0, 16*kiB)
	t.accept(first)
	last := t.fillUp(1, 16*kiB)
	if last < 24 {
		t.Errorf("full after %d events of 16 KiB, max_bytes is 1 MiB", last)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		e := t.sized(500, 16*kiB)
		_, err := t.q.Append(t.ctx(), e, "")
		t.want(l.name+": append to a full queue", err, queue.ErrFull)
		t.append(first, "", queue.Duplicate)
		t.append(t.eventOf("d0", string(first.Body)), "stale", queue.Duplicate)
		t.append(t.event("", l.name), "stale", queue.Quarantined)
		s := t.q.Status()
		if !s.Full || !s.Healthy || s.Problem == "" || t.q.Generation() == 0 || s.LastSeq != last || s.Events != last || s.MaxBytes != miB {
			t.Errorf("%s: %+v", l.name, s)
		}
	}
	t.advance(t.claim("a"), 10)
	_, err := t.q.Append(t.ctx(), t.sized(501, 16*kiB), "")
	t.want("append while the other output holds everything back", err, queue.ErrFull)
	t.advance(t.claim("b"), 5)
	t.eventually("it is not full any more", func() bool { return !t.q.Status().Full })
	for i := range 3 {
		t.accept(t.sized(510+i, 16*kiB))
	}
}

// testTooLarge: what can never fit is refused, and changes nothing.
func testTooLarge(t *trial) {
	t.smallQueue()
	t.startWith(dropping("a"))
	t.fill(0, 3)
	_, err := t.q.Append(t.ctx(), t.sized(10, 2*miB), "")
	t.want("append 2 MiB where max_bytes is 1 MiB", err, queue.ErrFull)
	t.fill(3, 3)
	if s := t.q.Status(); !s.Healthy || s.LastSeq != 6 {
		t.Errorf("%+v", s)
	}
	t.readBackCount(t.claim("a"), 6)
}

func testSetLimits(t *trial) {
	t.smallQueue()
	t.start("a")
	last := t.fillUp(0, 16*kiB)
	t.q.SetLimits(queue.Limits{MaxBytes: 4 * miB})
	for i := range int(last) {
		t.accept(t.sized(1000+i, 16*kiB))
	}
	if s := t.q.Status(); s.MaxBytes != 4*miB || s.QuarantineMaxBytes != t.options.Limits.QuarantineMaxBytes {
		t.Errorf("limits are %d and %d", s.MaxBytes, s.QuarantineMaxBytes)
	}
	t.q.SetLimits(queue.Limits{MaxBytes: miB, QuarantineMaxBytes: 2 * miB})
	_, err := t.q.Append(t.ctx(), t.sized(5000, 16*kiB), "")
	t.want("append beyond a lowered limit", err, queue.ErrFull)
	if s := t.q.Status(); s.MaxBytes != miB || s.QuarantineMaxBytes != 2*miB || s.Events != 2*last {
		t.Errorf("%+v", s)
	}
	t.readBackCount(t.claim("a"), 2*last)
}

// readBackCount wants all events up to last to be there.
func (t *trial) readBackCount(tenure *queue.Tenure, last uint64) {
	t.Helper()
	if events, gaps := t.read(tenure, 0, last); uint64(len(events)) != last || len(gaps) > 0 {
		t.Errorf("read %d events and gaps %v, want %d", len(events), gaps, last)
	}
}

func dropping(name string) queue.OutputSpec { return queue.OutputSpec{Name: name, DropOldest: true} }

// testDropOldest: where only drop_oldest outputs hold events back, the oldest go, and it is told everywhere.
func testDropOldest(t *trial) {
	t.smallQueue()
	t.startWith(queue.OutputSpec{Name: "keen"}, dropping("lazy"))
	const events = 150
	for i := range events {
		t.advance(t.claim("keen"), t.accept(t.sized(i, 16*kiB)))
	}
	dropped := t.outputStatus("lazy").Dropped
	if dropped < events-64 || dropped > events-24 || t.outputStatus("keen").Dropped != 0 {
		t.Fatalf("of %d events of 16 KiB %d are dropped, max_bytes is 1 MiB", events, dropped)
	}
	if at := t.claim("lazy").Cursor(); at != dropped {
		t.Errorf("the cursor is at %d, %d are dropped", at, dropped)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		tenure := t.claim("lazy")
		if at := tenure.Cursor(); at != dropped {
			t.Errorf("%s: the cursor is at %d, %d are dropped", l.name, at, dropped)
		}
		got, gaps := t.read(tenure, 0, events)
		if len(got) != int(events-dropped) || got[0].Seq != dropped+1 {
			t.Errorf("%s: read %v, %d are dropped", l.name, sequences(got), dropped)
		}
		next := uint64(1)
		for _, g := range gaps {
			if g.Outcome != queue.Dropped || g.First != next {
				t.Errorf("%s: gap %+v", l.name, g)
			}
			next = g.Last + 1
		}
		if next != dropped+1 {
			t.Errorf("%s: gaps %v, want those of %d dropped events", l.name, gaps, dropped)
		}
		for seq, o := range t.outcomes("lazy", 1, events) {
			if (o.Outcome == queue.Dropped) != (seq <= dropped) || (o.Outcome == queue.Queued) != (seq > dropped) {
				t.Fatalf("%s: sequence %d is %v, %d are dropped", l.name, seq, o.Outcome, dropped)
			}
		}
		for seq, o := range t.outcomes("keen", 1, events-1) {
			if o.Outcome != queue.Delivered && (l.name != "killed" || seq < events) {
				t.Fatalf("%s: sequence %d is %v at the other output", l.name, seq, o.Outcome)
			}
		}
	}
}

// testDropOldestAndDelivered: what had left the host when the queue gave it up was delivered.
func testDropOldestAndDelivered(t *trial) {
	t.smallQueue()
	t.startWith(dropping("lazy"))
	t.accept(t.sized(0, 16*kiB))
	tenure := t.claim("lazy")
	n := 1
	for ; tenure.Cursor() < 8; n++ {
		t.accept(t.sized(n, 16*kiB))
	}
	dropped := tenure.Cursor()
	tenure.Advance(t.progress(1, 3, queue.Delivered)) // all below the cursor
	if at := tenure.Cursor(); at != dropped {
		t.Errorf("the cursor went from %d to %d", dropped, at)
	}
	tenure.Advance(t.progress(5, dropped+2, queue.Delivered)) // beyond it
	for t.outputStatus("lazy").Dropped < dropped+2 {          // takes it along
		t.accept(t.sized(n, 16*kiB))
		n++
	}
	for _, l := range t.lifetimes() {
		l.begin()
		for seq, o := range t.outcomes("lazy", 1, dropped+2) {
			if want := seq != 4; (o.Outcome == queue.Delivered) != want || (o.Outcome == queue.Dropped) == want {
				t.Errorf("%s: sequence %d is %v", l.name, seq, o.Outcome)
			}
		}
	}
}

// testReplayDropped: what was dropped at an output and is still there comes when an operator asks for it again.
func testReplayDropped(t *trial) {
	t.smallQueue()
	t.startWith(dropping("lazy"))
	last := uint64(0)
	for tenure := t.claim("lazy"); tenure.Cursor() < 8; {
		last = t.accept(t.sized(int(last), 16*kiB))
	}
	n, err := t.q.Replay(t.ctx(), "lazy", t.clock.now().Add(-time.Hour))
	t.must("replay", err)
	at := t.claim("lazy").Cursor()
	if at != last-n {
		t.Errorf("the cursor is at %d of %d, and %d are sent again", at, last, n)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		t.readRest(t.claim("lazy"), at, last)
	}
	t.advance(t.claim("lazy"), last)
	for seq, o := range t.outcomes("lazy", at+1, last) {
		if o.Outcome != queue.Delivered {
			t.Errorf("sequence %d is %v", seq, o.Outcome)
		}
	}
}

// testDropOldestInVain: nothing is dropped for an event that finds no room all the same.
func testDropOldestInVain(t *trial) {
	t.smallQueue()
	t.startWith(queue.OutputSpec{Name: "stuck"}, dropping("lazy"))
	for i := range 8 {
		t.accept(t.sized(i, 16*kiB))
	}
	t.advance(t.claim("stuck"), 4) // about 64 KiB could be had
	var last uint64
	for n := 100; ; n++ { // up to where dropping would have to begin
		before := t.claim("lazy").Cursor()
		seq, err := t.q.Append(t.ctx(), t.sized(n, 4*kiB), "")
		if err != nil {
			t.must("append", err)
		}
		if t.claim("lazy").Cursor() > before {
			last = seq.Seq
			break
		}
	}
	before := t.claim("lazy").Cursor()
	_, err := t.q.Append(t.ctx(), t.sized(5000, 240*kiB), "")
	t.want("append what is larger than what can be dropped", err, queue.ErrFull)
	for _, l := range t.lifetimes() {
		l.begin()
		if at := t.claim("lazy").Cursor(); at != before {
			t.Errorf("%s: the cursor went from %d to %d for an event that was refused", l.name, before, at)
		}
		if got := t.q.Status().LastSeq; got != last {
			t.Errorf("%s: the last sequence is %d, was %d", l.name, got, last)
		}
		t.readRest(t.claim("lazy"), before, last)
		t.readRest(t.claim("stuck"), t.claim("stuck").Cursor(), last)
	}
}

// readRest wants everything above cursor to be there.
func (t *trial) readRest(tenure *queue.Tenure, cursor, last uint64) {
	t.Helper()
	if events, gaps := t.read(tenure, cursor, last); uint64(len(events)) != last-cursor || len(gaps) > 0 {
		t.Errorf("%s: read %d events and gaps %v, want %d to %d", tenure.Output, len(events), gaps, cursor+1, last)
	}
}

// testDropOldestKeepsOthers: what an output without drop_oldest needs is never dropped, not even for the others.
func testDropOldestKeepsOthers(t *trial) {
	t.smallQueue()
	t.startWith(queue.OutputSpec{Name: "stuck"}, dropping("lazy"), dropping("idle"))
	last := t.fillUp(0, 16*kiB)
	for _, l := range t.lifetimes() {
		l.begin()
		for _, name := range []string{"stuck", "lazy", "idle"} {
			tenure := t.claim(name)
			if at := tenure.Cursor(); at != 0 {
				t.Errorf("%s: %s is at %d", l.name, name, at)
			}
			t.readBackCount(tenure, last)
		}
	}
	t.advance(t.claim("stuck"), last)
	t.advance(t.claim("idle"), 3) // some of what is dropped it has had
	seq := t.accept(t.sized(1000, 16*kiB))
	lazy, idle := t.claim("lazy").Cursor(), t.claim("idle").Cursor()
	if seq != last+1 || lazy == 0 || lazy > 10 || idle != max(3, lazy) {
		t.Errorf("sequence %d after %d; the outputs are at %d and %d", seq, last, lazy, idle)
	}
	for seq, o := range t.outcomes("idle", 1, lazy) {
		if want := outcomeIf(seq <= 3, queue.Delivered, queue.Dropped); o.Outcome != want {
			t.Errorf("sequence %d is %v at idle, want %v", seq, o.Outcome, want)
		}
	}
}

func outcomeIf(is bool, then, otherwise queue.Outcome) queue.Outcome {
	if is {
		return then
	}
	return otherwise
}
