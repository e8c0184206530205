package forward

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// wants reports whether e is for this output at all.
func (d *dispatcher) wants(e *queue.Event) bool {
	if len(e.Only) > 0 {
		return slices.Contains(e.Only, d.w.opts.Name)
	}
	return d.w.opts.Match.Wants(e)
}

// sendDue sends whatever may be sent now: failed batches first, in order, then what is pending.
func (d *dispatcher) sendDue() {
	if d.w.isStopping() || d.ctx.Err() != nil || d.sendBehind() || d.retryAt.After(d.w.opts.Now()) {
		return
	}
	d.retryAt = time.Time{}
	for _, b := range slices.Clone(d.batches) { // send can take finished ones off the front meanwhile
		if b.state != waiting {
			continue
		}
		if d.failing && d.sending > 0 || d.noRoom(b.open()) {
			return
		}
		if !d.resend(b) {
			return
		}
	}
	if len(d.pending.items) > 0 && (!d.failing || d.sending == 0) && d.pendingDue() {
		d.sendPending()
	}
}

// sendBehind sends what comes behind a batch whose records are all refused, to find out whether they are at fault or the destination:
// new events as soon as there are some, and later, at every second attempt, the batch that those have become, or newer ones. It returns
// false when the turn is the refused batch's.
func (d *dispatcher) sendBehind() bool {
	if !d.suspect || d.sending > 0 {
		return false
	}
	var last *batch
	n := 0
	for _, b := range d.batches {
		if b.state == waiting {
			last, n = b, n+1
		}
	}
	due := d.attempts%2 == 0 && !d.retryAt.After(d.w.opts.Now())
	switch {
	case len(d.pending.items) > 0 && (n == 1 || due && n < maxBehind):
		d.sendPending()
	case n > 1 && due:
		d.resend(last)
	default:
		return false
	}
	return true
}

// maxBehind is how many refused batches may wait before no newer events are tried.
const maxBehind = 6

// uncommitted counts the records that a crash now would repeat: those in flight, and those that are delivered behind a
// batch that is not.
func (d *dispatcher) uncommitted() int {
	n := 0
	for _, b := range d.batches {
		n += b.records
	}
	return n
}

func (d *dispatcher) noRoom(records int) bool {
	return d.sending > 0 && d.sending+records > d.batching.MaxInFlight
}

// sendPending makes what is pending one batch and sends what the output wants of it.
func (d *dispatcher) sendPending() {
	b := &batch{spans: make([]span, 0, len(d.pending.items)), at: d.w.opts.Now()}
	records := make([]outputs.Record, 0, d.pending.wanted)
	filtered := 0
	for _, p := range d.pending.items {
		switch {
		case p.wanted:
			records = append(records, d.record(p.event))
		case p.event != nil:
			p.outcome = queue.Filtered
			filtered++
		}
		b.spans = append(b.spans, p.span)
	}
	d.w.status.filtered(filtered)
	d.burst = len(records) > 1
	d.pending.reset()
	d.batches = append(d.batches, b)
	d.send(b, records)
}

// resend reads the open events of b from the queue again and sends them. It returns false when nothing more should be sent
// for now.
func (d *dispatcher) resend(b *batch) bool {
	records, gaps, err := d.reread(b)
	if err != nil {
		d.failed(b, fmt.Errorf("reading the queue again: %w", err))
		return false
	}
	for _, gap := range gaps {
		d.decideGap(b, gap)
	}
	return d.send(b, records)
}

// reread returns the open events of b as records, and the gaps that are among them by now. It changes nothing in b: an
// answer that fails half way says nothing of the rest.
func (d *dispatcher) reread(b *batch) (records []outputs.Record, gaps []queue.Gap, err error) {
	d.w.status.busy(d.w.opts.Now())
	defer func() { d.w.status.heartbeat(d.w.opts.Now()) }()
	for next, more := b.nextOpen(0); more; {
		items, err := d.readRange(next, b.last())
		if err != nil {
			return nil, nil, err
		}
		for _, i := range items {
			switch {
			case i.event == nil:
				gaps = append(gaps, queue.Gap{First: i.first, Last: i.last, Outcome: i.outcome})
			case b.isOpen(i.first):
				records = append(records, d.record(i.event))
			}
		}
		next, more = b.nextOpen(items[len(items)-1].last + 1)
	}
	return records, gaps, nil
}

// readRange returns at least one item from first on.
func (d *dispatcher) readRange(first, last uint64) ([]item, error) {
	answer, err := d.tenure.Range(d.ctx, first, last, d.batching.MaxBytes)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf(answer, first-1)
	if err == nil && len(items) == 0 {
		err = fmt.Errorf("the queue's answer says nothing of event %d", first)
	}
	return items, err
}

// send hands records, the open events of b, to the output. It returns false when the tenure is over.
func (d *dispatcher) send(b *batch, records []outputs.Record) bool {
	records = d.leaveOut(b, records)
	if len(records) == 0 {
		b.state, b.at = finished, d.w.opts.Now()
		d.advance()
		return true
	}
	seqs, ages := seqsOf(records), agesOf(records)
	d.w.status.busy(d.w.opts.Now())
	if !d.tenure.Valid() { // the last look
		d.lose()
		return false
	}
	if b.tries > 0 {
		d.w.status.retried(len(records))
	}
	b.state = inFlight
	b.tries++
	b.records = max(b.records, len(records))
	d.sending += len(records)
	d.w.status.sent()
	d.out.Send(d.ctx, records, d.doneFunc(b, ages, seqs, d.watched(records)))
	d.w.status.heartbeat(d.w.opts.Now())
	return true
}

// leaveOut returns records without what the queue has given up for this output since it was read.
func (d *dispatcher) leaveOut(b *batch, records []outputs.Record) []outputs.Record {
	cursor := d.tenure.Cursor()
	b.decide(0, cursor, queue.Dropped)
	for len(records) > 0 && records[0].Seq <= cursor {
		records = records[1:]
	}
	return records
}

func seqsOf(records []outputs.Record) []uint64 {
	seqs := make([]uint64, len(records))
	for i := range records {
		seqs[i] = records[i].Seq
	}
	return seqs
}

// doneFunc returns the callback of one Send. It only notes the result: the output's goroutines never enter the
// dispatcher's own state. A second call is a mistake of the output and is ignored.
func (d *dispatcher) doneFunc(b *batch, ages []age, seqs []uint64, tell func(error)) func(error) {
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			if err == nil {
				d.w.metrics.observe(ages, d.w.opts.Now())
			}
			if tell != nil {
				tell(err)
			}
			d.results.add(result{b, seqs, err})
		})
	}
}

func (d *dispatcher) record(e *queue.Event) outputs.Record {
	r := outputs.Record{
		BridgeID: d.tenure.BridgeID, Seq: e.Seq, ResendOf: e.ResendOf, Endpoint: e.Endpoint, DeliveryID: e.DeliveryID,
		ReceivedAt: e.ReceivedAt, Body: e.Body, Signal: e.Signal, Notes: e.Notes, Synthetic: e.Synthetic,
	}
	if r.Signal == nil { // no JSON object: only an operator's re-send can bring one here
		r.Signal = &signal.Signal{Description: string(e.Body), Notes: []string{"the body is not a JSON object"}}
	}
	for _, h := range e.Header {
		r.Header = append(r.Header, outputs.Header(h))
	}
	return r
}
