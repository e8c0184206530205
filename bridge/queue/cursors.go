package queue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// maxDeletes is how many deletions a transaction makes that does nothing else.
const maxDeletes = 1024

// share is how much tidying a transaction does that makes n events durable: more than the events bring, so that it keeps
// up, and not so much that they wait long for it.
func share(n int) int { return 2*n + 64 }

// flushCursors writes every cursor that has moved, with what became of the sequences that it moved over.
func (t *txn) flushCursors() error {
	due := t.q.outputs.takeDirty()
	t.flushed = append(t.flushed, due...)
	for _, f := range due {
		if err := t.putCursor(f.name, f.through); err != nil {
			return err
		}
		if err := t.recordRuns(f.name, f.runs); err != nil {
			return err
		}
	}
	return nil
}

// putCursor writes the cursor of an output, unless this transaction has removed that: it would be back after a restart.
func (t *txn) putCursor(name string, seq uint64) error {
	if slices.Contains(t.removed, name) {
		return nil
	}
	t.written = true
	key := []byte(name)
	return t.put(t.cursors, key, encodeCursor(seq, key))
}

// deleteConsumed deletes a share of the events that every output is past.
func (t *txn) deleteConsumed() error {
	through, limit := t.consumed(), uint64(maxDeletes)
	if n := len(t.accepted); n > 0 && through >= t.head {
		limit = max(uint64(share(n)), min(limit, (through-t.head)/128)) //nolint:gosec // n is small; a large backlog goes faster
	}
	return t.deleteThrough(through, int(limit), math.MaxInt64)
}

// consumed is outputs.consumed with what this transaction writes.
func (t *txn) consumed() uint64 {
	return min(t.newcomer, t.q.outputs.lowest(func(o *output) uint64 {
		through := o.committed
		for _, f := range t.flushed {
			if f.name == o.spec.Name {
				through = max(through, f.through)
			}
		}
		return through
	}))
}

// deleteThrough deletes the oldest events up to a sequence: at most limit, and not more once bytes are free.
func (t *txn) deleteThrough(through uint64, limit int, bytes int64) error {
	if t.head > through || t.counts.events == 0 {
		return nil
	}
	keys := make([]byte, 0, 8*min(limit, maxDeletes))
	freed := int64(0)
	c := t.events.Cursor()
	k, v := c.First()
	for ; k != nil && keySequence(k) <= through && len(keys)/8 < limit && freed < bytes; k, v = c.Next() {
		keys = append(keys, k...)
		freed += int64(len(v))
	}
	t.head = t.counts.lastSeq + 1
	if k != nil {
		t.head = keySequence(k)
	}
	for key := range slices.Chunk(keys, 8) {
		if err := t.delete(t.events, key); err != nil {
			return err
		}
	}
	t.counts.events -= min(t.counts.events, uint64(len(keys)/8))
	t.counts.bytes = max(0, t.counts.bytes-freed)
	t.written = true
	return nil
}

// SetOutputs implements Operator.
func (q *embedded) SetOutputs(ctx context.Context, specs []OutputSpec) (map[string]uint64, error) {
	left := make(map[string]uint64)
	err := q.do(ctx, func(t *txn) error {
		clear(left)
		return t.setOutputs(specs, left)
	})
	if err != nil {
		return nil, fmt.Errorf("set the queue's outputs: %w", err)
	}
	for name, n := range left {
		q.opts.Log.Warn("an output was removed from the configuration; what it had not delivered is not kept for it any more",
			"output", name, "events", n)
	}
	return left, nil
}

func (t *txn) setOutputs(specs []OutputSpec, left map[string]uint64) error {
	next := make(map[string]*output, len(specs))
	if err := t.flushCursors(); err != nil { // also what a removed one has done
		return err
	}
	o := &t.q.outputs
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, spec := range specs {
		if known := o.byName[spec.Name]; known != nil {
			next[spec.Name] = known
			continue
		}
		start := t.startOf(spec)
		next[spec.Name] = &output{spec: spec, cursor: start, committed: start}
		t.newcomer = min(t.newcomer, start)
		if err := t.putCursor(spec.Name, start); err != nil {
			return err
		}
	}
	for name, gone := range o.byName {
		if next[name] != nil {
			continue
		}
		left[name] = t.queuedAbove(gone.cursor)
		t.removed = append(t.removed, name)
		t.written = true
		if err := t.delete(t.cursors, []byte(name)); err != nil {
			return err
		}
	}
	t.afterCommit = append(t.afterCommit, func() { t.q.outputs.replace(next, specs) })
	return t.settle(specs)
}

// settle ends what a salvage has left open: from now on an output that the queue doesn't know is a new one. The caller
// holds the outputs' mu.
func (t *txn) settle(specs []OutputSpec) error {
	if !t.q.outputs.unsure || len(specs) == 0 {
		return nil
	}
	t.written = true
	return t.delete(t.meta, []byte(keySalvaged))
}

// replace makes next the outputs. Known ones keep their place and take over what their spec says now.
func (o *outputs) replace(next map[string]*output, specs []OutputSpec) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, spec := range specs {
		next[spec.Name].spec = spec
	}
	o.byName = next
	o.changed = true
	if len(specs) > 0 {
		o.named, o.unsure = true, false
	}
}

// startOf is where a new output begins: now, or before the oldest kept event. After a salvage it may be an old one whose
// cursor was not found: rather twice than not at all. The caller holds the outputs' mu.
func (t *txn) startOf(spec OutputSpec) uint64 {
	if t.q.outputs.unsure {
		events := t.queuedAbove(t.head - 1)
		t.afterCommit = append(t.afterCommit, func() {
			t.q.opts.Log.Warn("the salvaged database has no cursor of an output; it begins at the oldest kept event",
				"event", "queue_damaged", "output", spec.Name, "events", events)
		})
		return t.head - 1
	}
	if spec.StartAtOldest {
		return t.head - 1
	}
	return t.counts.lastSeq
}

// queuedAbove is the number of live events above a cursor.
func (t *txn) queuedAbove(cursor uint64) uint64 {
	return queuedAbove(cursor, t.head, t.counts.lastSeq)
}

func queuedAbove(cursor, head, last uint64) uint64 {
	if from := max(cursor+1, head); from <= last {
		return last - from + 1
	}
	return 0
}

// forgetEvery is how many deliveries come before as many old ones are forgotten: to delete a few at every commit would
// mean to write the oldest pages as often as the newest. So the memory holds a few more than its capacity; a small one
// holds hardly any.
func forgetEvery(capacity int) int { return min(256, capacity/16) }

// forgetOld prunes a share of the deliveries that are older than the window or beyond the capacity.
func (t *txn) forgetOld(flush bool) error {
	t.unpruned += len(t.accepted)
	step := forgetEvery(t.q.opts.Capacity)
	if t.unpruned < step && t.counts.seen <= t.q.opts.Capacity+step && !flush {
		return nil
	}
	limit := share(t.unpruned)
	t.unpruned = 0
	var due []entry
	c := t.seen.Cursor()
	for k, v := c.First(); k != nil && len(due) < limit; k, v = c.Next() {
		over := t.counts.seen-len(due) > t.q.opts.Capacity
		seen, err := viewSeen(v, k)
		if err != nil { // damaged: no use to anyone
			due = append(due, entry{seq: keySequence(k)})
			continue
		}
		old := t.now.Sub(seen.receivedAt) > t.q.opts.Window
		if !old && !over {
			t.oldestSeen = seen.receivedAt
			break
		}
		if !old {
			t.evictions++
		}
		t.raiseHorizon(seen)
		due = append(due, t.entryOf(seen, keySequence(k)))
	}
	return t.deleteSeen(due)
}

func (t *txn) entryOf(seen seenView, seq uint64) entry {
	return entry{
		digestKey:   t.q.keys.digest(seen.endpoint, seen.digest),
		deliveryKey: t.q.keys.delivery(seen.endpoint, seen.deliveryID),
		seq:         seq,
	}
}

// raiseHorizon notes that a delivery is forgotten: a body no newer than it can't be judged any more. For one that has
// reached the window's age that matters only when the clock was ahead and is set back: what it made us forget would
// come as new.
func (t *txn) raiseHorizon(seen seenView) {
	endpoint := string(seen.endpoint)
	horizon, noted := t.horizons[endpoint]
	if !noted { // it is written even when no later than before: what a lowered capacity raised is in memory only
		horizon = t.q.horizons[endpoint]
	}
	if seen.sentAt.After(horizon) {
		horizon = seen.sentAt
	}
	if t.horizons == nil {
		t.horizons = make(map[string]time.Time)
	}
	t.horizons[endpoint] = horizon
}

func (t *txn) deleteSeen(due []entry) error {
	for _, f := range due {
		if err := t.delete(t.seen, t.key(f.seq)); err != nil {
			return err
		}
	}
	t.forgotten = append(t.forgotten, due...)
	t.counts.seen -= len(due)
	t.written = t.written || len(due) > 0
	for endpoint, horizon := range t.horizons {
		key := []byte(keyHorizonPrefix + endpoint)
		if err := t.put(t.meta, key, seal(appendTime(newValue(nil, kindState), horizon), key)); err != nil {
			return err
		}
	}
	return nil
}
