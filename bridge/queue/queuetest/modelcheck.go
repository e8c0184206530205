package queuetest

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// note is what may be told of one event at one output.
type note struct {
	values  values // any of them
	before  values // those before what is not synced yet
	all     values // ever
	dropped bool
	lately  bool // since the queue was opened: a worker may still have it in its hands
}

type values []value

func (vs *values) add(more ...value) {
	for _, v := range more {
		if !slices.Contains(*vs, v) {
			*vs = append(*vs, v)
		}
	}
}

type value struct {
	outcome queue.Outcome
	level   string
	at      time.Time
}

// expire adds that it may be forgotten. What was said before may be remembered for longer, if the clock went back meanwhile.
func (n *note) expire(now time.Time, window time.Duration) {
	for _, list := range []*values{&n.values, &n.before} {
		old := func(v value) bool { return v.outcome != queue.Unknown && now.Sub(v.at) > window }
		if slices.ContainsFunc(*list, old) {
			list.add(value{})
			list.add(n.all...)
		}
	}
}

// note notes what became of a range.
func (m *model) note(o *modelOutput, first, last uint64, v value) {
	for seq := first; seq <= last; seq++ {
		n := o.notes[seq]
		if n == nil {
			n = &note{values: values{{}}}
			o.notes[seq] = n
		}
		n.before.add(n.values...)
		var next values
		for _, old := range n.values {
			if old.outcome == queue.Delivered && v.outcome != queue.Delivered {
				next.add(old)
			} else {
				next.add(v)
			}
		}
		n.values = next
		n.all.add(v)
	}
}

// droppedOnly reports whether nothing else can be told.
func (n *note) droppedOnly() bool {
	return n.dropped && len(n.values) == 1 && n.values[0].outcome == queue.Dropped
}

// check compares what can be seen.
func (m *model) check() {
	m.checkCursors()
	m.checkStatus()
	m.checkItems()
	m.done = max(m.done, m.lowestCursor())
	for _, name := range m.names() {
		m.checkEvents(m.outputs[name])
		m.checkOutcomes(m.outputs[name])
	}
	last, err := m.q.LastAccepted(m.ctx())
	if err != nil || !maps.EqualFunc(last, m.lastAccepted, func(got time.Time, want []time.Time) bool {
		return slices.ContainsFunc(want, got.Equal)
	}) {
		m.t.Fatalf("last accepted %v, %v; want %v", last, err, m.lastAccepted)
	}
}

func (m *model) checkCursors() {
	for name, o := range m.outputs {
		if at := o.tenure.Cursor(); at != o.cursor || !o.tenure.Valid() {
			m.t.Fatalf("%s is at %d, want %d; valid %v", name, at, o.cursor, o.tenure.Valid())
		}
	}
}

func (m *model) checkStatus() {
	synced := m.last()
	for _, o := range m.outputs {
		synced = min(synced, o.floor)
	}
	wrong := func(s queue.Status) bool { // an engine may count an event until the progress that frees it is synced
		return s.LastSeq != m.last() || s.Events < m.last()-m.lowestCursor() || s.Events > m.last()-synced || s.DeadLetters != len(m.items) || !s.Healthy
	}
	for deadline := time.Now().Add(Patience()); wrong(m.q.Status()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("status %+v; want last sequence %d, cursor %d, %d items", m.q.Status(), m.last(), m.lowestCursor(), len(m.items))
		}
	}
	if g := m.q.Generation(); g != m.generation {
		m.t.Fatalf("the generation is %d, was %d", g, m.generation)
	}
}

func (m *model) checkItems() {
	items, err := m.q.ListDeadLetters(m.ctx(), 0, 1000, false)
	if err != nil || len(items) != len(m.items) {
		m.t.Fatalf("%d items in the quarantine, want %d; %v", len(items), len(m.items), err)
	}
	for _, item := range items {
		want := m.items[item.ID]
		if want == nil || string(item.Event.Body) != string(want.event.Body) || item.Reason != want.reason || item.Output != want.output ||
			item.Event.Seq != want.event.Seq || item.Event.DeliveryID != want.event.DeliveryID || item.Event.Endpoint != want.event.Endpoint {
			m.t.Fatalf("item %+v, want %+v", item, want)
		}
	}
}

// checkEvents reads what waits for an output, and some of what it has had.
func (m *model) checkEvents(o *modelOutput) {
	after := o.cursor
	if back := rapid.Uint64Range(0, 5).Draw(m.t, "look back"); back < after {
		after -= back
	}
	for after < m.last() {
		b, err := o.tenure.Read(m.ctx(), after, 3, miB)
		if err == nil {
			err = covers(b, after+1)
		}
		m.must("read", err)
		for _, e := range b.Events {
			m.checkEvent(o, e)
		}
		for _, g := range b.Gaps {
			m.checkGap(o, g)
		}
		after = b.Through
	}
}

func (m *model) checkEvent(o *modelOutput, e *queue.Event) {
	want := m.events[e.Seq-1]
	if string(e.Body) != string(want.Body) || e.DeliveryID != want.DeliveryID || e.Endpoint != want.Endpoint || e.ResendOf != want.ResendOf ||
		!slices.Equal(e.Only, want.Only) || !slices.Equal(e.Notes, want.Notes) || e.SignalID() != want.SignalID() {
		m.t.Fatalf("sequence %d: %+v, want %+v", e.Seq, e, want)
	}
	if n := o.notes[e.Seq]; n != nil && n.droppedOnly() && e.Seq <= o.cursor {
		m.t.Fatalf("sequence %d was dropped at %s and comes", e.Seq, o.spec.Name)
	}
}

func (m *model) checkGap(o *modelOutput, g queue.Gap) {
	for seq := g.First; seq <= g.Last; seq++ {
		n := o.notes[seq]
		dropped := n != nil && n.dropped
		sure := dropped && n.droppedOnly()
		if seq > max(m.done, o.cursor) || g.Outcome == queue.Dropped && !dropped || g.Outcome != queue.Dropped && sure || g.Outcome == queue.Lost {
			m.t.Fatalf("gap %+v at %s; all are past %d; noted: %+v", g, o.spec.Name, m.done, n)
		}
	}
}

func (m *model) checkOutcomes(o *modelOutput) {
	ranges, err := m.q.Outcomes(m.ctx(), o.spec.Name, 1, m.last()+5)
	m.must("outcomes", err)
	next := uint64(1)
	for _, r := range ranges {
		if r.First != next || r.Last < r.First {
			m.t.Fatalf("outcomes of %s don't go on with %d: %+v", o.spec.Name, next, ranges)
		}
		for ; next <= r.Last; next++ {
			m.checkOutcome(o, next, r)
		}
	}
	if next != m.last()+1 {
		m.t.Fatalf("outcomes of %s end at %d of %d", o.spec.Name, next-1, m.last())
	}
}

func (m *model) checkOutcome(o *modelOutput, seq uint64, r queue.OutcomeRange) {
	want := values{{}}
	if n := o.notes[seq]; n != nil {
		want = n.values
	}
	if seq > o.cursor {
		want = values{{outcome: queue.Queued}}
	}
	ok := func(v value) bool {
		inTime := v.at.IsZero() || !r.At.Before(v.at) && !r.At.After(v.at.Add(2*queue.RangeSpan))
		return r.Outcome == v.outcome && r.Level == v.level && inTime
	}
	if !slices.ContainsFunc(want, ok) {
		m.t.Fatalf("sequence %d at %s, which is at %d: %+v, want one of %+v", seq, o.spec.Name, o.cursor, r, want)
	}
}
