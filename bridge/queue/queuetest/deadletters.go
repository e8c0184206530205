package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var deadLetterTests = []test{
	{name: "DeadLetters", run: testDeadLetters},
	{name: "DropDeadLetter", run: testDropDeadLetter},
	{name: "Refusals", run: testRefusals},
	{name: "Resend", run: testResend},
	{name: "ResendRepeated", run: testResendRepeated},
	{name: "ResendToNobody", run: testResendToNobody},
	{name: "ResendRefused", run: testResendRefused},
	{name: "ResendIsRemembered", run: testResendIsRemembered},
	{name: "ResendToAFullQueue", run: testResendToAFullQueue},
	{name: "ResendBehindDeliveries", run: testResendBehindDeliveries},
	{name: "ReceiversAllowance", run: testReceiversAllowance},
	{name: "OutputsAllowance", run: testOutputsAllowance},
}

// refusal is event seq as an output's worker puts it into the quarantine.
func (t *trial) refusal(tenure *queue.Tenure, e *queue.Event, seq uint64) queue.DeadLetter {
	refused := *e
	refused.Seq = seq
	return queue.DeadLetter{Reason: "refused", Output: tenure.Output, At: t.clock.now(), Event: refused}
}

func (t *trial) refuse(tenure *queue.Tenure, items ...queue.DeadLetter) {
	t.Helper()
	t.must("quarantine", tenure.Quarantine(t.ctx(), items))
}

// testDeadLetters: what is in the quarantine can be listed in pages and read whole, and survives.
func testDeadLetters(t *trial) {
	t.start("a")
	var held []*queue.Event
	for i := range 10 {
		e := t.numbered(i)
		e.Notes, e.Header = []string{"odd"}, []queue.Header{{Name: "X-Team", Value: "soc"}}
		held = append(held, e)
		t.append(e, fmt.Sprint("reason ", i), queue.Quarantined)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		var items []queue.DeadLetter
		for after := uint64(0); ; after = items[len(items)-1].ID {
			page, err := t.q.ListDeadLetters(t.ctx(), after, 3, len(items) > 6)
			t.must("list", err)
			if len(page) == 0 {
				break
			}
			if len(page) > 3 || page[0].ID <= after {
				t.Fatalf("%s: page of %d after %d", l.name, len(page), after)
			}
			items = append(items, page...)
		}
		if len(items) != 10 || !slices.IsSortedFunc(items, func(a, b queue.DeadLetter) int { return int(a.ID) - int(b.ID) }) {
			t.Fatalf("%s: %d items", l.name, len(items))
		}
		for i, item := range items {
			if brief := i > 8; brief != (len(item.Event.Body) == 0) {
				t.Errorf("%s: item %d has a body of %d bytes, brief is %v", l.name, i, len(item.Event.Body), brief)
			}
			t.sameItem(l.name, item.ID, held[i], fmt.Sprint("reason ", i))
		}
		if s := t.q.Status(); s.DeadLetters != 10 || s.QuarantineBytes <= 0 || s.QuarantineMaxBytes != t.options.Limits.QuarantineMaxBytes {
			t.Errorf("%s: %+v", l.name, s)
		}
	}
	_, err := t.q.GetDeadLetter(t.ctx(), 1000)
	t.want("get an item that isn't there", err, queue.ErrNotFound)
}

func (t *trial) sameItem(when string, id uint64, want *queue.Event, reason string) {
	t.Helper()
	item, err := t.q.GetDeadLetter(t.ctx(), id)
	if err != nil || item.ID != id || item.Reason != reason || item.Output != "" || item.At.IsZero() || item.Damaged != "" {
		t.Errorf("%s: item %d: %+v, %v", when, id, item, err)
	}
	t.sameEvent(when, &item.Event, want, 0)
}

// testDropDeadLetter: what is dropped is gone, and nothing takes its place.
func testDropDeadLetter(t *trial) {
	t.start("a")
	for i := range 3 {
		t.append(t.numbered(i), "stale", queue.Quarantined)
	}
	items := t.items()
	last := items[2]
	t.must("drop", t.q.DropDeadLetter(t.ctx(), last.ID))
	for _, l := range t.lifetimes() {
		l.begin()
		_, err := t.q.GetDeadLetter(t.ctx(), last.ID)
		t.want(l.name+": get a dropped item", err, queue.ErrNotFound)
		t.want(l.name+": drop it again", t.q.DropDeadLetter(t.ctx(), last.ID), queue.ErrNotFound)
		_, err = t.q.Resend(t.ctx(), last.ID, nil)
		t.want(l.name+": re-send it", err, queue.ErrNotFound)
		left := t.items()
		if len(left) != 2 || left[0].ID != items[0].ID || left[1].ID != items[1].ID {
			t.Errorf("%s: %d items are left: %+v", l.name, len(left), left)
		}
	}
	t.append(&last.Event, "stale", queue.Quarantined) // it is new again, and its ID is not given twice
	if left := t.items(); len(left) != 3 || left[2].ID <= last.ID {
		t.Errorf("%d items are left: %+v", len(left), left)
	}
}

// testRefusals: what an output has refused is an item of that output, once.
func testRefusals(t *trial) {
	t.start("a", "b")
	events := t.fill(0, 4)
	refuse := func() {
		for _, name := range []string{"a", "b"} {
			tenure := t.claim(name)
			t.refuse(tenure, t.refusal(tenure, events[1], 2), t.refusal(tenure, events[2], 3))
			t.refuse(tenure, t.refusal(tenure, events[2], 3), t.refusal(tenure, events[3], 4), t.refusal(tenure, events[3], 4))
		}
	}
	refuse()
	for _, l := range t.lifetimes() {
		l.begin()
		refuse()
		counts := make(map[string]int)
		for _, item := range t.items() {
			counts[item.Output]++
			if seq := item.Event.Seq; item.Reason != "refused" || seq < 2 || seq > 4 || string(item.Event.Body) != string(events[seq-1].Body) {
				t.Errorf("%s: %+v", l.name, item)
			}
		}
		if counts["a"] != 3 || counts["b"] != 3 || len(counts) != 2 {
			t.Errorf("%s: items by output: %v", l.name, counts)
		}
	}
	if s := t.outputStatus("a"); s.QuarantineBytes <= 0 || s.QuarantineFull {
		t.Errorf("%+v", s)
	}
}

func (t *trial) resend(id uint64, outputs ...string) uint64 {
	t.Helper()
	seq, err := t.q.Resend(t.ctx(), id, outputs)
	t.must("re-send", err)
	return seq
}

// testResend: an item that was quarantined on receipt goes to all outputs, or to those that are named.
func testResend(t *trial) {
	t.start("a", "b")
	toAll, toB := t.numbered(0), t.numbered(1)
	for _, e := range []*queue.Event{toAll, toB} {
		t.append(e, "stale", queue.Quarantined)
	}
	items := t.items()
	if seq := t.resend(items[0].ID); seq != 1 {
		t.Errorf("sequence %d, want 1", seq)
	}
	if seq := t.resend(items[1].ID, "b"); seq != 2 {
		t.Errorf("sequence %d, want 2", seq)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		got, _ := t.read(t.claim("a"), 0, 2)
		toB.Only = []string{"b"}
		t.sameEvent(l.name, got[0], toAll, 1)
		t.sameEvent(l.name, got[1], toB, 2)
		if s := t.q.Status(); s.DeadLetters != 0 || s.QuarantineBytes != 0 {
			t.Errorf("%s: %+v", l.name, s)
		}
		_, err := t.q.GetDeadLetter(t.ctx(), items[0].ID)
		t.want(l.name+": get a re-sent item", err, queue.ErrNotFound)
		t.want(l.name+": drop a re-sent item", t.q.DropDeadLetter(t.ctx(), items[0].ID), queue.ErrNotFound)
	}
}

// testResendRepeated: an operator who doesn't know whether it worked tries again, and nothing is sent twice.
func testResendRepeated(t *trial) {
	t.start("a", "b")
	for i := range 3 {
		t.append(t.numbered(i), "stale", queue.Quarantined)
	}
	items := t.items()
	seqs := make(map[uint64]uint64)
	for _, item := range items[:2] {
		seqs[item.ID] = t.resend(item.ID)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		for id, seq := range seqs {
			if again := t.resend(id); again != seq {
				t.Errorf("%s: item %d is sequence %d, and was %d", l.name, id, again, seq)
			}
			t.resend(id, "b")
		}
		if s := t.q.Status(); s.LastSeq != 2 || s.DeadLetters != 1 {
			t.Errorf("%s: %+v", l.name, s)
		}
	}
	t.advance(t.claim("a"), 2)
	t.advance(t.claim("b"), 2)
	t.eventually("it is delivered", func() bool { return t.q.Status().Events == 0 })
	for id, seq := range seqs {
		if again := t.resend(id); again != seq {
			t.Errorf("delivered: item %d is sequence %d, and was %d", id, again, seq)
		}
	}
}

// testResendToNobody: an event for an output that doesn't exist would go by unseen. It stays where it is.
func testResendToNobody(t *trial) {
	t.start("a", "gone")
	t.fill(0, 1)
	tenure := t.claim("gone")
	t.refuse(tenure, t.refusal(tenure, t.numbered(0), 1))
	tenure.Release()
	t.append(t.numbered(1), "stale", queue.Quarantined)
	t.end("gone", queue.OutputSpec{Name: "a"})
	for _, item := range t.items() {
		for _, outputs := range [][]string{{"typo"}, {"a", "typo"}, {"gone"}} {
			_, err := t.q.Resend(t.ctx(), item.ID, outputs)
			t.want(fmt.Sprint("re-send to ", outputs), err, queue.ErrNotFound)
		}
		if item.Output == "gone" {
			_, err := t.q.Resend(t.ctx(), item.ID, nil)
			t.want("re-send to the output that has refused it and is gone", err, queue.ErrNotFound)
		}
	}
	if items := t.items(); len(items) != 2 || t.q.Status().LastSeq != 1 {
		t.Errorf("%d items, last sequence %d", len(items), t.q.Status().LastSeq)
	}
	for _, item := range t.items() {
		t.resend(item.ID, "a")
	}
	_, err := t.q.Resend(t.ctx(), 1000, nil)
	t.want("re-send an item that isn't there", err, queue.ErrNotFound)
}

// testResendRefused: a refused event goes back to the output that has refused it, and says what it repeats.
func testResendRefused(t *trial) {
	t.start("a", "b")
	events := t.fill(0, 2)
	tenure := t.claim("b")
	t.refuse(tenure, t.refusal(tenure, events[0], 1), t.refusal(tenure, events[1], 2))
	items := t.items()
	t.resend(items[0].ID)
	t.resend(items[1].ID, "a", "b")
	for _, l := range t.lifetimes() {
		l.begin()
		got, _ := t.read(t.claim("a"), 2, 4)
		for i, only := range [][]string{{"b"}, {"a", "b"}} {
			want := *events[i]
			want.ResendOf, want.Only = uint64(i+1), only
			t.sameEvent(l.name, got[i], &want, uint64(i+3))
		}
	}
}

// testResendIsRemembered: what comes again after it was re-sent is a duplicate.
func testResendIsRemembered(t *trial) {
	t.start("a")
	e := t.event("d", "s")
	t.append(e, "stale", queue.Quarantined)
	seq := t.resend(t.items()[0].ID)
	for _, l := range t.lifetimes() {
		l.begin()
		for _, reason := range []string{"", "stale"} {
			for _, again := range []*queue.Event{e, t.event("d", "s"), t.eventOf("other", string(e.Body))} {
				if r := t.append(again, reason, queue.Duplicate); r.Seq != seq {
					t.Errorf("%s: duplicate of %d, want %d", l.name, r.Seq, seq)
				}
			}
		}
	}
}

// testResendToAFullQueue: without room nothing is re-sent and nothing is lost.
func testResendToAFullQueue(t *trial) {
	t.options.Limits.MaxBytes, t.options.Limits.MaxEventBytes = miB, 64*kiB
	t.start("a")
	for i := range 2 {
		t.append(t.sized(i, 16*kiB), "stale", queue.Quarantined)
	}
	last := t.fillUp(10, 16*kiB)
	items := t.items()
	_, err := t.q.Resend(t.ctx(), items[0].ID, nil)
	t.want("re-send to a full queue", err, queue.ErrFull)
	if left := t.items(); len(left) != 2 || t.q.Status().LastSeq != last {
		t.Errorf("%d items are left, last sequence %d, was %d", len(left), t.q.Status().LastSeq, last)
	}
	t.advance(t.claim("a"), last)
	t.eventually("there is room", func() bool {
		_, err := t.q.Resend(t.ctx(), items[0].ID, nil)
		return err == nil
	})
}

// fillUp appends events with bodies of size bytes until the queue is full, and returns the last sequence.
func (t *trial) fillUp(from, size int) uint64 {
	t.Helper()
	for n := from; ; n++ {
		_, err := t.q.Append(t.ctx(), t.sized(n, size), "")
		if errors.Is(err, queue.ErrFull) {
			return t.q.Status().LastSeq
		}
		t.must("append", err)
		if int64((n-from)*size) > t.options.Limits.MaxBytes {
			t.Fatalf("%d events of %d bytes fit into %d", n-from, size, t.options.Limits.MaxBytes)
		}
	}
}

// testResendBehindDeliveries: the room of events that are delivered counts for a re-send at once, also while nobody has written that down.
func testResendBehindDeliveries(t *trial) {
	t.smallQueue()
	t.options.ProgressInterval = time.Hour
	t.start("a")
	t.append(t.sized(1000, 16*kiB), "stale", queue.Quarantined)
	last := t.fillUp(0, 16*kiB)
	t.advance(t.claim("a"), last)
	if seq := t.resend(t.items()[0].ID); seq != last+1 {
		t.Errorf("re-sent as %d, want %d", seq, last+1)
	}
}

// fillQuarantine calls put, which quarantines size bytes, until it says ErrFull, and returns how often it worked. That must be
// about allowance.
func (t *trial) fillQuarantine(what string, size, allowance int, put func(n int) error) int {
	t.Helper()
	for n := 0; ; n++ {
		err := put(n)
		if errors.Is(err, queue.ErrFull) {
			if n < allowance/size/2 {
				t.Errorf("%s: full after %d items of %d bytes, the allowance is %d", what, n, size, allowance)
			}
			return n
		}
		t.must(what, err)
		if n*size > allowance {
			t.Fatalf("%s: %d items of %d bytes fit into %d", what, n, size, allowance)
		}
	}
}

// testReceiversAllowance: half of the quarantine is the receiver's. Once it is used up, what is to be held is refused; all
// else goes on.
func testReceiversAllowance(t *trial) {
	const size = 16 * kiB
	t.options.Limits.QuarantineMaxBytes = miB
	t.start("a")
	hold := func(n int) error {
		_, err := t.q.Append(t.ctx(), t.sized(n, size), "stale")
		return err
	}
	t.fillQuarantine("hold", size, miB/2, hold)
	for _, l := range t.lifetimes() {
		l.begin()
		t.want(l.name+": hold one more", hold(1000), queue.ErrFull)
		first := t.items()[0]
		t.append(&first.Event, "stale", queue.Quarantined) // it is held already
		t.append(t.event("", l.name), "", queue.Accepted)
		tenure := t.claim("a")
		t.refuse(tenure, t.refusal(tenure, t.sized(1, size), t.q.Status().LastSeq))
		t.must("drop", t.q.DropDeadLetter(t.ctx(), first.ID))
		t.must(l.name+": hold one after a drop", hold(2000))
	}
	before := t.items()
	t.resend(before[0].ID)
	t.must("hold one after a re-send", hold(3000))
}

// testOutputsAllowance: the other half is shared equally by the outputs. One that has used up its share stops alone.
func testOutputsAllowance(t *trial) {
	const size = 16 * kiB
	t.options.Limits.QuarantineMaxBytes = miB
	t.start("bad", "good")
	e := t.sized(0, size)
	last := uint64(0)
	for i := range 70 {
		last = t.accept(t.numbered(10 + i))
	}
	refuse := func(output string) func(n int) error {
		return func(n int) error {
			tenure := t.claim(output)
			return tenure.Quarantine(t.ctx(), []queue.DeadLetter{t.refusal(tenure, e, uint64(n+1))})
		}
	}
	n := t.fillQuarantine("refuse", size, miB/4, refuse("bad"))
	for _, l := range t.lifetimes() {
		l.begin()
		t.want(l.name+": refuse one more", refuse("bad")(int(last)-1), queue.ErrFull)
		if s := t.outputStatus("bad"); !s.QuarantineFull || s.QuarantineBytes < int64(n*size) {
			t.Errorf("%s: %+v", l.name, s)
		}
		if s := t.outputStatus("good"); s.QuarantineFull {
			t.Errorf("%s: %+v", l.name, s)
		}
		t.must(l.name+": repeat one that is there", refuse("bad")(0))
		t.append(t.event("", l.name), "stale", queue.Quarantined)
	}
	t.fillQuarantine("the other output's refusals", size, miB/4, refuse("good"))
	t.fillQuarantine("hold", size, miB/2, func(n int) error {
		_, err := t.q.Append(t.ctx(), t.sized(1000+n, size), "stale")
		return err
	})
	for _, item := range t.items() {
		if item.Output == "bad" && item.Event.Seq == 1 {
			t.must("drop", t.q.DropDeadLetter(t.ctx(), item.ID))
		}
	}
	before := len(t.items())
	tenure := t.claim("bad")
	many := []queue.DeadLetter{t.refusal(tenure, e, last-1), t.refusal(tenure, e, last)}
	t.want("refuse two where there is room for one", tenure.Quarantine(t.ctx(), many), queue.ErrFull)
	if n := len(t.items()); n != before {
		t.Errorf("of two items that don't fit %d were stored", n-before)
	}
	t.must("refuse one after a drop", refuse("bad")(int(last)-1))
	if b, err := t.claim("good").Read(t.ctx(), 0, 1, miB); err != nil || len(b.Events) != 1 {
		t.Errorf("read: %s, %v", describe(b), err)
	}
}
