package memory

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// change is a state that is being changed, and what the change needs to know.
type change struct {
	*state
	q       *Queue
	now     time.Time
	limits  queue.Limits
	wrong   Mutation
	written bool // there is something to commit
	flushed int  // how much of q.pending it holds
}

// append adds e where it is new. j is what it was judged to be.
func (c *change) append(e *queue.Event, j queue.Judgment) (queue.Receipt, error) {
	if j.Known {
		c.lookedUp(j.Receipt)
		return j.Receipt, nil
	}
	stored := *e
	if stored.Signal == nil {
		stored.Decode()
	}
	if j.Verdict == queue.Quarantined {
		stored.Seq = 0
		return j.Receipt, c.putItems(&queue.DeadLetter{Reason: j.Reason, At: c.now, Event: stored})
	}
	var err error
	j.Seq, err = c.accept(&stored)
	if err == nil && !stored.Synthetic {
		c.lastAccepted[stored.Endpoint] = stored.ReceivedAt
	}
	return j.Receipt, err
}

// accept gives e its sequence. e becomes the queue's own.
func (c *change) accept(e *queue.Event) (uint64, error) {
	if err := c.makeRoom(sizeOf(e)); err != nil {
		return 0, err
	}
	c.lastSeq++
	e.Seq = c.lastSeq
	c.events = append(c.events, e)
	c.remember(e)
	c.written = true
	return e.Seq, nil
}

func (c *change) remember(e *queue.Event) {
	r := &seen{digest: queue.DigestOf(e.Body), Seen: queue.Seen{
		Seq: e.Seq, Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, SignalID: e.SignalID(),
		ReceivedAt: e.ReceivedAt, ReceivedBy: e.ReceivedBy, Verdict: queue.Accepted,
	}}
	r.sentAt, _ = e.SentAt()
	defaultTo(&r.ReceivedAt, c.now)
	c.seen = append(c.seen, r)
}

// makeRoom answers whether size bytes fit, if need be at the cost of the drop_oldest outputs. It judges before it drops.
func (c *change) makeRoom(size int64) error {
	done := c.done()
	_, bytes := c.needed(done)
	missing := bytes + size - c.limits.MaxBytes
	if missing <= 0 {
		c.q.refused = 0
		return nil
	}
	through := done
	for droppable := c.droppable(); through < droppable && missing > 0; {
		through++
		missing -= sizeOf(c.event(through))
	}
	if missing > 0 {
		c.q.refused = size
		if c.wrong == dropsInVain {
			c.drop(through)
			c.q.w.live = c.state
		}
		return fmt.Errorf("%w: max_bytes (%d) is used up", queue.ErrFull, c.limits.MaxBytes)
	}
	c.q.refused = 0
	c.drop(through)
	return nil
}

// droppable is the sequence up to which only drop_oldest outputs hold events back; 0 when there is none.
func (c *change) droppable() uint64 {
	if c.lowest(func(o *output) bool { return o.spec.DropOldest }) == math.MaxUint64 {
		return 0
	}
	held := c.lowest(func(o *output) bool { return !o.spec.DropOldest })
	if c.wrong == dropsOthers {
		held = math.MaxUint64
	}
	return min(held, c.lastSeq)
}

// drop moves the outputs that are behind a sequence over it.
func (c *change) drop(through uint64) {
	for _, o := range c.outputs {
		if o.cursor < through {
			r := queue.OutcomeRange{First: o.cursor + 1, Last: through, Outcome: queue.Dropped, At: c.now}
			o.noted = queue.AppendOutcome(o.noted, r)
			o.dropped += through - o.cursor
			o.cursor = through
		}
	}
}

// putItems stores all of items or none. They are of one source.
func (c *change) putItems(items ...*queue.DeadLetter) error {
	output := items[0].Output
	used := c.quarantined(func(item *queue.DeadLetter) bool { return item.Output == output })
	for _, item := range items {
		used += sizeOf(&item.Event)
	}
	limit := c.share(output)
	if c.wrong == sharesQuarantine {
		used, limit = used+c.quarantined(func(item *queue.DeadLetter) bool { return item.Output != output }), c.limits.QuarantineMaxBytes/2
	}
	c.q.shareFull[output] = used > limit
	if used > limit && c.wrong == splitsRefusals && len(items) > 1 {
		_ = c.putItems(items[:len(items)-1]...)
		c.q.w.live = c.state
	}
	if used > limit {
		return fmt.Errorf("%w: quarantine_max_bytes (%d) is used up", queue.ErrFull, c.limits.QuarantineMaxBytes)
	}
	for _, item := range items {
		c.lastItem++
		item.ID = c.lastItem
		c.items[item.ID] = item
	}
	c.written = true
	return nil
}

// share is the receiver's half of the quarantine, or an output's part of the other half.
func (c *change) share(output string) int64 {
	half := c.limits.QuarantineMaxBytes / 2
	if output == "" {
		return half
	}
	return half / int64(max(1, len(c.outputs)))
}

// quarantined is what the items that match take.
func (s *state) quarantined(match func(*queue.DeadLetter) bool) (bytes int64) {
	for _, item := range s.items {
		if match(item) {
			bytes += sizeOf(&item.Event)
		}
	}
	return bytes
}

// refuse puts what a worker's output has refused into the quarantine.
func (c *change) refuse(output string, items []queue.DeadLetter) error {
	var fresh []*queue.DeadLetter
	for i := range items {
		item := items[i]
		item.Output = output
		defaultTo(&item.At, c.now)
		known := func(other *queue.DeadLetter) bool { return other.Output == output && other.Event.Seq == item.Event.Seq }
		if c.wrong != refusesTwice && (c.hasItem(known) || slices.ContainsFunc(fresh, known)) {
			continue
		}
		fresh = append(fresh, &item)
	}
	if len(fresh) == 0 {
		return nil
	}
	return c.putItems(fresh...)
}

func (s *state) hasItem(match func(*queue.DeadLetter) bool) bool {
	for _, item := range s.items {
		if match(item) {
			return true
		}
	}
	return false
}

// resend moves an item into the queue.
func (c *change) resend(id uint64, outputs []string) (uint64, error) {
	if seq, ok := c.resent[id]; ok && c.wrong != resendsTwice {
		return seq, nil
	}
	item := c.items[id]
	if item == nil {
		return 0, fmt.Errorf("item %d of the quarantine: %w", id, queue.ErrNotFound)
	}
	e := item.Event
	e.ResendOf, e.Only = e.Seq, outputs
	if len(outputs) == 0 && item.Output != "" {
		e.Only = []string{item.Output}
	}
	for _, name := range e.Only {
		if c.outputs[name] == nil && c.wrong != resendsToNobody {
			return 0, fmt.Errorf("output %q: %w", name, queue.ErrNotFound)
		}
	}
	seq, err := c.accept(&e)
	if err != nil {
		return 0, err
	}
	c.seen[len(c.seen)-1].ReceivedAt = c.now
	if c.wrong == countsResends {
		c.lastAccepted[e.Endpoint] = c.now
	}
	if c.wrong != resendsTwice {
		delete(c.items, id)
	}
	c.resent[id] = seq
	clear(c.q.shareFull)
	return seq, nil
}

// progress takes over what a worker has said.
func (c *change) progress(p pending) {
	o := c.outputs[p.output]
	if o == nil {
		return
	}
	for _, r := range p.Outcomes {
		if r.Outcome == queue.Delivered && c.wrong != droppedWins { // also where the queue has given the event up meanwhile
			o.noted = noteClipped(o.noted, r, 0, min(o.cursor, p.Through))
		}
		o.noted = noteClipped(o.noted, r, o.cursor+1, p.Through)
	}
	if c.wrong == cursorsMoveBack {
		o.cursor = p.Through
	}
	o.cursor = max(o.cursor, p.Through)
	c.written = true
}

func noteClipped(noted []queue.OutcomeRange, r queue.OutcomeRange, first, last uint64) []queue.OutcomeRange {
	for _, part := range queue.ClipOutcome(nil, r, first, last) {
		noted = queue.AppendOutcome(noted, part)
	}
	return noted
}

// tidy forgets what is too old or too much.
func (c *change) tidy() {
	c.forget()
	for _, o := range c.outputs {
		o.noted = slices.DeleteFunc(o.noted, func(r queue.OutcomeRange) bool {
			return c.now.Sub(r.At) > c.q.o.Window && c.wrong != keepsOutcomes
		})
	}
	done := c.done()
	_, bytes := c.needed(0)
	for len(c.events) > 0 && c.first() <= done {
		e := c.events[0]
		if c.now.Sub(e.ReceivedAt) < c.limits.Keep && bytes <= c.limits.MaxBytes {
			break
		}
		bytes -= sizeOf(e)
		c.events = c.events[1:]
	}
}

// forget drops the deliveries that are older than the window or beyond the capacity. What is forgotten raises its
// endpoint's evicted-up-to time, also when it was old: the clock may have been ahead.
func (c *change) forget() {
	for len(c.seen) > 0 {
		r := c.seen[0]
		old, over := c.now.Sub(r.ReceivedAt) > c.q.o.Window, len(c.seen) > c.q.o.Capacity
		if !old && !over {
			return
		}
		if !old {
			c.evicted++
		}
		if r.sentAt.After(c.evictedUpTo[r.Endpoint]) && (c.wrong != evictsSilently || old) && (c.wrong != expiresSilently || !old) {
			c.evictedUpTo[r.Endpoint] = r.sentAt
		}
		c.seen = c.seen[1:]
		c.written = true
	}
}
