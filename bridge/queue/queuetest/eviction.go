package queuetest

import (
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var memoryTests = []test{
	{name: "Evicted", run: testEvicted},
	{name: "LoweredCapacity", run: testLoweredCapacity},
	{name: "LookupsKeepAge", run: testLookupsKeepAge},
	{name: "WindowExpires", run: testWindowExpires, needs: []need{clocked}},
	{name: "ClockAhead", run: testClockAhead, needs: []need{clocked}},
}

// slack is how many more deliveries than its capacity an engine may remember, so that it can forget in steps.
func slack(capacity int) int { return max(16, capacity/4) }

// testEvicted: what a full memory had to forget is not accepted a second time, whatever its delivery ID; what is newer is
// not affected; and all of it survives.
func testEvicted(t *trial) {
	t.options.Capacity = 20
	t.start("a")
	forgotten := t.options.Capacity + slack(t.options.Capacity) // of so many, at least, among twice as many and more
	events := t.fill(0, 2*forgotten)
	elsewhere := t.eventOf("d", string(events[0].Body))
	elsewhere.Endpoint = "second"
	for round, l := range t.lifetimes() {
		l.begin()
		for i, e := range events {
			r, err := t.q.Append(t.ctx(), t.eventOf(fmt.Sprint("again", i), string(e.Body)), "")
			evicted := r.Verdict == queue.Quarantined && r.Reason == queue.ReasonEvicted
			known := r.Verdict == queue.Duplicate && r.Seq == uint64(i+1)
			sure := i >= len(events)-t.options.Capacity+round // one more event is appended each round
			if err != nil || !evicted && !known || evicted && sure || known && i < forgotten-slack(t.options.Capacity) {
				t.Fatalf("%s, event %d of %d: %+v, %v", l.name, i, len(events), r, err)
			}
		}
		t.append(t.event("", fmt.Sprint("new", round)), "", queue.Accepted)
		s := t.q.Status()
		if s.Capacity != t.options.Capacity || s.Remembered > t.options.Capacity+slack(t.options.Capacity) {
			t.Errorf("%s: %+v", l.name, s)
		}
		if round == 0 && s.Evicted == 0 {
			t.Errorf("nothing is said of %d events that were forced out: %+v", forgotten, s)
		}
	}
	t.append(elsewhere, "", queue.Accepted)
}

// testLoweredCapacity: what a smaller memory can't hold any more is quarantined, not accepted, also after restarts.
func testLoweredCapacity(t *trial) {
	t.start("a")
	events := t.fill(0, 60)
	t.options.Capacity = 5
	for round := range 3 {
		t.restart()
		t.append(t.event("", fmt.Sprint("new", round)), "", queue.Accepted)
		for i, e := range events {
			r, err := t.q.Append(t.ctx(), e, "")
			if err != nil || r.Verdict == queue.Accepted || r.Verdict == queue.Duplicate && i < len(events)-t.options.Capacity-slack(t.options.Capacity) {
				t.Fatalf("round %d, event %d: %+v, %v", round, i, r, err)
			}
		}
	}
}

// testLookupsKeepAge: a delivery that is looked up again and again is forgotten when it is its turn.
func testLookupsKeepAge(t *trial) {
	t.options.Capacity = 20
	t.start("a")
	first := t.numbered(0)
	t.accept(first)
	for i := 1; i <= t.options.Capacity+slack(t.options.Capacity); i++ {
		if _, err := t.q.Append(t.ctx(), first, ""); err != nil {
			t.Fatal(err)
		}
		t.accept(t.numbered(i))
	}
	if r := t.append(first, "", queue.Quarantined); r.Reason != queue.ReasonEvicted {
		t.Errorf("%+v", r)
	}
}

// testWindowExpires: a delivery counts for the window, and no look-up makes that longer.
func testWindowExpires(t *trial) {
	t.options.Window = time.Hour
	t.start("a")
	e := t.eventAt(t.clock.now().Add(-2*time.Hour), "d", "s")
	t.accept(e)
	t.clock.add(59 * time.Minute)
	t.append(e, "", queue.Duplicate)
	t.append(t.event("d", "s"), "", queue.Duplicate)
	t.clock.add(2 * time.Minute)
	again := *e
	again.ReceivedAt = t.clock.now()
	if r := t.append(&again, "", queue.Accepted); r.Seq != 2 || r.Reused {
		t.Errorf("%+v", r)
	}
	t.append(&again, "", queue.Duplicate)
}

// testClockAhead: what was forgotten while the clock was ahead does not come again as new once it is right.
func testClockAhead(t *trial) {
	t.start("a")
	first := t.numbered(0)
	t.accept(first)
	t.clock.add(100 * time.Hour)
	t.append(t.numbered(1), "future", queue.Quarantined)
	t.accept(t.numbered(2))
	t.restart()
	t.clock.add(-100 * time.Hour)
	for _, l := range t.lifetimes() {
		l.begin()
		r, err := t.q.Append(t.ctx(), t.eventOf("other", string(first.Body)), "")
		if err != nil || r.Verdict == queue.Accepted {
			t.Errorf("%s: the replay is %+v, %v", l.name, r, err)
		}
	}
}
