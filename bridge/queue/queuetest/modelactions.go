package queuetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

func (m *model) output() *modelOutput {
	return m.outputs[rapid.SampledFrom(m.names()).Draw(m.t, "output")]
}

// advance says what became of some events.
func (m *model) advance() {
	o := m.output()
	if o.cursor == m.last() {
		return
	}
	through := rapid.Uint64Range(o.cursor+1, m.last()).Draw(m.t, "through")
	m.move(time.Second)
	p := queue.Progress{Through: through}
	for first := o.cursor + 1; first <= through; {
		last := rapid.Uint64Range(first, through).Draw(m.t, "last")
		v := rapid.SampledFrom([]value{{outcome: queue.Delivered, level: "stored"}, {outcome: queue.Delivered, level: "sent"},
			{outcome: queue.Filtered}, {outcome: queue.Refused}}).Draw(m.t, "outcome")
		v.at = m.clock.now()
		p.Outcomes = append(p.Outcomes, queue.OutcomeRange{First: first, Last: last, Outcome: v.outcome, Level: v.level, At: v.at})
		m.note(o, first, last, v)
		first = last + 1
	}
	o.tenure.Advance(p)
	o.cursor = through
	m.written += 2 * kiB
}

// late says delivered of what the output is past, as a worker does whose events the queue has dropped meanwhile, and claims
// to be beyond the newest event.
func (m *model) late() {
	o := m.output()
	if o.cursor == 0 {
		return
	}
	first := rapid.Uint64Range(1, o.cursor).Draw(m.t, "first late")
	last := rapid.Uint64Range(first, o.cursor).Draw(m.t, "last late")
	m.move(time.Second)
	v := value{queue.Delivered, "late", m.clock.now()}
	o.tenure.Advance(queue.Progress{Through: last, Outcomes: []queue.OutcomeRange{{First: first, Last: last, Outcome: v.outcome, Level: v.level, At: v.at}}})
	m.written += 2 * kiB
	for seq := first; seq <= last; seq++ {
		wins := o.notes[seq] != nil && o.notes[seq].droppedOnly() && o.notes[seq].lately
		m.note(o, seq, seq, v)
		if n := o.notes[seq]; !wins { // that is the engine's to decide
			n.values.add(n.before...)
		}
	}
	if o.cursor == m.last() {
		o.tenure.Advance(queue.Progress{Through: m.last() + 5})
	}
}

// refuse puts events that wait for an output into the quarantine.
func (m *model) refuse() (doubt, error) {
	o := m.output()
	if o.cursor == m.last() {
		return doubt{}, nil
	}
	first := rapid.Uint64Range(o.cursor+1, m.last()).Draw(m.t, "first refused")
	last := min(m.last(), first+rapid.Uint64Range(0, 2).Draw(m.t, "more refused"))
	var items []queue.DeadLetter
	d := doubt{}
	for _, e := range m.events[first-1 : last] {
		items = append(items, queue.DeadLetter{Reason: "refused", Output: o.spec.Name, At: m.clock.now(), Event: e.Event})
		if !m.refused(o.spec.Name, e.Seq) {
			d.refused = append(d.refused, &modelItem{event: &e.Event, reason: "refused", output: o.spec.Name})
		}
	}
	err := o.tenure.Quarantine(m.ctx(), items)
	if errors.Is(err, queue.ErrFull) {
		if len(d.refused) == 0 || !m.quarantineShort(o.spec.Name, &queue.Event{Body: make([]byte, 120*kiB)}) {
			m.t.Fatalf("no room for %d refusals of %s", len(d.refused), o.spec.Name)
		}
		return doubt{}, nil
	}
	if err != nil {
		return d, m.unlessCrashed("quarantine", err)
	}
	for _, item := range d.refused {
		m.written += logged(item.event)
		m.takeItem(item)
	}
	return doubt{}, nil
}

func (m *model) refused(output string, seq uint64) bool {
	for _, item := range m.items {
		if item.output == output && item.event.Seq == seq {
			return true
		}
	}
	return false
}

// resend re-sends an item that is there, or one that was re-sent before.
func (m *model) resend() (doubt, error) {
	ids := append(slices.Sorted(maps.Keys(m.items)), slices.Sorted(maps.Keys(m.resent))...)
	if len(ids) == 0 {
		return doubt{}, nil
	}
	id := rapid.SampledFrom(ids).Draw(m.t, "item")
	var outputs []string
	if rapid.Bool().Draw(m.t, "named") {
		outputs = []string{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "output")}
	}
	item := m.items[id]
	m.move(time.Second)
	seq, err := m.q.Resend(m.ctx(), id, outputs)
	if item == nil {
		if m.last() < seq || seq != m.resent[id] || err != nil {
			return doubt{}, m.unlessCrashed("re-send again", cmp.Or(err, fmt.Errorf("sequence %d, was %d", seq, m.resent[id])))
		}
		return doubt{}, nil
	}
	e := m.resentEvent(item, outputs)
	known := true
	for _, name := range e.Only {
		known = known && m.outputs[name] != nil
	}
	switch {
	case errors.Is(err, queue.ErrNotFound) && !known, errors.Is(err, queue.ErrFull) && known && m.short(e):
		return doubt{}, nil
	case err != nil:
		return doubt{resent: id, event: e}, m.unlessCrashed("re-send", err)
	case !known || seq != m.last()+1:
		m.t.Fatalf("re-sent to %v as %d of %d", e.Only, seq, m.last())
	}
	m.takeResent(id, e)
	m.takeDrops()
	return doubt{}, nil
}

// resentEvent is what becomes of an item in the queue.
func (m *model) resentEvent(item *modelItem, outputs []string) *queue.Event {
	e := *item.event
	e.ResendOf, e.Seq, e.Only = e.Seq, 0, outputs
	if len(outputs) == 0 && item.output != "" {
		e.Only = []string{item.output}
	}
	return &e
}

func (m *model) takeResent(id uint64, e *queue.Event) {
	delete(m.items, id)
	m.add(e, m.clock.now())
	m.resent[id] = m.last()
}

func (m *model) dropItem() (doubt, error) {
	ids := slices.Sorted(maps.Keys(m.items))
	if len(ids) == 0 {
		return doubt{}, nil
	}
	id := rapid.SampledFrom(ids).Draw(m.t, "item")
	if err := m.q.DropDeadLetter(m.ctx(), id); err != nil {
		return doubt{dropped: id}, m.unlessCrashed("drop", err)
	}
	delete(m.items, id)
	return doubt{}, nil
}

// declareNew adds an output.
func (m *model) declareNew() {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "name")
	if m.outputs[name] != nil {
		return
	}
	low := m.lowestCursor()
	o := &modelOutput{notes: m.notesOfEnded(name), spec: queue.OutputSpec{
		Name: name, DropOldest: rapid.Bool().Draw(m.t, "drop oldest"), StartAtOldest: rapid.Bool().Draw(m.t, "at oldest"),
	}}
	m.outputs[name] = o
	left, err := m.q.Declare(m.ctx(), m.specs())
	if err != nil || len(left) > 0 {
		m.t.Fatalf("declare %s: %v, %v", name, left, err)
	}
	m.claim(name)
	at := o.tenure.Cursor()
	if o.spec.StartAtOldest && at > low || !o.spec.StartAtOldest && at != m.last() {
		m.t.Fatalf("%+v begins after %d of %d, the others have got to %d", o.spec, at, m.last(), low)
	}
	o.cursor, o.floor = at, at
	m.done = min(m.done, at)
}

// notesOfEnded are those of an output that had this name before. An engine may still tell them, or not.
func (m *model) notesOfEnded(name string) map[uint64]*note {
	notes := make(map[uint64]*note)
	for seq, n := range m.ended[name] {
		n.values.add(n.before...)
		n.values.add(value{})
		n.before = nil
		notes[seq] = n
	}
	return notes
}

// undeclare removes an output.
func (m *model) undeclare() {
	if len(m.outputs) == 1 {
		return
	}
	o := m.output()
	name := o.spec.Name
	delete(m.outputs, name)
	m.ended[name] = o.notes
	left, err := m.q.Declare(m.ctx(), m.specs())
	m.must("declare", err)
	n, told := left[name]
	if m.engine.Shared {
		n, err = m.q.Forget(m.ctx(), name)
		m.must("forget", err)
	}
	if want := m.last() - o.cursor; n != want || told == m.engine.Shared || o.tenure.Valid() {
		m.t.Fatalf("%s had %d left, not %v; its tenure is valid: %v", name, want, left, o.tenure.Valid())
	}
}

// replay moves a cursor back.
func (m *model) replay() {
	if len(m.events) == 0 {
		return
	}
	o := m.output()
	since := m.events[rapid.IntRange(max(0, len(m.events)-20), len(m.events)-1).Draw(m.t, "since")].ReceivedAt
	limit := o.cursor
	for _, e := range m.events[m.lowestCursor():] { // these are there
		if !e.ReceivedAt.Before(since) {
			limit = min(limit, e.Seq-1)
			break
		}
	}
	_, err := m.q.Replay(m.ctx(), o.spec.Name, since)
	m.must("replay", err)
	if moved := o.tenure.Cursor() != o.cursor || limit < o.cursor; o.tenure.Valid() && moved {
		m.t.Fatalf("the tenure of %s has survived a replay", o.spec.Name)
	}
	if !o.tenure.Valid() {
		m.claim(o.spec.Name)
	}
	at := o.tenure.Cursor()
	if at > limit {
		m.t.Fatalf("%s is at %d after a replay, was at %d, and could begin after %d", o.spec.Name, at, o.cursor, limit)
	}
	o.cursor, o.floor = at, at
}

func (m *model) restart() {
	m.must("close", m.q.Close(m.ctx()))
	m.synced(m.cursors())
	m.open()
	m.checkCursors()
}

func (m *model) kill() {
	m.world.Kill(m.q)
	m.open()
	m.takeCursors()
}

// takeCursors takes over where the outputs are after a kill.
func (m *model) takeCursors() {
	for name, o := range m.outputs {
		at := o.tenure.Cursor()
		if at < o.floor || at > o.cursor {
			m.t.Fatalf("%s is at %d after a kill, was at %d, of which %d were with an append", name, at, o.cursor, o.floor)
		}
		for _, n := range o.notes {
			n.values.add(n.before...)
			n.before = nil
		}
		o.cursor, o.floor = at, at
	}
}
