package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// wants reports whether e is for this output at all.
func (w *Worker) wants(e *queue.Event) bool {
	if len(e.Only) > 0 {
		return slices.Contains(e.Only, w.opts.Name)
	}
	return w.opts.Match.Wants(e)
}

// sendDue sends whatever may be sent now: failed flights first, in order, then the pending events.
func (w *Worker) sendDue() {
	if w.isStopping() || w.sendCtx.Err() != nil || w.retryAt.After(w.opts.Now()) {
		return
	}
	w.retryAt = time.Time{}
	for _, f := range slices.Clone(w.flights) { // send can take finished ones off the front meanwhile
		if f.state != waiting {
			continue
		}
		if w.failing && w.sending > 0 || w.noRoom(f.open()) {
			return
		}
		if !w.resend(f) {
			return
		}
	}
	if len(w.pending.events) > 0 && (!w.failing || w.sending == 0) && w.pendingDue() {
		w.launch()
	}
}

// uncommitted counts the records that a crash now would repeat: those in flight, and those that are delivered behind a
// flight that is not.
func (w *Worker) uncommitted() int {
	n := 0
	for _, f := range w.flights {
		n += f.records
	}
	return n
}

func (w *Worker) noRoom(records int) bool {
	return w.sending > 0 && w.sending+records > w.batching.MaxInFlight
}

// launch makes the pending events one flight and sends what the output wants of them.
func (w *Worker) launch() {
	f := &flight{marks: make([]mark, 0, len(w.pending.events))}
	batch := make([]outputs.Record, 0, w.pending.wanted)
	for _, p := range w.pending.events {
		m := mark{seq: p.event.Seq}
		if p.wanted {
			batch = append(batch, w.record(p.event))
		} else {
			m.fate = queue.Filtered
		}
		f.marks = append(f.marks, m)
	}
	w.metrics.filtered.Add(float64(len(f.marks) - len(batch)))
	w.burst = len(batch) > 1
	w.pending.reset()
	w.flights = append(w.flights, f)
	w.send(f, batch)
}

// resend reads the open events of f from the queue again and sends them. It returns false when nothing more should
// be sent for now.
func (w *Worker) resend(f *flight) bool {
	batch := make([]outputs.Record, 0, f.open())
	for next := f.first(); next <= f.last() && len(batch) < cap(batch); {
		events, err := w.opts.Queue.Range(w.sendCtx, next, f.last(), w.maxBytes())
		if err != nil {
			w.failed(f, fmt.Errorf("reading the queue again: %w", err))
			return false
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if f.isOpen(e.Seq) {
				batch = append(batch, w.record(e))
			}
			next = e.Seq + 1
		}
	}
	f.loseMissing(batch)
	w.metrics.retried.Add(float64(len(batch)))
	w.send(f, batch)
	return true
}

// loseMissing marks the open events of f that the queue no longer has: they are damaged, or dropped for this output
// (when_full = "drop_oldest"), in which case the queue has accounted for them and ignores what is said here.
func (f *flight) loseMissing(batch []outputs.Record) {
	i := 0
	for j := range f.marks {
		m := &f.marks[j]
		switch {
		case i < len(batch) && batch[i].Seq == m.seq:
			i++
		case m.fate == 0:
			m.fate = queue.Lost
		}
	}
}

// send hands batch, the open events of f, to the output.
func (w *Worker) send(f *flight, batch []outputs.Record) {
	if len(batch) == 0 {
		f.state, f.at = finished, w.opts.Now()
		w.advance()
		return
	}
	seqs := make([]uint64, len(batch))
	for i := range batch {
		seqs[i] = batch[i].Seq
	}
	f.state = inFlight
	f.tries++
	f.records = max(f.records, len(batch))
	w.sending += len(batch)
	w.metrics.batches.Inc()
	w.status.enterSend(w.opts.Now())
	w.opts.Output.Send(w.sendCtx, batch, w.doneFunc(f, agesOf(batch), seqs))
	w.status.leaveSend(w.opts.Now())
}

// doneFunc returns the callback of one Send. It only notes the result: the output's goroutines never enter the
// worker's own state. A second call is a mistake of the output and is ignored.
func (w *Worker) doneFunc(f *flight, ages []age, seqs []uint64) func(error) {
	called := false
	return func(err error) {
		w.resultMu.Lock()
		defer w.resultMu.Unlock()
		if called {
			return
		}
		called = true
		if err == nil {
			w.metrics.observe(ages, w.opts.Now())
		}
		w.done = append(w.done, result{f, seqs, err})
		select {
		case w.results <- struct{}{}:
		default:
		}
	}
}

func (w *Worker) record(e *queue.Event) outputs.Record {
	r := outputs.Record{
		BridgeID: w.opts.BridgeID, Seq: e.Seq, ResendOf: e.ResendOf, Endpoint: e.Endpoint, DeliveryID: e.DeliveryID,
		ReceivedAt: e.ReceivedAt, Body: e.Body, Signal: e.Signal, Synthetic: e.Synthetic,
	}
	if r.Signal == nil { // no JSON object: only an operator's re-send can bring one here
		r.Signal = &signal.Signal{Description: string(e.Body), Notes: []string{"the body is no JSON object"}}
	}
	for _, h := range e.Header {
		r.Header = append(r.Header, outputs.Header(h))
	}
	return r
}

// checkRejected refuses indices that name no record of the batch: which ones were taken can't be told then.
func (r *result) checkRejected(rejected []outputs.Rejection) error {
	for _, rej := range rejected {
		if rej.Index < 0 || rej.Index >= len(r.seqs) {
			return fmt.Errorf("the output refused record %d of a batch of %d", rej.Index, len(r.seqs))
		}
	}
	return nil
}

// settleAccepted marks the records of a batch that the destination has taken, all but the rejected ones.
func (w *Worker) settleAccepted(r result, rejected []outputs.Rejection) {
	refused := make(map[int]bool, len(rejected))
	for _, rej := range rejected {
		refused[rej.Index] = true
	}
	n := 0
	for i, seq := range r.seqs {
		if !refused[i] {
			r.flight.mark(seq, queue.Delivered)
			n++
		}
	}
	w.noteDelivered(r.flight, n)
}

// noteDelivered says when and how well n records of f have been delivered.
func (w *Worker) noteDelivered(f *flight, n int) {
	f.level, f.at = w.opts.Output.Status().Level.String(), w.opts.Now()
	w.metrics.sent.Add(float64(n))
	w.status.delivered(n, f.at)
}

// delivered ends f well.
func (w *Worker) delivered(f *flight) {
	n := f.open()
	f.settle(queue.Delivered)
	f.state = finished
	w.noteDelivered(f, n)
	if f.tries == 1 && slices.ContainsFunc(w.flights, func(f *flight) bool { return f.state == waiting }) {
		return // it got through beside one that fails: only a second try that works says that it is mended
	}
	w.status.recovered()
	w.fold.Recovered(w.sendCtx, "delivering again", slog.String("event", "output_recovered"))
	w.failing, w.attempts = false, 0
}

// failed puts f back and decides when the next attempt is made.
func (w *Worker) failed(f *flight, err error) {
	f.state = waiting
	if w.isStopping() || w.sendCtx.Err() != nil {
		return
	}
	w.metrics.failures.Inc()
	var hold *outputs.HoldError
	held := errors.As(err, &hold)
	// The flights that fail together on one broken connection are one failure.
	if now := w.opts.Now(); !w.retryAt.After(now) {
		w.attempts++
		w.retryAt = now.Add(w.backoff(err, held))
	}
	w.failing = true
	w.status.failed(err, held, w.opts.Now())
	w.logFailure(f, err, held)
}

func (w *Worker) logFailure(f *flight, err error, held bool) {
	level, event, text := slog.LevelWarn, "output_failing", "delivery failed, trying again"
	if held {
		level, event = slog.LevelError, "output_held"
		text = "the destination refuses everything until it or this output's settings are mended; nothing is lost, trying on slowly"
	}
	w.fold.Failed(w.sendCtx, level, text, err, slog.String("event", event),
		slog.Uint64("first_seq", f.first()), slog.Uint64("last_seq", f.last()), slog.Int("attempt", w.attempts))
}

// backoff is the time until the next attempt: exponential with jitter on its upper half, and no less than the
// receiver asked for within retryAfterCap.
func (w *Worker) backoff(err error, held bool) time.Duration {
	d := w.opts.Hold
	if !held {
		d = min(w.opts.MinBackoff<<min(w.attempts-1, 20), w.opts.MaxBackoff)
	}
	d = d/2 + time.Duration(w.opts.Rand.Int64N(int64(d/2)+1))
	var retry *outputs.RetryError
	if errors.As(err, &retry) {
		d = max(d, min(retry.After, retryAfterCap))
	}
	return d
}

// quarantine keeps the records that the destination refuses for good, with their events, and marks them.
func (w *Worker) quarantine(r result, rejected []outputs.Rejection) error {
	items := make([]queue.QuarantineItem, 0, len(rejected))
	for _, rej := range rejected {
		e, err := w.readOne(r.seqs[rej.Index])
		if err != nil {
			return err
		}
		if e == nil { // dropped by the queue in the meantime
			continue
		}
		items = append(items, queue.QuarantineItem{Reason: rej.Err.Error(), Output: w.opts.Name, At: w.opts.Now(), Event: *e})
	}
	if err := w.opts.Queue.Quarantine(w.sendCtx, items); err != nil {
		return fmt.Errorf("keeping refused events in the quarantine: %w", err)
	}
	for _, rej := range rejected {
		r.flight.mark(r.seqs[rej.Index], queue.Refused)
	}
	for i := range items {
		w.opts.Log.Warn("the destination refuses an event for good; it is in the quarantine", "event", "record_refused",
			"bridge_seq", items[i].Event.Seq, "delivery_id", items[i].Event.DeliveryID, "error", items[i].Reason)
	}
	w.metrics.quarantined.Add(float64(len(rejected)))
	w.status.quarantined(len(rejected))
	return nil
}

func (w *Worker) readOne(seq uint64) (*queue.Event, error) {
	events, err := w.opts.Queue.Range(w.sendCtx, seq, seq, 1)
	if err != nil {
		return nil, fmt.Errorf("reading event %d again: %w", seq, err)
	}
	if len(events) == 0 {
		return nil, nil
	}
	return events[0], nil
}
