package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// result is what the output said of one batch.
type result struct {
	batch *batch
	seqs  []uint64 // of the records that were sent, by index
	err   error
}

// results are those that the dispatcher has not seen yet. The output's goroutines add, the dispatcher takes.
type results struct {
	mu    sync.Mutex
	list  []result
	ready chan struct{} // one token: there is something to take
}

func (r *results) add(one result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, one)
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

func (r *results) take() []result {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// collect takes in what the output has said since the last time.
func (d *dispatcher) collect() {
	for _, r := range d.results.take() {
		d.sending -= len(r.seqs)
		d.handle(r)
	}
}

// handle decides what one result means for its batch.
func (d *dispatcher) handle(r result) {
	b := r.batch
	var partial *outputs.PartialError
	err := r.err
	if errors.As(err, &partial) {
		if ierr := r.checkRejected(partial.Rejected); ierr != nil {
			d.failed(b, ierr)
			return
		}
		if partial.Rest == nil { // before anything can fail: what is delivered must not be sent again
			d.acceptOthers(r, partial.Rejected)
		}
		if qerr := d.quarantine(r, partial.Rejected); qerr != nil {
			d.failed(b, qerr)
			return
		}
		err = partial.Rest
	}
	if err != nil {
		d.failed(b, err)
		return
	}
	d.delivered(b)
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

// acceptOthers notes as delivered what the destination has taken of a batch: all but the rejected records.
func (d *dispatcher) acceptOthers(r result, rejected []outputs.Rejection) {
	refused := make(map[int]bool, len(rejected))
	for _, rej := range rejected {
		refused[rej.Index] = true
	}
	n := 0
	for i, seq := range r.seqs {
		if !refused[i] {
			n += r.batch.decide(seq, seq, queue.Delivered)
		}
	}
	d.noteDelivered(r.batch, n)
}

// noteDelivered says when and how well n records of b have been delivered.
func (d *dispatcher) noteDelivered(b *batch, n int) {
	b.level, b.at = d.out.Status().Level.String(), d.w.opts.Now()
	d.w.status.delivered(n, b.at)
}

// delivered ends b well. What the queue has given up meanwhile was delivered all the same.
func (d *dispatcher) delivered(b *batch) {
	d.noteDelivered(b, b.decide(0, b.last(), queue.Delivered))
	b.state = finished
	if d.suspect { // the destination takes what comes behind: what it has refused may go to the quarantine now
		d.suspect, d.retryAt = false, time.Time{}
	}
	if b.tries == 1 && slices.ContainsFunc(d.batches, func(b *batch) bool { return b.state == waiting }) {
		return // it got through beside one that fails: only a second try that works says that it is fixed
	}
	d.w.status.recovered()
	d.w.failures.Recovered(d.ctx, "delivering again", slog.String("event", "output_recovered"))
	d.failing, d.attempts, d.failingSince = false, 0, time.Time{}
}

// failed puts b back and decides when the next attempt is made.
func (d *dispatcher) failed(b *batch, err error) {
	b.state = waiting
	if errors.Is(err, queue.ErrLost) || !d.tenure.Valid() {
		d.lose()
	}
	if d.w.isStopping() || d.ctx.Err() != nil {
		return
	}
	if d.failingSince.IsZero() {
		d.failingSince = d.w.opts.Now()
	}
	// The batches that fail together on one broken connection are one failure.
	if now := d.w.opts.Now(); !d.retryAt.After(now) {
		d.attempts++
		d.retryAt = now.Add(d.w.backoff(err, d.attempts))
	}
	d.failing = true
	var blocked *outputs.BlockedError
	d.suspect = errors.As(err, &blocked) && blocked.Records
	d.w.status.failed(err, needsOperator(err), d.w.opts.Now())
	d.logFailure(b, err)
}

// errQuarantineFull stops an output: what it is refused can be kept nowhere.
var errQuarantineFull = errors.New("this output's share of the quarantine is full: re-send or drop its items, or raise queue.quarantine_max_bytes")

func (d *dispatcher) logFailure(b *batch, err error) {
	level, event, text := slog.LevelWarn, "output_failing", "delivery failed, trying again"
	switch {
	case errors.Is(err, errQuarantineFull):
		level, event = slog.LevelError, "output_blocked"
		text = "delivery is stopped until there is room for this output's refused events in the quarantine; nothing is lost"
	case needsOperator(err):
		level, event = slog.LevelError, "output_blocked"
		text = "delivery is blocked until the destination or this output's settings are fixed; retrying slowly, nothing is lost"
	}
	d.w.failures.Failed(d.ctx, level, text, err, slog.String("event", event),
		slog.Uint64("first_seq", b.spans[0].first), slog.Uint64("last_seq", b.last()), slog.Int("attempt", d.attempts))
}

// quarantine keeps the records that the destination refuses for good, with their events, and notes them as refused.
func (d *dispatcher) quarantine(r result, rejected []outputs.Rejection) error {
	d.w.status.busy(d.w.opts.Now())
	defer func() { d.w.status.heartbeat(d.w.opts.Now()) }()
	items := make([]queue.DeadLetter, 0, len(rejected))
	var gaps []queue.Gap
	for _, rej := range rejected {
		one, err := d.readRange(r.seqs[rej.Index], r.seqs[rej.Index])
		switch {
		case err != nil:
			return fmt.Errorf("reading event %d again: %w", r.seqs[rej.Index], err)
		case one[0].event == nil: // given up or lost meanwhile
			gaps = append(gaps, queue.Gap{First: one[0].first, Last: one[0].last, Outcome: one[0].outcome})
		default:
			items = append(items, queue.DeadLetter{Reason: rej.Err.Error(), Output: d.w.opts.Name, At: d.w.opts.Now(), Event: *one[0].event})
		}
	}
	if err := d.keep(items); err != nil {
		return err
	}
	for _, gap := range gaps {
		d.decideGap(r.batch, gap)
	}
	for i := range items {
		d.noteRefused(r.batch, &items[i])
	}
	return nil
}

// keep makes items durable in the quarantine.
func (d *dispatcher) keep(items []queue.DeadLetter) error {
	if len(items) == 0 {
		return nil
	}
	err := d.tenure.Quarantine(d.ctx, items)
	switch {
	case errors.Is(err, queue.ErrFull):
		return &outputs.BlockedError{Err: errQuarantineFull}
	case err != nil:
		return fmt.Errorf("keeping refused events in the quarantine: %w", err)
	}
	return nil
}

func (d *dispatcher) noteRefused(b *batch, item *queue.DeadLetter) {
	b.decide(item.Event.Seq, item.Event.Seq, queue.Refused)
	b.at = d.w.opts.Now()
	d.w.status.quarantined(1)
	notLogged, ok := d.w.refusals.Line(b.at)
	if !ok {
		return
	}
	attrs := append([]slog.Attr{slog.String("event", "record_refused"), slog.Uint64("bridge_seq", item.Event.Seq),
		slog.String("delivery_id", item.Event.DeliveryID), slog.String("error", item.Reason)}, logging.NotLogged(notLogged)...)
	d.w.opts.Log.LogAttrs(d.ctx, slog.LevelWarn, "the destination refuses an event for good; it is in the quarantine", attrs...)
}

// decideGap notes what became of open events of b that the queue no longer has.
func (d *dispatcher) decideGap(b *batch, gap queue.Gap) {
	if b.decide(gap.First, gap.Last, gap.Outcome) > 0 && gap.Outcome == queue.Lost {
		d.w.reportLost(gap)
	}
}
