package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// draw makes an event of a small world, so that everything repeats soon.
func (m *model) draw() *queue.Event {
	t := m.t
	m.move(time.Second) // so that no two moments are the same
	sent := m.clock.now().Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second)
	id := rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", "s5", ""}).Draw(t, "signal")
	body := fmt.Sprintf(`{"timestamp":%q,"data":{"signal_id":%q},"pad":%q}`, sent.Format(time.RFC3339), id,
		strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 300, 8 * kiB, 30 * kiB}).Draw(t, "pad")))
	if n := len(m.events); n > 0 && rapid.IntRange(0, 3).Draw(t, "replay") == 0 {
		body = string(m.events[rapid.IntRange(max(0, n-20), n-1).Draw(t, "which")].Body)
	}
	e := &queue.Event{
		ReceivedAt: m.clock.now(), ReceivedBy: m.options.Bridge, Body: []byte(body),
		Endpoint:   rapid.SampledFrom([]string{"e1", "e2"}).Draw(t, "endpoint"),
		DeliveryID: rapid.SampledFrom([]string{"d1", "d2", "d3", "d4", "d5", ""}).Draw(t, "delivery"),
	}
	if rapid.Bool().Draw(t, "noted") {
		e.Notes = []string{"odd"}
	}
	e.Decode()
	return e
}

// burst appends several large events, all of them new.
func (m *model) burst() {
	for i := range rapid.IntRange(1, 8).Draw(m.t, "burst") {
		m.move(time.Second)
		body := fmt.Sprintf(`{"timestamp":%q,"data":{"signal_id":"b%d"},"pad":%q}`, m.clock.now().Format(time.RFC3339), i, strings.Repeat("x", 24*kiB))
		e := &queue.Event{ReceivedAt: m.clock.now(), ReceivedBy: m.options.Bridge, Body: []byte(body), Endpoint: "e1"}
		e.Decode()
		_, _ = m.appendEvent(e, "") // the engine does not crash here
	}
}

// allowed is what an append may be answered.
type allowed struct {
	duplicates  []uint64
	quarantined []string
	accepted    bool
	reused      []bool
}

// judge says what the memory of deliveries allows.
func (m *model) judge(e *queue.Event, reason string) (a allowed) {
	sameID := func(k *modelEvent) bool {
		return e.DeliveryID != "" && k.Endpoint == e.Endpoint && k.DeliveryID == e.DeliveryID
	}
	same := m.known(func(k *modelEvent) bool { return k.Endpoint == e.Endpoint && string(k.Body) == string(e.Body) })
	restamped := m.known(func(k *modelEvent) bool { return e.SignalID() != "" && sameID(k) && k.SignalID() == e.SignalID() })
	a.duplicates = append(same.seqs, restamped.seqs...)
	if same.sure || restamped.sure {
		return a
	}
	reused := m.known(sameID)
	if len(reused.seqs) > 0 {
		a.reused = append(a.reused, true)
	}
	if !reused.sure {
		a.reused = append(a.reused, false)
	}
	if reason != "" {
		a.quarantined = []string{reason}
		return a
	}
	sent, _ := e.SentAt()
	if slices.ContainsFunc(m.events, func(k *modelEvent) bool {
		return k.doubtful && k.Endpoint == e.Endpoint && !k.sent.Before(sent) && m.inWindow(k.sent)
	}) {
		a.quarantined = []string{queue.ReasonEvicted}
	}
	a.accepted = !same.counts || !m.inWindow(sent) // else whatever has forgotten it knows that it can't tell
	return a
}

func (m *model) inWindow(at time.Time) bool { return m.clock.now().Sub(at) <= m.options.Window }

// known are the deliveries that match.
type known struct {
	seqs   []uint64 // that may count
	counts bool     // one of them does, unless it is forgotten
	sure   bool     // one of them does, and is not forgotten
}

func (m *model) known(match func(*modelEvent) bool) (k known) {
	for _, e := range m.events {
		if !match(e) {
			continue
		}
		if m.inWindow(e.latestAt) {
			k.seqs = append(k.seqs, e.Seq)
		}
		k.counts = k.counts || m.inWindow(e.rememberedAt)
		k.sure = k.sure || !e.doubtful
	}
	return k
}

// permits complains about an answer that is not allowed.
func (m *model) permits(a allowed, e *queue.Event, r queue.Receipt) {
	ok := false
	switch r.Verdict {
	case queue.Duplicate:
		ok = slices.Contains(a.duplicates, r.Seq) && r.Reason == "" && !r.Reused
	case queue.Quarantined:
		ok = slices.Contains(a.quarantined, r.Reason) && r.Seq == 0 && !r.Reused
	case queue.Accepted:
		ok = a.accepted && r.Seq == m.last()+1 && slices.Contains(a.reused, r.Reused) && r.Reason == ""
	}
	if g := m.q.Generation(); !ok || r.Generation != g && g != 0 { // it is 0 when progress could not be synced meanwhile
		m.t.Fatalf("append %s %s %.100s: %+v, allowed is %+v", e.Endpoint, e.DeliveryID, e.Body, r, a)
	}
}

// append appends one event and compares the answer. It returns an error only where the engine has crashed.
func (m *model) append(reason string) (doubt, error) { return m.appendEvent(m.draw(), reason) }

func (m *model) appendEvent(e *queue.Event, reason string) (doubt, error) {
	a := m.judge(e, reason)
	floors := m.cursors()
	r, err := m.q.Append(m.ctx(), e, reason)
	if errors.Is(err, queue.ErrFull) {
		m.refusedRoom(a, e)
		return doubt{}, nil
	}
	if err != nil {
		return doubt{append: e, reason: reason, allowed: a}, m.unlessCrashed("append", err)
	}
	m.permits(a, e, r)
	switch r.Verdict {
	case queue.Accepted:
		m.accept(e)
		m.synced(floors)
		m.takeDrops()
	case queue.Quarantined:
		if !m.held(e) {
			m.hold(e, r.Reason)
		}
	}
	return doubt{}, nil
}

func (m *model) cursors() map[string]uint64 {
	cursors := make(map[string]uint64)
	for name, o := range m.outputs {
		cursors[name] = o.cursor
	}
	return cursors
}

// synced notes that what was advanced before an append has gone with it.
func (m *model) synced(cursors map[string]uint64) {
	for name, at := range cursors {
		o := m.outputs[name]
		o.floor = at
		for _, n := range o.notes {
			n.before = nil
		}
	}
}

// accept adds an event that the queue has accepted.
func (m *model) accept(e *queue.Event) {
	times := []time.Time{e.ReceivedAt}
	if before := m.lastAccepted[e.Endpoint]; len(before) > 0 { // the clock may have been set back
		times = append(times, slices.MaxFunc(append(before, e.ReceivedAt), time.Time.Compare))
	}
	m.lastAccepted[e.Endpoint] = times
	m.add(e, e.ReceivedAt)
}

// add adds an event that is remembered from a time on.
func (m *model) add(e *queue.Event, at time.Time) {
	added := &modelEvent{Event: *e, rememberedAt: at, latestAt: at, writtenAt: m.written}
	if n := len(m.events); n > 0 && m.events[n-1].latestAt.After(at) {
		added.latestAt = m.events[n-1].latestAt
	}
	added.Seq = m.last() + 1
	added.sent, _ = e.SentAt()
	m.events = append(m.events, added)
	m.written += logged(e)
	m.age()
	needed := int64(0)
	for _, k := range m.events[m.lowestCursor():] {
		needed += int64(len(k.Body))
	}
	if room := m.lowest(func(o *modelOutput) bool { return !o.spec.DropOldest }); needed > m.options.Limits.MaxBytes && room == m.lowestCursor() {
		m.t.Fatalf("%d bytes are needed, and the limit is %d", needed, m.options.Limits.MaxBytes)
	}
}

// logged is how much a record of e may take in a log, at the most.
func logged(e *queue.Event) int64 { return int64(len(e.Body)) + 2*kiB }

// used is how much of max_bytes may be used up, at the most.
func (m *model) used() int64 {
	if low := m.lowestCursor(); low < m.last() {
		return m.written - m.events[low].writtenAt
	}
	return 2 * kiB
}

// short reports whether it is plausible that e finds no room.
func (m *model) short(e *queue.Event) bool { return m.used()+logged(e) > m.options.Limits.MaxBytes/2 }

// refusedRoom looks whether an ErrFull is plausible. check sees that nothing has changed.
func (m *model) refusedRoom(a allowed, e *queue.Event) {
	full := a.accepted && m.short(e) || len(a.quarantined) > 0 && !m.held(e) && m.quarantineShort("", e)
	if !full {
		m.t.Fatalf("no room for %.100s, %d bytes may be in use; allowed is %+v", e.Body, m.used(), a)
	}
}

func (m *model) quarantineShort(output string, e *queue.Event) bool {
	used := logged(e) + 4*kiB
	for _, item := range m.items {
		if item.output == output {
			used += logged(item.event) + 4*kiB
		}
	}
	share := m.options.Limits.QuarantineMaxBytes / 2
	if output != "" {
		share /= int64(len(m.outputs))
	}
	return used > share/2
}

// takeDrops looks which outputs the queue has moved to make room, and whether it may.
func (m *model) takeDrops() {
	blocked := m.lowest(func(o *modelOutput) bool { return !o.spec.DropOldest })
	moved := uint64(0)
	for name, o := range m.outputs {
		at := o.tenure.Cursor()
		if at == o.cursor {
			continue
		}
		if at < o.cursor || !o.spec.DropOldest || at > blocked || !m.short(&m.events[m.last()-1].Event) {
			m.t.Fatalf("the queue has moved %s from %d to %d; the others are at %d, %d bytes may be in use", name, o.cursor, at, blocked, m.used())
		}
		moved = max(moved, at)
		m.note(o, o.cursor+1, at, value{queue.Dropped, "", m.clock.now()})
		for seq := o.cursor + 1; seq <= at; seq++ {
			n := o.notes[seq]
			n.dropped, n.lately, n.before = true, true, nil
		}
		o.cursor, o.floor = at, at
	}
	if m.lowestCursor() < moved {
		m.t.Fatalf("dropped up to %d although an output is at %d", moved, m.lowestCursor())
	}
}

func (m *model) held(e *queue.Event) bool {
	for _, item := range m.items {
		if item.output == "" && item.event.Endpoint == e.Endpoint && string(item.event.Body) == string(e.Body) {
			return true
		}
	}
	return false
}

// hold notes the newest item, which must be e's.
func (m *model) hold(e *queue.Event, reason string) {
	m.written += logged(e)
	m.takeItem(&modelItem{event: e, reason: reason})
}

// takeItem finds out which ID the next item has got.
func (m *model) takeItem(item *modelItem) {
	found, err := m.q.ListDeadLetters(m.ctx(), m.lastItem, 1, false)
	if err != nil || len(found) != 1 {
		m.t.Fatalf("no new item in the quarantine: %+v, %v", found, err)
	}
	m.lastItem = found[0].ID
	m.items[m.lastItem] = item
}
