package queuetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// doubt is what a crash has interrupted: it may have happened or not, but not in part.
type doubt struct {
	append  *queue.Event
	reason  string
	allowed allowed

	refused []*modelItem
	resent  uint64 // the item
	event   *queue.Event
	dropped uint64 // the item
}

// unlessCrashed ends the check with an error unless the engine has crashed.
func (m *model) unlessCrashed(what string, err error) error {
	m.t.Helper()
	if c, ok := m.world.(Crasher); !ok || !c.Crashed() {
		m.t.Fatalf("%s: %v", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// crash makes the engine die within the next actions, and finds out what has become of the last one.
func (m *model) crash() {
	crasher := m.world.(Crasher)
	crasher.CrashAt(rapid.IntRange(1, 12).Draw(m.t, "step"))
	var d doubt
	for err := error(nil); err == nil; {
		switch rapid.IntRange(0, 6).Draw(m.t, "action") {
		case 0, 1:
			d, err = m.append("")
		case 2:
			d, err = m.append("stale")
		case 3:
			m.advance()
		case 4:
			d, err = m.refuse()
		case 5:
			d, err = m.resend()
		default:
			d, err = m.dropItem()
		}
		if err == nil && rapid.IntRange(0, 3).Draw(m.t, "enough") == 0 {
			break
		}
	}
	m.world.Kill(m.q)
	m.crashAgain(crasher)
	m.open()
	m.resolve(d)
}

// crashAgain lets some starts die too.
func (m *model) crashAgain(crasher Crasher) {
	for range rapid.IntRange(0, 2).Draw(m.t, "crashed starts") {
		crasher.CrashAt(rapid.IntRange(1, 6).Draw(m.t, "step of the start"))
		if q, err := m.world.Open(m.ctx(), m.options); err == nil {
			m.world.Kill(q)
		} else {
			_ = m.unlessCrashed("open", err)
		}
	}
	crasher.CrashAt(0)
}

// resolve takes over what has become of the interrupted action.
func (m *model) resolve(d doubt) {
	accepted := m.q.Status().LastSeq == m.last()+1
	items, err := m.q.ListDeadLetters(m.ctx(), 0, 1000, true)
	m.must("list", err)
	there := func(id uint64) bool {
		return slices.ContainsFunc(items, func(item queue.DeadLetter) bool { return item.ID == id })
	}
	fresh := len(items) > 0 && items[len(items)-1].ID > m.lastItem
	e := d.append
	switch {
	case accepted && d.resent != 0 && !there(d.resent):
		e = d.event
		m.takeResent(d.resent, e)
	case accepted && e != nil && d.allowed.accepted:
		m.accept(e)
	case fresh && e != nil && len(d.allowed.quarantined) > 0 && !m.held(e):
		m.hold(e, d.allowed.quarantined[0])
	case fresh:
		for _, item := range d.refused {
			m.written += logged(item.event)
			m.takeItem(item)
		}
	case d.dropped != 0 && !there(d.dropped):
		delete(m.items, d.dropped)
	}
	m.takeCrashedDrops(accepted)
	m.takeCursors()
}

// takeCrashedDrops looks whether the queue has dropped something for an event of which nobody was told.
func (m *model) takeCrashedDrops(accepted bool) {
	blocked := m.lowest(func(o *modelOutput) bool { return !o.spec.DropOldest })
	for name, o := range m.outputs {
		at := o.tenure.Cursor()
		if at <= o.cursor {
			continue
		}
		if !accepted || !o.spec.DropOldest || at > blocked {
			m.t.Fatalf("the queue has moved %s from %d to %d in a crash; the others are at %d", name, o.cursor, at, blocked)
		}
		m.note(o, o.cursor+1, at, value{queue.Dropped, "", m.clock.now()})
		for seq := o.cursor + 1; seq <= at; seq++ {
			n := o.notes[seq]
			n.dropped, n.lately, n.before = true, false, nil
		}
		o.cursor = at
	}
}
