package forward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Claimer hands out tenures. queue.Outputs states the contract.
type Claimer interface {
	Claim(ctx context.Context, output string) (*queue.Tenure, error)
	Wanted(ctx context.Context, output string) bool
}

// OpenFunc makes the output, once for each tenure. The arguments are what it finds in outputs.Env.
type OpenFunc func(valid func() bool, metrics prometheus.Registerer) (outputs.Output, error)

// Options describe one worker. Name, Queue, Open, Now, Rand and Log are required.
type Options struct {
	Name  string
	Kind  string
	Queue Claimer
	Open  OpenFunc
	Match Match
	Now   func() time.Time
	Rand  *rand.Rand // for jitter; used by one goroutine
	Log   *slog.Logger
	Tail  *tail.Hub // nil: nobody watches

	// Time between attempts after temporary failures, doubling from MinBackoff to MaxBackoff, each with jitter on its upper
	// half. BlockedBackoff is the interval, with the same jitter, after a failure that only an operator can fix. Zero
	// means the defaults: 200ms, 60s and 30s.
	MinBackoff, MaxBackoff, BlockedBackoff time.Duration

	// GiveUpAfter is how long an output may fail before it is given up when another bridge wants it, and how long it is not claimed
	// again then: that bridge may reach what this one can't. Zero means 60 s.
	GiveUpAfter time.Duration
}

const (
	// retryAfterCap bounds what a receiver's Retry-After can ask for, so that a wrong header can't silence an output.
	retryAfterCap = 5 * time.Minute
	// closeTimeout bounds the Close of an output whose tenure is lost: there is nothing left to wait for.
	closeTimeout = 10 * time.Second
	// minTenure is the least time between two claims.
	minTenure = time.Second
)

// Worker forwards the queue's events to one output while this bridge owns it. Start runs it, Stop ends it; it can't be
// started again.
type Worker struct {
	opts     Options
	metrics  *metrics
	failures *logging.Dedup // of deliveries
	reads    *logging.Dedup // of reads from the queue
	refusals *logging.Limit // lines about single refused records
	status   status

	stopOnce sync.Once
	ended    chan struct{}   // closed when run has returned, and with it every goroutine of the worker
	life     context.Context // bounds sends; ends when Stop has waited long enough
	endLife  context.CancelCauseFunc
	running  context.Context // ends with Stop: claim, read and send nothing new
	quit     context.CancelFunc

	// Of run's goroutine.
	reportedLost []queue.Gap // lost events that the log has told of, the latest last
	closeErr     error       // of the last output; Stop reads it after ended
	gaveUp       bool        // the last tenure, because it failed and another bridge wanted it
}

// New returns a Worker that is not running yet.
func New(opts Options) *Worker {
	opts.MinBackoff = cmp.Or(opts.MinBackoff, 200*time.Millisecond)
	opts.MaxBackoff = cmp.Or(opts.MaxBackoff, time.Minute)
	opts.BlockedBackoff = cmp.Or(opts.BlockedBackoff, 30*time.Second)
	opts.GiveUpAfter = cmp.Or(opts.GiveUpAfter, time.Minute)
	w := &Worker{
		opts: opts, metrics: newMetrics(opts.Name), ended: make(chan struct{}),
		failures: logging.NewDedup(opts.Log, opts.Now), reads: logging.NewDedup(opts.Log, opts.Now),
		refusals: logging.NewLimit(logging.EventLines, logging.EventEvery),
	}
	w.status.Name, w.status.Kind = opts.Name, opts.Kind
	return w
}

// Start begins to claim the output and to forward from where its cursor stands. ctx bounds the worker's whole life; Stop
// is the orderly end.
func (w *Worker) Start(ctx context.Context) {
	w.life, w.endLife = context.WithCancelCause(ctx)
	w.running, w.quit = context.WithCancel(w.life)
	go w.run() //nolint:contextcheck // all that it does is bounded by life, which comes from ctx
}

// Stop ends the worker: nothing new is read or sent, what is in flight may finish until ctx ends, then the output is
// closed, the cursor left exactly behind the last event whose outcome is known, and the output released. It returns when
// every goroutine that the worker has started has returned. A second call waits for the first.
func (w *Worker) Stop(ctx context.Context) error {
	var err error
	w.stopOnce.Do(func() {
		if w.life == nil { // never started
			return
		}
		w.quit()
		select {
		case <-w.ended:
		case <-ctx.Done():
			w.endLife(context.Cause(ctx)) // a blocked Send returns, unfinished batches are given up
			<-w.ended
		}
		w.endLife(nil)
		err = w.closeErr
	})
	return err
}

func (w *Worker) isStopping() bool { return w.running.Err() != nil }

// run goes from tenure to tenure until Stop.
func (w *Worker) run() {
	defer close(w.ended)
	for attempts := 0; !w.isStopping(); {
		began := w.opts.Now()
		err := w.serve()
		if err != nil && !w.isStopping() {
			attempts++
			w.cantBegin(err, attempts)
			continue
		}
		attempts = 0
		pause := minTenure - w.opts.Now().Sub(began) // an output that is lost as soon as it is claimed must not spin
		if w.gaveUp {
			pause = w.opts.GiveUpAfter
		}
		sleep(w.running, pause)
	}
}

// serve waits for a tenure and lives through it. An error says why there was none, or no output to use in it.
func (w *Worker) serve() error {
	w.status.standBy()
	tenure, err := w.opts.Queue.Claim(w.running, w.opts.Name)
	if err != nil {
		return fmt.Errorf("claiming the output: %w", err)
	}
	defer tenure.Release()
	metrics := prometheus.NewRegistry()
	out, err := w.opts.Open(tenure.Valid, prometheus.WrapRegistererWith(outputLabel(w.opts.Name), metrics))
	if err != nil { // another bridge may be able to
		return &outputs.BlockedError{Err: fmt.Errorf("making the output: %w", err)}
	}
	w.status.own(out, metrics)
	d := newDispatcher(w, tenure, out)
	d.run()
	w.closeErr, w.gaveUp = d.close(), d.givenUp
	w.status.lose()
	if w.closeErr != nil && !w.isStopping() { // Stop's caller is told
		w.opts.Log.Warn("an output did not close in good order", "error", w.closeErr)
	}
	return nil
}

// cantBegin tells of a tenure that could not begin, and waits before the next attempt.
func (w *Worker) cantBegin(err error, attempts int) {
	blocked := needsOperator(err)
	w.status.failed(err, blocked, w.opts.Now())
	if w.opts.Tail.Watched() {
		w.opts.Tail.Tell(&tail.Line{At: w.opts.Now(), Way: tail.Out, Output: w.opts.Name, Outcome: "failed", Error: display.Error(err)})
	}
	w.failures.Failed(w.life, slog.LevelError, "forwarding can't begin, its events wait; trying again", err,
		slog.String("event", "output_failing"), slog.Int("attempt", attempts))
	d := w.backoff(err, attempts)
	w.status.waitFor(d, w.opts.Now())
	sleep(w.running, d)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// needsOperator reports whether err is one that only an operator can fix.
func needsOperator(err error) bool {
	var blocked *outputs.BlockedError
	return errors.As(err, &blocked)
}

// backoff is the time until the next attempt: exponential with jitter on its upper half, and no less than the
// receiver asked for within retryAfterCap.
func (w *Worker) backoff(err error, attempts int) time.Duration {
	d := w.opts.BlockedBackoff
	if !needsOperator(err) {
		d = min(w.opts.MinBackoff<<min(attempts-1, 20), w.opts.MaxBackoff)
	}
	d = d/2 + time.Duration(w.opts.Rand.Int64N(int64(d/2)+1))
	var retry *outputs.RetryError
	if errors.As(err, &retry) {
		d = max(d, min(retry.After, retryAfterCap))
	}
	return d
}

// maxReportedLost bounds the memory of losses that were logged.
const maxReportedLost = 100

// reportLost logs a gap of lost events, once: it is read again when a tenure ends before the cursor is past it.
func (w *Worker) reportLost(gap queue.Gap) {
	for _, told := range w.reportedLost {
		if told.First <= gap.First && gap.Last <= told.Last {
			return
		}
	}
	if len(w.reportedLost) == maxReportedLost {
		w.reportedLost = w.reportedLost[1:]
	}
	w.reportedLost = append(w.reportedLost, gap)
	w.opts.Log.Error("the queue lost events before this output was sent them; continuing behind them", "event", "record_lost",
		"first_seq", gap.First, "last_seq", gap.Last)
}
