package forward

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Queue is what a Worker needs of the queue; queue.Reader states the contract.
type Queue interface {
	Cursor(output string) (uint64, error)
	Read(ctx context.Context, after uint64, limit, maxBytes int) ([]*queue.Event, error)
	Range(ctx context.Context, first, last uint64, maxBytes int) ([]*queue.Event, error)
	Advance(output string, p queue.Progress)
	Quarantine(ctx context.Context, items []queue.QuarantineItem) error
}

// Options describe one worker. Name, Output, Queue, Now, Rand and Log are required.
type Options struct {
	Name     string
	Kind     string
	Output   outputs.Output
	Queue    Queue
	BridgeID string
	Match    Match
	Now      func() time.Time
	Rand     *rand.Rand // for jitter; used by one goroutine
	Log      *slog.Logger

	// Back-off between attempts after temporary failures, doubling from Min to Max, each with full jitter on its upper
	// half. Hold is the interval, jittered alike, after a failure that only an operator can mend. Zero means the
	// defaults: 200ms, 60s and 30s.
	MinBackoff, MaxBackoff, Hold time.Duration
}

// retryAfterCap bounds what a receiver's Retry-After can ask for, so that a wrong header can't silence an output.
const retryAfterCap = 5 * time.Minute

// Worker forwards the queue's events to one output. Start runs it, Stop ends it; it can't be started again.
type Worker struct {
	opts     Options
	batching outputs.Batching
	metrics  *metrics
	fold     *logging.Fold

	stopping chan struct{} // closed by Stop: read and send nothing new
	stopOnce sync.Once
	ended    chan struct{} // closed when the loop has returned
	sendCtx  context.Context
	cancel   context.CancelFunc

	results  chan struct{} // one token: something is in done
	resultMu sync.Mutex
	done     []result

	status statusBox

	// The rest belongs to the loop's goroutine.
	flights  []*flight // in order of sequence; the front one holds the cursor back
	through  uint64    // the last sequence that was accounted for
	pending  pending
	retryAt  time.Time // no send before; zero: none
	failing  bool      // the last attempt failed: one flight at a time
	attempts int       // failures in a row
	sending  int       // records in flight
	burst    bool      // the last batch held more than one record
}

// result is what an output said of one flight.
type result struct {
	flight *flight
	seqs   []uint64 // of the batch, by index
	err    error
}

// New returns a Worker that is not running yet.
func New(opts Options) *Worker {
	setDefault(&opts.MinBackoff, 200*time.Millisecond)
	setDefault(&opts.MaxBackoff, time.Minute)
	setDefault(&opts.Hold, 30*time.Second)
	w := &Worker{
		opts:     opts,
		batching: opts.Output.Batching(),
		metrics:  newMetrics(opts.Name),
		fold:     logging.NewFold(opts.Log, opts.Now),
		stopping: make(chan struct{}),
		ended:    make(chan struct{}),
		results:  make(chan struct{}, 1),
	}
	w.batching.MaxRecords = max(w.batching.MaxRecords, 1)
	w.batching.MaxInFlight = max(w.batching.MaxInFlight, w.batching.MaxRecords)
	w.status.Name, w.status.Kind = opts.Name, opts.Kind
	return w
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Start begins forwarding where the output's cursor stands. ctx bounds the worker's whole life; Stop is the orderly end.
func (w *Worker) Start(ctx context.Context) error {
	cursor, err := w.opts.Queue.Cursor(w.opts.Name)
	if err != nil {
		return err
	}
	w.through = cursor
	w.sendCtx, w.cancel = context.WithCancel(ctx)
	chunks := make(chan []*queue.Event)
	go w.fetch(cursor, chunks) //nolint:contextcheck // both live as long as sendCtx, which comes from ctx
	go w.loop(chunks)
	return nil
}

// Stop ends the worker: nothing new is read or sent, what is in flight may finish until ctx ends, then the output is
// closed and the cursor left exactly behind the last event whose fate is known. A second call waits for the first.
func (w *Worker) Stop(ctx context.Context) error {
	var err error
	w.stopOnce.Do(func() {
		close(w.stopping)
		err = w.drain(ctx)
	})
	return err
}

func (w *Worker) drain(ctx context.Context) error {
	if w.cancel == nil { // never started
		return w.opts.Output.Close(ctx)
	}
	select {
	case <-w.ended:
	case <-ctx.Done():
		w.cancel() // a blocked Send returns, unfinished batches are given up
		<-w.ended
	}
	err := w.opts.Output.Close(ctx)
	w.cancel()
	w.collect() // what Close let finish
	w.advance()
	w.publish()
	return err
}

// fetch reads ahead of the loop by one chunk, so that the loop can wait for more than the queue.
func (w *Worker) fetch(after uint64, chunks chan<- []*queue.Event) {
	ctx, cancel := context.WithCancel(w.sendCtx)
	defer cancel()
	go func() {
		select {
		case <-w.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		events, err := w.opts.Queue.Read(ctx, after, w.batching.MaxRecords, w.maxBytes())
		if err != nil {
			w.readFailed(ctx, err)
			continue
		}
		if len(events) == 0 {
			continue
		}
		after = events[len(events)-1].Seq
		select {
		case chunks <- events:
		case <-ctx.Done():
		}
	}
}

// readFailed says that the queue can't be read and waits a moment before the next try.
func (w *Worker) readFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.opts.Log.Error("reading the queue failed", "error", err)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

func (w *Worker) maxBytes() int {
	if w.batching.MaxBytes <= 0 {
		return 1 << 20
	}
	return w.batching.MaxBytes
}

// beatInterval is how often an idle loop shows that it lives, for the watchdog.
const beatInterval = 5 * time.Second

// loop is the worker's one goroutine: it alone touches the flights and calls Send.
func (w *Worker) loop(chunks <-chan []*queue.Event) {
	defer close(w.ended)
	timer := time.NewTimer(beatInterval)
	defer timer.Stop()
	for {
		w.status.beat(w.opts.Now())
		w.step()
		if w.stopped() {
			return
		}
		in := chunks
		if w.pendingFull() {
			in = nil
		}
		stopping := w.stopping
		if w.isStopping() {
			in, stopping = nil, nil
		}
		timer.Reset(w.nextWake())
		select {
		case events := <-in:
			w.add(events)
		case <-w.results:
		case <-timer.C:
		case <-stopping:
		case <-w.sendCtx.Done():
			return
		}
	}
}

// step does all that can be done now.
func (w *Worker) step() {
	w.collect()
	w.advance()
	w.sendDue()
	w.publish()
}

func (w *Worker) isStopping() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// stopped reports that an orderly stop has nothing left to wait for.
func (w *Worker) stopped() bool { return w.isStopping() && w.sending == 0 }

// nextWake is how long the loop may sleep when nothing happens.
func (w *Worker) nextWake() time.Duration {
	now, wake := w.opts.Now(), beatInterval
	switch {
	case w.retryAt.After(now): // pending events wait for the retry anyway
		wake = min(wake, w.retryAt.Sub(now))
	case !w.pending.since.IsZero():
		wake = min(wake, w.pendingDueAt().Sub(now))
	}
	return max(wake, time.Millisecond)
}

// collect takes in what the output has said since the last time.
func (w *Worker) collect() {
	w.resultMu.Lock()
	done := w.done
	w.done = nil
	w.resultMu.Unlock()
	for _, r := range done {
		w.sending -= len(r.seqs)
		w.judge(r)
	}
}

// judge decides what one result means for its flight.
func (w *Worker) judge(r result) {
	f := r.flight
	var partial *outputs.PartialError
	err := r.err
	if errors.As(err, &partial) {
		if ierr := r.checkRejected(partial.Rejected); ierr != nil {
			w.failed(f, ierr)
			return
		}
		if partial.Rest == nil { // before anything can fail: what is delivered must not be sent again
			w.settleAccepted(r, partial.Rejected)
		}
		if qerr := w.quarantine(r, partial.Rejected); qerr != nil {
			w.failed(f, qerr)
			return
		}
		err = partial.Rest
	}
	if err != nil {
		w.failed(f, err)
		return
	}
	w.delivered(f)
}

// advance moves the cursor over the finished flights at the front.
func (w *Worker) advance() {
	var p queue.Progress
	n := 0
	for n < len(w.flights) && w.flights[n].state == finished {
		p.Runs = w.flights[n].appendRuns(p.Runs, w.through)
		p.Through = w.flights[n].last()
		w.through = p.Through
		n++
	}
	if n == 0 {
		return
	}
	w.flights = append(w.flights[:0], w.flights[n:]...)
	w.opts.Queue.Advance(w.opts.Name, p)
}
