package forward

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// pending is what was read and not sent: the next batch and the filtered events between.
type pending struct {
	events []pendingEvent
	wanted int       // how many the output wants
	bytes  int       // of the bodies it wants
	held   int       // of all bodies
	since  time.Time // when the first of them was read; zero: nothing pending
}

type pendingEvent struct {
	event  *queue.Event
	wanted bool
}

func (p *pending) add(e *queue.Event, wanted bool) {
	p.events = append(p.events, pendingEvent{e, wanted})
	p.held += len(e.Body)
	if wanted {
		p.wanted++
		p.bytes += len(e.Body)
	}
}

func (p *pending) reset() {
	clear(p.events)
	*p = pending{events: p.events[:0]}
}

// add puts events that were read behind the pending ones.
func (w *Worker) add(events []*queue.Event) {
	if len(w.pending.events) == 0 {
		w.pending.since = w.opts.Now()
	}
	for _, e := range events {
		w.pending.add(e, w.wants(e))
	}
}

// pendingFull reports that a batch is complete, or that too much is read between two events that the output wants.
func (w *Worker) pendingFull() bool {
	p := &w.pending
	return p.wanted >= w.batching.MaxRecords || p.bytes >= w.maxBytes() ||
		len(p.events) >= 8*w.batching.MaxRecords || p.held >= 4*w.maxBytes()
}

// gather is how long a batch waits for more when nothing is in flight and the one before held several records: in a
// burst a fast receiver would otherwise get many small batches, which cost both sides more.
const gather = 5 * time.Millisecond

// pendingDue reports whether the pending events should go now: a full batch, or waited long enough.
func (w *Worker) pendingDue() bool {
	if n := w.uncommitted(); n > 0 && n+w.pending.wanted > w.batching.MaxInFlight {
		return false
	}
	return w.pendingFull() || !w.pendingDueAt().After(w.opts.Now())
}

// pendingDueAt is when the pending events should go: at once for a lone signal with nothing in flight.
func (w *Worker) pendingDueAt() time.Time {
	wait := w.batching.Linger
	if w.sending == 0 {
		wait = 0
		if w.burst {
			wait = min(gather, w.batching.Linger)
		}
	}
	return w.pending.since.Add(wait)
}
