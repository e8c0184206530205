package syslog

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// How often a record may be refused before it goes to the quarantine.
const (
	maxRefusals      = 3 // with proof that others are accepted; also the tries on one connection
	maxRefusalsAlone = 9 // when there is nothing else to send that could prove it
	maxRefusalsKnown = 1 << 16
)

// verdict is what becomes of a refused record.
type verdict int

const (
	refusedOnce    verdict = iota // try it again on this connection
	refusedForNow                 // give the batch back, to be tried again later
	refusedForGood                // to the quarantine
)

// refusals remembers, across connections, which records were refused. A record is refused for good only when the
// collector accepts others meanwhile: one that refuses everything is out of order itself, and must not empty the queue into
// the quarantine.
type refusals struct {
	some atomic.Bool // whether known holds anything, so that the usual case costs one load

	mu      sync.Mutex
	known   map[uint64]refusal // by bridge_seq
	accepts uint64             // acceptances counted while anything is known
}

type refusal struct {
	times int
	since uint64 // accepts at the first refusal
}

func newRefusals() *refusals { return &refusals{known: map[uint64]refusal{}} }

// accepted notes that the record seq was accepted.
func (r *refusals) accepted(seq uint64) {
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepts++
	r.forget(seq)
}

func (r *refusals) forget(seq uint64) {
	delete(r.known, seq)
	r.some.Store(len(r.known) > 0)
}

// refused notes a refusal of the record seq and decides. alone says that nothing else is under way.
func (r *refusals) refused(seq uint64, alone bool) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, known := r.known[seq]
	if !known {
		if len(r.known) >= maxRefusalsKnown {
			clear(r.known)
		}
		entry.since = r.accepts
	}
	entry.times++
	proof := r.accepts > entry.since
	if entry.times >= maxRefusals && proof || entry.times >= maxRefusalsAlone && alone {
		r.forget(seq)
		return refusedForGood
	}
	r.known[seq] = entry
	r.some.Store(true)
	if entry.times%maxRefusals == 0 {
		return refusedForNow
	}
	return refusedOnce
}

// refusedError is an answer other than 200 to a record.
type refusedError struct {
	addr address
	code int
	text string
}

// Error implements error.
func (e *refusedError) Error() string {
	return fmt.Sprintf("%s: the collector refused the record: %d %s", e.addr, e.code, e.text)
}
