package forward

import (
	"context"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// dispatcher forwards events within one tenure. All of it but results belongs to the goroutine that calls run and close.
type dispatcher struct {
	w        *Worker
	tenure   *queue.Tenure
	out      outputs.Output
	batching outputs.Batching
	reader   *reader
	watcher  chan struct{} // closed when watch has returned
	results  results

	ctx    context.Context // of everything that is done with the tenure and the output; ends with either
	cancel context.CancelCauseFunc

	batches  []*batch // in order of sequence; the front one keeps the cursor back
	pending  pending
	retryAt  time.Time // no send before; zero: none
	failing  bool      // the last attempt failed: one batch at a time
	suspect  bool      // the last failure may be the records' fault: what comes behind them tells
	attempts int       // failures in a row
	sending  int       // records in flight
	burst    bool      // the last batch had more than one record

	failingSince time.Time // zero: it doesn't fail
	askAt        time.Time // when to ask again whether another bridge wants the output
	givenUp      bool      // it does
}

func newDispatcher(w *Worker, tenure *queue.Tenure, out outputs.Output) *dispatcher {
	d := &dispatcher{w: w, tenure: tenure, out: out, batching: out.Batching(), watcher: make(chan struct{}),
		results: results{ready: make(chan struct{}, 1)}}
	d.batching.MaxRecords = max(d.batching.MaxRecords, 1)
	d.batching.MaxInFlight = max(d.batching.MaxInFlight, d.batching.MaxRecords)
	if d.batching.MaxBytes <= 0 {
		d.batching.MaxBytes = 1 << 20
	}
	d.ctx, d.cancel = context.WithCancelCause(w.life)
	d.reader = newReader(d)
	return d
}

// heartbeatInterval is how often an idle loop shows that it lives, for the watchdog.
const heartbeatInterval = 5 * time.Second

// run reads, sends and advances until the tenure ends, or until Stop and nothing is in flight any more.
func (d *dispatcher) run() {
	go d.watch()
	go d.reader.run()
	timer := time.NewTimer(heartbeatInterval)
	defer timer.Stop()
	for {
		d.w.status.heartbeat(d.w.opts.Now())
		d.step()
		d.considerGivingUp()
		if d.givenUp || d.ctx.Err() != nil || d.w.isStopping() && d.sending == 0 {
			return
		}
		chunks, stop := d.reader.chunks, d.w.running.Done()
		if d.w.isStopping() {
			chunks, stop = nil, nil
		}
		if d.pendingFull() {
			chunks = nil
		}
		timer.Reset(d.nextWake())
		select {
		case items := <-chunks:
			d.add(items)
		case <-d.results.ready:
		case <-timer.C:
		case <-stop:
		case <-d.ctx.Done():
		}
	}
}

// watch ends the reads with Stop, and everything with the tenure: also a Send that blocks.
func (d *dispatcher) watch() {
	defer close(d.watcher)
	select {
	case <-d.w.running.Done():
		d.reader.cancel()
	case <-d.tenure.Lost():
		d.lose()
	case <-d.ctx.Done():
	}
	select {
	case <-d.tenure.Lost():
		d.lose()
	case <-d.ctx.Done():
	}
}

// lose ends the work of a tenure that is over.
func (d *dispatcher) lose() { d.cancel(outputs.ErrNotOwner) }

// close closes the output, tells the queue what that let finish and waits for everything that run has started. Within the
// tenure Close may take as long as Stop allows, so that what is in flight is confirmed.
func (d *dispatcher) close() error {
	ctx := d.w.life
	if d.givenUp || d.ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
	}
	d.w.status.busy(d.w.opts.Now())
	err := d.out.Close(ctx)
	d.collect()
	d.advance()
	d.w.status.inFlight(d.sending, time.Time{})
	d.cancel(nil)
	<-d.watcher
	<-d.reader.ended
	return err
}

// step does all that can be done now.
func (d *dispatcher) step() {
	d.collect()
	d.advance()
	d.sendDue()
	d.w.status.inFlight(d.sending, d.retryAt)
}

// considerGivingUp gives up an output that has failed for long when another bridge wants it.
func (d *dispatcher) considerGivingUp() {
	now := d.w.opts.Now()
	if d.failingSince.IsZero() || now.Sub(d.failingSince) < d.w.opts.GiveUpAfter || now.Before(d.askAt) || d.w.isStopping() {
		return
	}
	d.askAt = now.Add(heartbeatInterval)
	ctx, cancel := context.WithTimeout(d.ctx, heartbeatInterval)
	defer cancel()
	if d.w.opts.Queue.Wanted(ctx, d.w.opts.Name) {
		d.givenUp = true
		d.w.opts.Log.Warn("this output has failed for a while; another bridge gets it", "event", "output_lost", "failing_for", now.Sub(d.failingSince).Round(time.Second))
	}
}

// nextWake is how long the loop may sleep when nothing happens.
func (d *dispatcher) nextWake() time.Duration {
	now, wake := d.w.opts.Now(), heartbeatInterval
	switch {
	case d.retryAt.After(now): // pending events wait for the retry anyway
		wake = min(wake, d.retryAt.Sub(now))
	case !d.pending.since.IsZero():
		wake = min(wake, d.pendingDueAt().Sub(now))
	}
	return max(wake, time.Millisecond)
}

// advance moves the cursor over the finished batches at the front.
func (d *dispatcher) advance() {
	var p queue.Progress
	n := 0
	for n < len(d.batches) && d.batches[n].state == finished {
		p.Outcomes = d.batches[n].appendOutcomes(p.Outcomes)
		p.Through = d.batches[n].last()
		n++
	}
	if n == 0 {
		return
	}
	d.batches = append(d.batches[:0], d.batches[n:]...)
	d.tenure.Advance(p)
	if d.tenure.Valid() { // else all of it is read again
		d.w.status.unsent(p.Outcomes)
	}
}
