package queuetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var outcomeTests = []test{
	{name: "Outcomes", run: testOutcomes},
	{name: "OutcomesInFlight", run: testOutcomesInFlight, needs: []need{stalling}},
	{name: "OutcomeTimes", run: testOutcomeTimes},
	{name: "OutcomesUntold", run: testOutcomesUntold},
	{name: "OutcomesLast", run: testOutcomesLast, needs: []need{clocked}},
	{name: "OutcomesExpire", run: testOutcomesExpire, needs: []need{clocked}},
}

// outcomes returns what became of each sequence, and complains unless the ranges cover first..last up to the newest
// sequence, in order.
func (t *trial) outcomes(output string, first, last uint64) map[uint64]queue.OutcomeRange {
	t.Helper()
	ranges, err := t.q.Outcomes(t.ctx(), output, first, last)
	t.must("outcomes", err)
	bySeq := make(map[uint64]queue.OutcomeRange)
	next := first
	for _, r := range ranges {
		if r.First != next || r.Last < r.First || r.Last > last {
			t.Fatalf("the ranges don't cover %d to %d in order: %+v", first, last, ranges)
		}
		for ; next <= r.Last; next++ {
			bySeq[next] = r
		}
	}
	if want := min(last, t.q.Status().LastSeq); next != want+1 {
		t.Fatalf("the ranges end at %d, want %d: %+v", next-1, want, ranges)
	}
	return bySeq
}

// testOutcomes: each event's outcome at each output, without gaps, over any lifetime.
func testOutcomes(t *trial) {
	t.start("a", "b")
	t.fill(0, 20)
	at := t.clock.now()
	r := func(first, last uint64, o queue.Outcome, level string) queue.OutcomeRange {
		return queue.OutcomeRange{First: first, Last: last, Outcome: o, Level: level, At: at}
	}
	tenure := t.claim("a")
	tenure.Advance(queue.Progress{Through: 6, Outcomes: []queue.OutcomeRange{r(1, 3, queue.Delivered, "stored"), r(4, 4, queue.Filtered, ""), r(5, 6, queue.Delivered, "kernel-acknowledged")}})
	tenure.Advance(queue.Progress{Through: 7, Outcomes: []queue.OutcomeRange{r(7, 7, queue.Delivered, "stored")}})
	tenure.Advance(queue.Progress{Through: 12, Outcomes: []queue.OutcomeRange{r(8, 8, queue.Refused, ""), r(9, 12, queue.Delivered, "stored")}})
	t.advance(t.claim("b"), 2)
	want := []string{"delivered stored", "delivered stored", "delivered stored", "filtered", "delivered kernel-acknowledged",
		"delivered kernel-acknowledged", "delivered stored", "quarantined", "delivered stored", "delivered stored", "delivered stored", "delivered stored"}
	t.fill(20, 1) // takes the progress along
	for _, l := range t.lifetimes() {
		l.begin()
		got := t.outcomes("a", 1, 1000)
		for seq := range uint64(21) {
			expect := "queued"
			if seq < uint64(len(want)) {
				expect = want[seq]
			}
			if o := outcomeText(got[seq+1]); o != expect {
				t.Errorf("%s: sequence %d is %q, want %q", l.name, seq+1, o, expect)
			}
		}
		for seq, o := range t.outcomes("b", 1, 4) {
			if (o.Outcome == queue.Delivered) != (seq <= 2) || (o.Outcome == queue.Queued) != (seq > 2) {
				t.Errorf("%s: sequence %d is %v at b", l.name, seq, o.Outcome)
			}
		}
		t.outcomes("a", 5, 5)
		t.outcomes("a", 8, 14)
	}
}

func outcomeText(r queue.OutcomeRange) string {
	if r.Level == "" {
		return r.Outcome.String()
	}
	return r.Outcome.String() + " " + r.Level
}

// testOutcomesInFlight: what was said is known at once, also while it is on its way to the disk.
func testOutcomesInFlight(t *trial) {
	t.options.ProgressInterval = time.Hour
	t.start("a")
	t.fill(0, 10)
	tenure := t.claim("a")
	delivered := func(when string, through uint64) {
		t.Helper()
		if at := tenure.Cursor(); at != through {
			t.Errorf("%s: the cursor is at %d, want %d", when, at, through)
		}
		for seq, o := range t.outcomes("a", 1, 10) {
			if want := outcomeIf(seq <= through, queue.Delivered, queue.Queued); o.Outcome != want {
				t.Errorf("%s: sequence %d is %v, want %v", when, seq, o.Outcome, want)
			}
		}
	}
	t.advance(tenure, 4)
	delivered("before it is written", 4)
	disk := t.world.(Staller)
	disk.StallWrites(true)
	_, err := t.q.Append(t.moment(), t.numbered(10), "") // takes it along
	t.want("append while the disk stalls", err, context.DeadlineExceeded)
	delivered("while it is written", 4)
	t.advance(tenure, 6)
	delivered("while the one before is written", 6)
	disk.StallWrites(false)
	for n := range 50 { // somewhere on the way of each of them
		t.accept(t.numbered(11 + n))
		tenure.Advance(t.progress(min(7, tenure.Cursor()+1), 7, queue.Delivered))
		delivered("after it is written", 7)
	}
}

// testOutcomeTimes: At is when the last event of a range was done, rounded up by less than a range may span.
func testOutcomeTimes(t *trial) {
	t.start("a")
	tenure := t.claim("a")
	var done []time.Time
	for i := range 40 {
		seq := t.accept(t.numbered(i))
		t.clock.add(7*time.Second + 123456789)
		done = append(done, t.clock.now())
		t.advance(tenure, seq)
	}
	t.fill(40, 1)
	for _, l := range t.lifetimes() {
		l.begin()
		got := t.outcomes("a", 1, 40)
		for i, at := range done {
			r := got[uint64(i+1)]
			last := done[r.Last-1]
			if r.At.Before(at) || r.At.After(last.Add(queue.RangeSpan)) || last.Sub(at) > queue.RangeSpan {
				t.Errorf("%s: sequence %d was done at %v, and is in %+v", l.name, i+1, at, r)
			}
		}
	}
}

// testOutcomesUntold: what nobody has said anything of is unknown.
func testOutcomesUntold(t *trial) {
	t.start("a")
	t.fill(0, 10)
	t.claim("a").Advance(queue.Progress{Through: 5})
	t.declare(queue.OutputSpec{Name: "a"}, queue.OutputSpec{Name: "late"})
	t.specs = append(t.specs, queue.OutputSpec{Name: "late"})
	t.fill(10, 1)
	for _, l := range t.lifetimes() {
		l.begin()
		for seq, o := range t.outcomes("a", 1, 11) {
			if (o.Outcome == queue.Unknown) != (seq <= 5) {
				t.Errorf("%s: sequence %d is %v", l.name, seq, o.Outcome)
			}
		}
		for seq, o := range t.outcomes("late", 1, 11) { // it was not there yet
			if (o.Outcome == queue.Unknown) != (seq <= 10) {
				t.Errorf("%s: sequence %d is %v at the new output", l.name, seq, o.Outcome)
			}
		}
		if got := t.outcomes("a", 12, 20); len(got) > 0 {
			t.Errorf("%s: outcomes beyond the newest event: %v", l.name, got)
		}
	}
}

// testOutcomesLast: an outcome is known for the whole window, also when its event is forgotten and the clock was set back behind it.
func testOutcomesLast(t *trial) {
	t.options.Window, t.options.Capacity = time.Hour, 4
	t.smallQueue()
	t.start("a")
	tenure := t.claim("a")
	sent, n := t.clock.now(), 0
	accept := func() uint64 {
		n++
		sent = sent.Add(time.Second)
		return t.accept(t.eventAt(sent, fmt.Sprint("d", n), fmt.Sprint("s", n), strings.Repeat("x", 16*kiB)))
	}
	first := accept()
	t.advance(tenure, first)
	t.clock.add(-50 * time.Minute)
	for range 200 {
		tenure.Advance(queue.Progress{Through: accept()})
	}
	t.clock.add(50*time.Minute + 55*time.Minute)
	for range 100 {
		tenure.Advance(queue.Progress{Through: accept()})
	}
	if o := t.outcomes("a", first, first)[first]; o.Outcome != queue.Delivered {
		t.Errorf("after 55 minutes of a window of 60 it is %v", o.Outcome)
	}
}

// testOutcomesExpire: outcomes are remembered for the window and not for ever.
func testOutcomesExpire(t *trial) {
	t.options.Window = time.Hour
	t.start("a")
	t.fill(0, 5)
	t.advance(t.claim("a"), 5)
	t.accept(t.numbered(5))
	t.clock.add(58 * time.Minute)
	t.restart()
	if o := t.outcomes("a", 1, 5)[5]; o.Outcome != queue.Delivered {
		t.Errorf("within the window it is %v", o.Outcome)
	}
	t.clock.add(5 * time.Minute)
	n := 6
	t.eventually("outcomes older than the window are forgotten", func() bool {
		t.advance(t.claim("a"), t.accept(t.numbered(n)))
		n++
		return t.outcomes("a", 1, 5)[1].Outcome == queue.Unknown
	})
}
