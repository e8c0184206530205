package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// span is one event, or a gap of any length, with what became of it. queue.Queued: it is to be delivered.
type span struct {
	first, last uint64
	outcome     queue.Outcome
}

// item is a span as it was read.
type item struct {
	span
	event *queue.Event // nil: a gap
}

// itemsOf returns what b holds above after, in order. An answer that leaves a sequence out is refused: what became of it
// is the queue's to say.
func itemsOf(b queue.Batch, after uint64) ([]item, error) {
	items := make([]item, 0, len(b.Events)+len(b.Gaps))
	events, gaps := b.Events, b.Gaps
	for next := after + 1; next <= b.Through; next = items[len(items)-1].last + 1 {
		switch {
		case len(events) > 0 && events[0].Seq == next:
			items = append(items, item{span{next, next, queue.Queued}, events[0]})
			events = events[1:]
		case len(gaps) > 0 && gaps[0].First <= next && gaps[0].Last >= next:
			items = append(items, item{span: span{next, min(gaps[0].Last, b.Through), gaps[0].Outcome}})
			gaps = gaps[1:]
		default:
			return nil, fmt.Errorf("the queue's answer through %d doesn't say what became of event %d", b.Through, next)
		}
	}
	return items, nil
}

// reader reads ahead of the dispatcher by one chunk, so that the dispatcher can wait for more than the queue.
type reader struct {
	d      *dispatcher
	chunks chan []item
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned
}

func newReader(d *dispatcher) *reader {
	r := &reader{d: d, chunks: make(chan []item), ended: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(d.ctx)
	return r
}

func (r *reader) run() {
	defer close(r.ended)
	defer r.cancel()
	after := r.d.tenure.Cursor()
	for r.ctx.Err() == nil {
		items, err := r.read(after)
		switch {
		case errors.Is(err, queue.ErrLost):
			r.d.lose()
		case err != nil:
			r.failed(err)
		case len(items) > 0:
			after = items[len(items)-1].last
			select {
			case r.chunks <- items:
			case <-r.ctx.Done():
			}
		}
	}
}

func (r *reader) read(after uint64) ([]item, error) {
	b, err := r.d.tenure.Read(r.ctx, after, r.d.batching.MaxRecords, r.d.batching.MaxBytes)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf(b, after)
	if err == nil {
		r.d.w.reads.Recovered(r.ctx, "reading the queue again")
	}
	return items, err
}

// readPause is how long the reader waits after a failure.
const readPause = time.Second

// failed says that the queue can't be read and waits a moment before the next try.
func (r *reader) failed(err error) {
	if r.ctx.Err() != nil {
		return
	}
	r.d.w.reads.Failed(r.ctx, slog.LevelError, "reading the queue failed", err)
	sleep(r.ctx, readPause)
}

// pending is what was read and not sent: the next batch, and what lies between its events.
type pending struct {
	items    []pendingItem
	wanted   int       // how many events the output wants
	bytes    int       // of the bodies it wants
	buffered int       // of all bodies
	since    time.Time // when the first of them was read; zero: nothing pending
}

type pendingItem struct {
	item
	wanted bool
}

func (p *pending) add(i item, wanted bool) {
	p.items = append(p.items, pendingItem{i, wanted})
	if i.event == nil {
		return
	}
	p.buffered += len(i.event.Body)
	if wanted {
		p.wanted++
		p.bytes += len(i.event.Body)
	}
}

func (p *pending) reset() {
	clear(p.items)
	*p = pending{items: p.items[:0]}
}

// add puts what was read behind what is pending.
func (d *dispatcher) add(items []item) {
	if len(d.pending.items) == 0 {
		d.pending.since = d.w.opts.Now()
	}
	for _, i := range items {
		if i.outcome == queue.Lost {
			d.w.reportLost(queue.Gap{First: i.first, Last: i.last, Outcome: queue.Lost})
		}
		d.pending.add(i, i.event != nil && d.wants(i.event))
	}
}

// pendingFull reports that a batch is complete, or that too much is read between two events that the output wants.
func (d *dispatcher) pendingFull() bool {
	p := &d.pending
	return p.wanted >= d.batching.MaxRecords || p.bytes >= d.batching.MaxBytes ||
		len(p.items) >= 8*d.batching.MaxRecords || p.buffered >= 4*d.batching.MaxBytes
}

// burstLinger is how long a batch waits for more when nothing is in flight and the one before had several records: in a
// burst a fast receiver would otherwise get many small batches, which cost both sides more.
const burstLinger = 5 * time.Millisecond

// pendingDue reports whether what is pending should go now: a full batch, or waited long enough.
func (d *dispatcher) pendingDue() bool {
	if n := d.uncommitted(); n > 0 && n+d.pending.wanted > d.batching.MaxInFlight {
		return false
	}
	return d.pendingFull() || !d.pendingDueAt().After(d.w.opts.Now())
}

// pendingDueAt is when what is pending should go: at once for a lone signal with nothing in flight.
func (d *dispatcher) pendingDueAt() time.Time {
	wait := d.batching.Linger
	if d.sending == 0 {
		wait = 0
		if d.burst {
			wait = min(burstLinger, d.batching.Linger)
		}
	}
	return d.pending.since.Add(wait)
}
