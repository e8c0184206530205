package queuetest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var appendTests = []test{
	{name: "Verdicts", run: testVerdicts},
	{name: "ReusedDeliveryID", run: testReusedDeliveryID},
	{name: "ConcurrentDuplicates", run: testConcurrentDuplicates},
	{name: "ConcurrentQuarantine", run: testConcurrentQuarantine},
	{name: "FailedWrite", run: testFailedWrite, needs: []need{failing}},
	{name: "EndedContext", run: testEndedContext},
	{name: "AbandonedAppend", run: testAbandonedAppend, needs: []need{stalling}},
	{name: "StalledDuplicates", run: testStalledDuplicates, needs: []need{stalling}},
	{name: "Order", run: testOrder},
	{name: "EveryField", run: testEveryField},
	{name: "Bodies", run: testBodies},
	{name: "Generation", run: testGeneration},
}

// testVerdicts is the table of what is a duplicate of what, tried again after a restart and a kill.
func testVerdicts(t *trial) {
	t.start("a")
	first := t.event("d1", "s1")
	body := string(first.Body)
	elsewhere := t.eventOf("d1", body)
	elsewhere.Endpoint = "second"
	stale, staleElsewhere := t.event("d7", "s7"), t.eventOf("d7", "no JSON")
	staleElsewhere.Endpoint = "second"
	cases := []struct {
		name   string
		event  *queue.Event
		reason string
		want   queue.Receipt
		known  queue.Receipt // once it is known
	}{
		{name: "new", event: first, want: accepted(1), known: duplicate(1)},
		{name: "another delivery ID", event: t.eventOf("d2", body), want: duplicate(1)},
		{name: "no delivery ID", event: t.eventOf("", body), want: duplicate(1)},
		{name: "stamped anew", event: t.event("d1", "s1"), want: duplicate(1)},
		{name: "stamped anew, and held", event: t.event("d1", "s1"), reason: "stale", want: duplicate(1)},
		{name: "the same, and held", event: first, reason: "stale", want: duplicate(1)},
		{name: "reused ID", event: t.event("d1", "s2"), want: queue.Receipt{Verdict: queue.Accepted, Seq: 2, Reused: true}, known: duplicate(2)},
		{name: "reused ID, stamped anew", event: t.event("d1", "s2"), want: duplicate(2)},
		{name: "the first one after its ID was reused", event: t.event("d1", "s1"), want: duplicate(1)},
		{name: "another endpoint", event: elsewhere, want: accepted(3), known: duplicate(3)},
		{name: "no delivery ID, another body", event: t.event("", "s1"), want: accepted(4), known: duplicate(4)},
		{name: "no IDs", event: t.eventOf("", `{"no":"IDs"}`), want: accepted(5), known: duplicate(5)},
		{name: "held", event: stale, reason: "stale", want: quarantined("stale"), known: duplicate(6)},
		{name: "held again", event: stale, reason: "stale", want: quarantined("stale"), known: duplicate(6)},
		{name: "held, no JSON", event: t.eventOf("d7", "no JSON"), reason: "not json", want: quarantined("not json")},
		{name: "held at another endpoint", event: staleElsewhere, reason: "not json", want: quarantined("not json")},
		{name: "the signal of a held one", event: t.event("d7", "s7"), want: accepted(6), known: duplicate(6)},
	}
	for round, l := range t.lifetimes() {
		l.begin()
		for _, c := range cases {
			want := c.want
			if round > 0 && c.known.Verdict != 0 {
				want = c.known
			}
			got, err := t.q.Append(t.ctx(), c.event, c.reason)
			if (got.Verdict == queue.Quarantined) != got.Since.IsZero() {
				t.Errorf("%s, %s: first received at %v", l.name, c.name, got.Since)
			}
			got.Generation, got.Since = 0, time.Time{}
			if err != nil || got != want {
				t.Errorf("%s, %s: %+v, %v; want %+v", l.name, c.name, got, err, want)
			}
		}
		if items := t.items(); len(items) != 3 {
			t.Errorf("%s: %d items in the quarantine, want 3", l.name, len(items))
		}
	}
}

func accepted(seq uint64) queue.Receipt { return queue.Receipt{Verdict: queue.Accepted, Seq: seq} }

func duplicate(seq uint64) queue.Receipt { return queue.Receipt{Verdict: queue.Duplicate, Seq: seq} }

func quarantined(reason string) queue.Receipt {
	return queue.Receipt{Verdict: queue.Quarantined, Reason: reason}
}

// testReusedDeliveryID: nobody signs a delivery ID, so that any number of signals can come with the same one. Each is told
// from the others.
func testReusedDeliveryID(t *trial) {
	t.start("a")
	const signals = 41
	for i := range signals {
		r := t.append(t.event("d", fmt.Sprint("s", i)), "", queue.Accepted)
		if r.Reused != (i > 0) {
			t.Errorf("signal %d: %+v", i, r)
		}
	}
	for _, l := range t.lifetimes() {
		l.begin()
		for i := range signals {
			r, err := t.q.Append(t.ctx(), t.event("d", fmt.Sprint("s", i)), "")
			if err != nil || r.Verdict != queue.Duplicate || r.Seq != uint64(i+1) {
				t.Fatalf("%s, signal %d stamped anew: %+v, %v", l.name, i, r, err)
			}
		}
	}
}

// concurrently appends all events at the same time and returns the receipts.
func (t *trial) concurrently(events []*queue.Event, reason string) []queue.Receipt {
	receipts := make([]queue.Receipt, len(events))
	ctx := t.ctx()
	var wg sync.WaitGroup
	for i, e := range events {
		wg.Go(func() {
			var err error
			if receipts[i], err = t.q.Append(ctx, e, reason); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	return receipts
}

func testConcurrentDuplicates(t *trial) {
	t.start("a")
	sameBody, sameIDs := t.event("d", "s"), make([]*queue.Event, 50)
	for i := range sameIDs {
		sameIDs[i] = t.event("e", "t") // each stamped anew
	}
	same := make([]*queue.Event, 50)
	for i := range same {
		same[i] = t.eventOf(fmt.Sprint(i), string(sameBody.Body))
	}
	for i, events := range [][]*queue.Event{same, sameIDs} {
		counts := make(map[queue.Receipt]int)
		for _, r := range t.concurrently(events, "") {
			r.Generation, r.Since = 0, time.Time{}
			counts[r]++
		}
		seq := uint64(i + 1)
		if want := map[queue.Receipt]int{accepted(seq): 1, duplicate(seq): 49}; !maps.Equal(counts, want) {
			t.Errorf("receipts %v, want %v", counts, want)
		}
	}
}

func testConcurrentQuarantine(t *trial) {
	t.start("a")
	events := slices.Repeat([]*queue.Event{t.event("d", "s")}, 50)
	for _, r := range t.concurrently(events, "stale") {
		if r.Verdict != queue.Quarantined || r.Seq != 0 || r.Reason != "stale" {
			t.Fatalf("%+v", r)
		}
	}
	if items := t.items(); len(items) != 1 {
		t.Errorf("%d items in the quarantine, want 1", len(items))
	}
}

// testFailedWrite: a write that fails is told to everybody who waited for it, and has no consequences.
func testFailedWrite(t *trial) {
	t.start("a")
	t.fill(0, 1)
	disk := t.world.(Failer)
	disk.FailWrites(true)
	e, held := t.numbered(1), t.numbered(2)
	ctx := t.ctx()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := t.q.Append(ctx, t.eventOf(fmt.Sprint(i), string(e.Body)), "")
			t.want("append while writes fail", err, queue.ErrUnavailable)
			_, err = t.q.Append(ctx, held, "stale")
			t.want("quarantine while writes fail", err, queue.ErrUnavailable)
		})
	}
	wg.Wait()
	t.eventually("unhealthy, and no generation", func() bool { return !t.q.Status().Healthy && t.q.Generation() == 0 })
	if s := t.q.Status(); s.Problem == "" || s.LastSeq != 1 || s.DeadLetters != 0 {
		t.Errorf("%+v", s)
	}
	disk.FailWrites(false)
	t.eventually("healthy again, without an append", func() bool {
		t.clock.add(time.Second)
		return t.q.Status().Healthy && t.q.Generation() != 0
	})
	t.append(e, "", queue.Accepted)
	t.append(held, "stale", queue.Quarantined)
	t.kill()
	for seq, e := range map[uint64]*queue.Event{2: e} {
		if r := t.append(e, "", queue.Duplicate); r.Seq != seq {
			t.Errorf("duplicate of %d, want %d", r.Seq, seq)
		}
	}
	if seq := t.accept(t.numbered(3)); seq != 3 {
		t.Errorf("sequence %d, want 3", seq)
	}
}

// testEndedContext: an append whose time is over before it begins is answered, and leaves the queue sound.
func testEndedContext(t *trial) {
	t.start("a")
	ctx, cancel := context.WithCancel(t.ctx())
	cancel()
	for i := range 20 {
		e := t.numbered(i)
		r, err := t.q.Append(ctx, e, "")
		if err != nil {
			t.want("append", err, context.Canceled)
		}
		again, againErr := t.q.Append(t.ctx(), e, "")
		if againErr != nil || again.Seq != uint64(i+1) || (err == nil) != (r.Seq == again.Seq) {
			t.Fatalf("append with an ended context: %+v, %v; then %+v, %v", r, err, again, againErr)
		}
	}
}

// testAbandonedAppend: whoever gives up is let go at once. What becomes of the event is known when it comes again.
func testAbandonedAppend(t *trial) {
	t.start("a")
	disk := t.world.(Staller)
	disk.StallWrites(true)
	events := []*queue.Event{t.numbered(0), t.numbered(1), t.numbered(2)}
	for _, e := range events {
		_, err := t.q.Append(t.moment(), e, "")
		t.want("append while the disk stalls", err, context.DeadlineExceeded)
	}
	if s := t.q.Status(); s.LastSeq > 3 { // it must not wait for the disk
		t.Errorf("%+v", s)
	}
	disk.StallWrites(false)
	seen := make(map[uint64]bool)
	for _, e := range events {
		r, err := t.q.Append(t.ctx(), e, "")
		if err != nil || r.Verdict == queue.Quarantined || seen[r.Seq] {
			t.Errorf("append again: %+v, %v", r, err)
		}
		seen[r.Seq] = true
	}
	if last := t.q.Status().LastSeq; last != 3 {
		t.Errorf("last sequence %d, want 3", last)
	}
}

// testStalledDuplicates: duplicates of an append in flight wait for it, and share its outcome.
func testStalledDuplicates(t *trial) {
	t.start("a")
	disk := t.world.(Staller)
	disk.StallWrites(true)
	e := t.numbered(0)
	type answer struct {
		queue.Receipt
		error
	}
	answers := make(chan answer, 10)
	ctx := t.ctx()
	for range cap(answers) {
		go func() {
			r, err := t.q.Append(ctx, e, "")
			answers <- answer{r, err}
		}()
	}
	_, err := t.q.Append(t.moment(), e, "") // while all others are under way, nobody is answered
	t.want("append while the disk stalls", err, context.DeadlineExceeded)
	if len(answers) > 0 {
		t.Errorf("answered before it is durable: %+v", <-answers)
	}
	disk.StallWrites(false)
	for range cap(answers) {
		if a := <-answers; a.error != nil || a.Seq != 1 {
			t.Errorf("%+v", a)
		}
	}
}

// testOrder: concurrent appends get numbers without gaps, in the order in which each sender has sent, over any lifetime.
func testOrder(t *trial) {
	t.start("a")
	const senders, each = 8, 12
	byID := make(map[string]uint64)
	for round, l := range t.lifetimes() {
		l.begin()
		var mu sync.Mutex
		var wg sync.WaitGroup
		ctx := t.ctx()
		for s := range senders {
			wg.Go(func() {
				last := uint64(0)
				for i := range each {
					e := t.numbered(round*10_000 + s*100 + i)
					r, err := t.q.Append(ctx, e, "")
					if err != nil || r.Verdict != queue.Accepted || r.Seq <= last {
						t.Errorf("append: %+v, %v, after sequence %d", r, err, last)
						return
					}
					last = r.Seq
					mu.Lock()
					byID[e.DeliveryID] = r.Seq
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	events, gaps := t.read(t.claim("a"), 0, 3*senders*each)
	if len(events) != len(byID) || len(byID) != 3*senders*each || len(gaps) > 0 {
		t.Errorf("read %d events and gaps %v, %d were accepted", len(events), gaps, len(byID))
	}
	for _, e := range events {
		if byID[e.DeliveryID] != e.Seq {
			t.Errorf("%s is sequence %d, acknowledged as %d", e.DeliveryID, e.Seq, byID[e.DeliveryID])
		}
	}
}

// testEveryField: what goes in comes out, from memory and from the disk.
func testEveryField(t *trial) {
	t.start("a")
	full := t.event("d1", "s1")
	full.Notes = []string{"the delivery ID was too long", "ünïcode\n"}
	full.Header = []queue.Header{{Name: "X-Team", Value: "soc"}, {Name: "X-Team", Value: ""}}
	full.Synthetic = true
	full.Only = []string{"a"}
	full.ReceivedAt = full.ReceivedAt.Add(123456789)
	bare := &queue.Event{ReceivedAt: t.clock.now(), Body: []byte("{}")}
	for _, e := range []*queue.Event{full, bare} {
		t.accept(e)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		got, _ := t.read(t.claim("a"), 0, 2)
		for i, want := range []*queue.Event{full, bare} {
			t.sameEvent(l.name, got[i], want, uint64(i+1))
		}
		if got[0].SignalID() != "s1" || got[1].Signal == nil {
			t.Errorf("%s: a body is not decoded", l.name)
		}
	}
}

// sameEvent compares everything but the decoded signal.
func (t *trial) sameEvent(when string, got, want *queue.Event, seq uint64) {
	t.Helper()
	g, w := *got, *want
	w.Seq = seq
	g.Signal, w.Signal = nil, nil
	if !g.ReceivedAt.Equal(w.ReceivedAt) {
		t.Errorf("%s: received at %v, want %v", when, g.ReceivedAt, w.ReceivedAt)
	}
	g.ReceivedAt, w.ReceivedAt = t.clock.now(), t.clock.now()
	for _, e := range []*queue.Event{&g, &w} { // nil or empty is the same
		e.Notes, e.Header, e.Only, e.Body = append([]string{}, e.Notes...), append([]queue.Header{}, e.Header...), append([]string{}, e.Only...), append([]byte{}, e.Body...)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", when, g, w)
	}
}

// testBodies: whatever the body is, it survives, in the queue and in the quarantine.
func testBodies(t *trial) {
	t.start("a")
	bodies := []string{"", "no JSON", "\x00\xff\r\n", `{"data":{}}`, strings.Repeat("x", miB), `{"pad":"` + strings.Repeat("x", 511) + `"}`}
	for i, body := range bodies {
		t.accept(t.eventOf(fmt.Sprint("d", i), body))
		held := t.eventOf(fmt.Sprint("h", i), body)
		held.Endpoint = "held"
		t.append(held, "stale", queue.Quarantined)
	}
	for _, l := range t.lifetimes() {
		l.begin()
		got, _ := t.read(t.claim("a"), 0, uint64(len(bodies)))
		items := t.items()
		if len(got) != len(bodies) || len(items) != len(bodies) {
			t.Fatalf("%s: %d events, %d items in the quarantine, want %d", l.name, len(got), len(items), len(bodies))
		}
		for i, body := range bodies {
			if string(got[i].Body) != body || string(items[i].Event.Body) != body {
				t.Errorf("%s: body %d is %.40q in the queue and %.40q in the quarantine", l.name, i, got[i].Body, items[i].Event.Body)
			}
		}
	}
}

// testGeneration: the generation is there while the queue vouches for what it has said, and another one after each open.
func testGeneration(t *trial) {
	t.start("a")
	known := make(map[uint64]bool)
	e := t.numbered(0)
	for _, l := range t.lifetimes() {
		l.begin()
		g := t.q.Generation()
		if g == 0 || known[g] {
			t.Errorf("%s: generation %d, known are %v", l.name, g, known)
		}
		known[g] = true
		_, err := t.q.Append(t.ctx(), e, "")
		t.must("append", err)
		for _, r := range []queue.Receipt{t.append(e, "", queue.Duplicate), t.append(t.event("", l.name), "", queue.Accepted),
			t.append(t.event("", l.name), "stale", queue.Quarantined)} {
			if r.Generation != g {
				t.Errorf("%s: receipt of generation %d, the queue's is %d", l.name, r.Generation, g)
			}
		}
	}
}
