package forward

import (
	"cmp"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

type batchState uint8

const (
	waiting  batchState = iota // failed before, or never sent: to be sent (again)
	inFlight                   // handed to the output, done not called yet
	finished                   // the outcome of every event is known
)

// batch is a stretch of the queue on its way: the events that the output gets, those it doesn't, and the gaps.
type batch struct {
	spans   []span // all of the stretch, ascending, without a hole between them
	state   batchState
	tries   int
	records int       // that were sent
	level   string    // of the delivery
	at      time.Time // when the last outcome became known
}

func (b *batch) last() uint64 { return b.spans[len(b.spans)-1].last }

// open counts the events that are still to be delivered.
func (b *batch) open() int {
	n := 0
	for _, s := range b.spans {
		if s.outcome == queue.Queued {
			n++
		}
	}
	return n
}

// decide gives the open events of b within first..last their outcome and returns how many there were.
func (b *batch) decide(first, last uint64, outcome queue.Outcome) (n int) {
	i, _ := b.find(first)
	for ; i < len(b.spans) && b.spans[i].first <= last; i++ {
		if b.spans[i].outcome == queue.Queued {
			b.spans[i].outcome = outcome
			n++
		}
	}
	return n
}

// find returns where the event seq is in b's spans, or the next one after it.
func (b *batch) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(b.spans, seq, func(s span, seq uint64) int { return cmp.Compare(s.first, seq) })
}

// nextOpen returns the first open event from seq on; false: there is none.
func (b *batch) nextOpen(seq uint64) (uint64, bool) {
	i, _ := b.find(seq)
	for ; i < len(b.spans); i++ {
		if b.spans[i].outcome == queue.Queued {
			return b.spans[i].first, true
		}
	}
	return 0, false
}

// isOpen reports whether the event seq of b is still to be delivered.
func (b *batch) isOpen(seq uint64) bool {
	i, found := b.find(seq)
	return found && b.spans[i].outcome == queue.Queued
}

// appendOutcomes appends what became of b.
func (b *batch) appendOutcomes(ranges []queue.OutcomeRange) []queue.OutcomeRange {
	for _, s := range b.spans {
		r := queue.OutcomeRange{First: s.first, Last: s.last, Outcome: s.outcome, At: b.at}
		if s.outcome == queue.Delivered {
			r.Level = b.level
		}
		ranges = queue.AppendOutcome(ranges, r)
	}
	return ranges
}
