package queue

import (
	"fmt"
	"math"
	"time"
)

// makeRoom answers whether an event of size bytes fits into the allowance, after using up what the outputs are done with
// and, where only drop_oldest outputs hold the oldest events back, making room at their cost.
func (t *txn) makeRoom(size int64) error {
	if t.missing(size) <= 0 {
		return nil
	}
	if err := t.flushCursors(); err != nil {
		return err
	}
	if err := t.deleteThrough(t.consumed(), math.MaxInt, t.missing(size)); err != nil {
		return err
	}
	if t.missing(size) > 0 {
		if err := t.dropOldest(t.missing(size)); err != nil {
			return err
		}
	}
	if t.missing(size) > 0 {
		t.full = true
		return fmt.Errorf("%w: max_bytes (%d) is used up by events that output %q has not taken yet",
			ErrFull, t.q.limit.Load(), t.q.outputs.slowest())
	}
	return nil
}

// SetLimits implements Operator.
func (q *embedded) SetLimits(maxBytes, quarantineMaxBytes int64) {
	if maxBytes > 0 {
		q.limit.Store(maxBytes)
	}
	if quarantineMaxBytes > 0 {
		q.quarantineLimit.Store(quarantineMaxBytes)
	}
}

// missing is how many bytes an event of size bytes lacks; not positive when it fits.
func (t *txn) missing(size int64) int64 { return t.counts.bytes + size - t.q.limit.Load() }

// dropOldest moves the cursors of drop_oldest outputs over the oldest events until bytes are free. It goes no further
// than the other outputs are.
func (t *txn) dropOldest(bytes int64) error {
	first := t.head
	through := min(t.q.outputs.droppable(), t.newcomer, t.counts.lastSeq)
	if err := t.deleteThrough(through, math.MaxInt, bytes); err != nil || t.head == first {
		return err
	}
	for _, f := range t.q.outputs.behind(t.head-1, t.now) {
		if err := t.putCursor(f.name, f.through); err != nil {
			return err
		}
		if err := t.recordRuns(f.name, f.runs); err != nil {
			return err
		}
		t.flushed = append(t.flushed, f)
	}
	return nil
}

// droppable returns the sequence up to which only drop_oldest outputs hold events back; 0 when there is no such output.
func (o *outputs) droppable() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	through, found := uint64(math.MaxUint64), false
	for _, out := range o.byName {
		if out.spec.DropOldest {
			found = true
			continue
		}
		through = min(through, out.cursor)
	}
	if !found {
		return 0
	}
	return through
}

// behind returns the moves of the drop_oldest outputs to seq. It changes nothing: that is left to committed.
func (o *outputs) behind(seq uint64, now time.Time) []flushed {
	o.mu.Lock()
	defer o.mu.Unlock()
	var moves []flushed
	for name, out := range o.byName {
		if out.spec.DropOldest && out.cursor < seq {
			r := Run{First: out.cursor + 1, Last: seq, Fate: Dropped, At: now}
			moves = append(moves, flushed{name: name, through: seq, runs: []Run{r}, drop: true})
		}
	}
	return moves
}

// slowest names the output that holds the most back.
func (o *outputs) slowest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	slowest, low := "", uint64(math.MaxUint64)
	for _, name := range o.names() {
		if at := o.byName[name].cursor; at < low {
			slowest, low = name, at
		}
	}
	return slowest
}

// fillLevels are the shares of the allowance, in percent, at which a warning is due.
var fillLevels = [...]int64{50, 80, 100}

// watchFill warns when the allowance fills up, once a level; a level is armed again 10 points below it.
func (q *embedded) watchFill(full bool) {
	percent := q.counts.bytes * 100 / q.limit.Load()
	if full {
		percent = 100
	}
	q.outputs.setHurry(percent >= fillLevels[1])
	for q.warned > 0 && percent < fillLevels[q.warned-1]-10 {
		q.warned--
	}
	before := q.warned
	for q.warned < len(fillLevels) && percent >= fillLevels[q.warned] {
		q.warned++
	}
	if q.warned > before {
		event := "queue_filling"
		if percent >= 100 {
			event = "queue_full"
		}
		q.opts.Log.Warn("the queue is filling up: an output does not take its events",
			"event", event, "percent", percent, "output", q.outputs.slowest(), "bytes", q.counts.bytes, "max_bytes", q.limit.Load())
	}
}
