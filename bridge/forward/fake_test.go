package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// fakeQueue is a queue in memory with one output. It keeps the contract, fails the test when the worker doesn't, and fails
// itself as a test wants.
type fakeQueue struct {
	t *testing.T

	mu       sync.Mutex
	events   map[uint64]*queue.Event
	gone     map[uint64]queue.Outcome
	last     uint64
	changed  chan struct{} // closed and renewed whenever something changes that somebody may wait for
	cursor   uint64
	told     []queue.OutcomeRange // by the worker
	noted    []queue.OutcomeRange // that, and what was dropped, in order
	advanced int
	kept     []queue.DeadLetter

	tenure  *fakeTenure // the present one
	others  bool        // another bridge has the output
	wanted  bool        // another bridge wants it
	claims  int
	ranges  int
	reading int // Reads under way

	claimErr, readErr, rangeErr, keepErr error

	hole       uint64        // a sequence that Read and Range leave out, against the contract
	rangeLimit int           // events in one answer of Range; 0: any
	slowRead   time.Duration // that a Read takes to return after its context's end
}

func newFakeQueue(t *testing.T, n int) *fakeQueue {
	q := &fakeQueue{t: t, events: map[uint64]*queue.Event{}, gone: map[uint64]queue.Outcome{}, changed: make(chan struct{})}
	for range n {
		q.append(&queue.Event{Body: []byte("{}"), Signal: &signal.Signal{Severity: 3}})
	}
	return q
}

// set changes q and wakes whoever waits.
func (q *fakeQueue) set(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *fakeQueue) append(e *queue.Event) (seq uint64) {
	q.set(func() {
		q.last++
		e.Seq = q.last
		q.events[e.Seq] = e
		seq = e.Seq
	})
	return seq
}

// lacks makes first..last a gap for good.
func (q *fakeQueue) lacks(first, last uint64, outcome queue.Outcome) {
	q.set(func() {
		for seq := first; seq <= last; seq++ {
			delete(q.events, seq)
			q.gone[seq] = outcome
		}
	})
}

// dropThrough is what a full queue does for when_full = "drop_oldest".
func (q *fakeQueue) dropThrough(last uint64) {
	q.mu.Lock()
	first := q.cursor + 1
	q.mu.Unlock()
	q.lacks(first, last, queue.Dropped)
	q.set(func() {
		q.noted = append(q.noted, queue.OutcomeRange{First: first, Last: last, Outcome: queue.Dropped})
		q.cursor = last
	})
}

// lose ends the present tenure; another bridge has the output until giveBack.
func (q *fakeQueue) lose() {
	q.set(func() {
		q.others = true
		if q.tenure != nil {
			q.tenure.end()
			close(q.tenure.lost)
			q.tenure = nil
		}
	})
}

func (q *fakeQueue) giveBack() { q.set(func() { q.others = false }) }

// Claim implements Claimer.
func (q *fakeQueue) Claim(ctx context.Context, output string) (*queue.Tenure, error) {
	for {
		q.mu.Lock()
		changed, err := q.changed, q.claimErr
		if err == nil && q.tenure == nil && !q.others {
			q.claims++
			q.tenure = &fakeTenure{q: q, through: q.cursor, lost: make(chan struct{})}
			t := &queue.Tenure{Output: output, BridgeID: fmt.Sprint("bridge-", q.claims), Lease: q.tenure, Stream: q.tenure}
			q.mu.Unlock()
			return t, nil
		}
		q.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Wanted implements Claimer.
func (q *fakeQueue) Wanted(context.Context, string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.wanted
}

// fakeTenure implements queue.Lease and queue.Stream.
type fakeTenure struct {
	q       *fakeQueue
	through uint64 // of the last Progress
	lost    chan struct{}
	over    atomic.Bool
}

func (t *fakeTenure) end()                  { t.over.Store(true) }
func (t *fakeTenure) Valid() bool           { return !t.over.Load() }
func (t *fakeTenure) Lost() <-chan struct{} { return t.lost }

func (t *fakeTenure) Release() {
	t.q.set(func() {
		t.end()
		if t.q.tenure == t {
			t.q.tenure = nil
		}
	})
}

func (t *fakeTenure) Cursor() uint64 {
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	return t.q.cursor
}

// answer returns what there is of first..last, at most limit events. It is called with mu held.
func (q *fakeQueue) answer(first, last uint64, limit int) queue.Batch {
	b := queue.Batch{Through: first - 1}
	for seq := first; seq <= min(last, q.last) && len(b.Events) < limit; seq++ {
		b.Through = seq
		outcome, gone := q.gone[seq]
		switch n := len(b.Gaps); {
		case seq == q.hole:
		case !gone:
			b.Events = append(b.Events, q.events[seq])
		case n > 0 && b.Gaps[n-1].Last == seq-1 && b.Gaps[n-1].Outcome == outcome:
			b.Gaps[n-1].Last = seq
		default:
			b.Gaps = append(b.Gaps, queue.Gap{First: seq, Last: seq, Outcome: outcome})
		}
	}
	return b
}

func (t *fakeTenure) Range(_ context.Context, first, last uint64, _ int) (queue.Batch, error) {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ranges++
	limit := q.rangeLimit
	if limit == 0 {
		limit = len(q.events) + 1
	}
	switch {
	case t.over.Load():
		return queue.Batch{}, queue.ErrLost
	case q.rangeErr != nil: // half an answer, of which nothing may be believed
		return q.answer(first, first, 1), q.rangeErr
	}
	return q.answer(first, last, limit), nil
}

func (t *fakeTenure) Read(ctx context.Context, after uint64, limit, _ int) (queue.Batch, error) {
	q := t.q
	q.mu.Lock()
	q.reading++
	q.mu.Unlock()
	defer q.set(func() { q.reading-- })
	for {
		q.mu.Lock()
		changed, err, b := q.changed, q.readErr, q.answer(after+1, q.last, limit)
		q.mu.Unlock()
		switch {
		case t.over.Load():
			return queue.Batch{}, queue.ErrLost
		case err != nil:
			return queue.Batch{}, err
		case b.Through > after:
			return b, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			time.Sleep(q.slowRead)
			return queue.Batch{}, ctx.Err()
		}
	}
}

func (t *fakeTenure) Advance(p queue.Progress) {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.over.Load() {
		return
	}
	for _, r := range p.Outcomes {
		if r.First != t.through+1 || r.Last < r.First || r.Outcome == queue.Queued {
			q.t.Errorf("%+v after %d: the outcomes have a hole, or one is not known", p, t.through)
			return
		}
		t.through = r.Last
	}
	if t.through != p.Through {
		q.t.Errorf("%+v: the outcomes end at %d", p, t.through)
	}
	q.cursor = max(q.cursor, p.Through)
	q.told = append(q.told, p.Outcomes...)
	q.noted = append(q.noted, p.Outcomes...)
	q.advanced++
}

func (t *fakeTenure) Quarantine(_ context.Context, items []queue.DeadLetter) error {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case t.over.Load():
		return queue.ErrLost
	case q.keepErr != nil:
		return q.keepErr
	}
	for _, item := range items {
		if !slices.ContainsFunc(q.kept, func(k queue.DeadLetter) bool { return k.Event.Seq == item.Event.Seq }) {
			q.kept = append(q.kept, item)
		}
	}
	return nil
}

func (q *fakeQueue) at() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursor
}

// saw returns what the worker has told, expanded.
func (q *fakeQueue) saw() map[uint64]queue.Outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	return expand(q.told)
}

// outcomes returns what the queue makes of it.
func (q *fakeQueue) outcomes() map[uint64]queue.Outcome {
	q.mu.Lock()
	defer q.mu.Unlock()
	return expand(queue.MergeOutcomes(q.noted, q.cursor, 1, q.last))
}

func expand(ranges []queue.OutcomeRange) map[uint64]queue.Outcome {
	all := map[uint64]queue.Outcome{}
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last; seq++ {
			all[seq] = r.Outcome
		}
	}
	return all
}

// destination is where all outputs of a test lead. It answers every Send by what answer says.
type destination struct {
	t        *testing.T
	batching outputs.Batching
	answer   func(n int, batch []outputs.Record) (time.Duration, error)
	block    func(n int) bool // whether the nth Send blocks until its context ends

	mu      sync.Mutex
	sends   [][]uint64
	bridges []string // BridgeID of each Send
	times   []time.Time
	refused int // Sends after the ownership's end
	opened  int
	closed  int
	openErr error
}

func (d *destination) open(valid func() bool, metrics prometheus.Registerer) (outputs.Output, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.openErr != nil {
		return nil, d.openErr
	}
	d.opened++
	promauto.With(metrics).NewCounter(prometheus.CounterOpts{Name: "linuxguard_bridge_kind_total"})
	return &scriptedOutput{d: d, valid: valid}, nil
}

// scriptedOutput is one output at a destination.
type scriptedOutput struct {
	d      *destination
	valid  func() bool
	closed atomic.Bool
}

func (o *scriptedOutput) Batching() outputs.Batching { return o.d.batching }
func (o *scriptedOutput) Status() outputs.Status {
	return outputs.Status{Level: outputs.AppAcknowledged, State: outputs.StateUp}
}

func (o *scriptedOutput) Close(context.Context) error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if o.closed.Swap(true) {
		return errors.New("closed twice")
	}
	o.d.closed++
	return nil
}

func (o *scriptedOutput) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	d := o.d
	if o.closed.Load() {
		d.t.Error("Send after Close")
	}
	if !o.valid() {
		d.mu.Lock()
		d.refused++
		d.mu.Unlock()
		done(outputs.ErrNotOwner)
		return
	}
	d.mu.Lock()
	var seqs []uint64
	for _, r := range batch {
		seqs = append(seqs, r.Seq)
	}
	d.sends = append(d.sends, seqs)
	d.bridges = append(d.bridges, batch[0].BridgeID)
	d.times = append(d.times, time.Now())
	n := len(d.sends)
	d.mu.Unlock()
	if d.block != nil && d.block(n) {
		<-ctx.Done()
		done(context.Cause(ctx))
		return
	}
	after, err := d.answer(n, batch)
	go func() {
		select {
		case <-time.After(after):
			done(err)
			done(errors.New("a second done, which must be ignored"))
		case <-ctx.Done():
			done(context.Cause(ctx))
		}
	}()
}

func (d *destination) sent() []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Concat(d.sends...)
}

// from returns what was sent from the nth Send on, the first being 0.
func (d *destination) from(n int) []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Concat(d.sends[min(n, len(d.sends)):]...)
}

// pause returns the time between the nth Send and the one before it; a test without that many fails.
func (d *destination) pause(n int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n >= len(d.times) {
		d.t.Fatalf("only %d sends", len(d.times))
	}
	return d.times[n].Sub(d.times[n-1])
}

// count returns how many Sends there were.
func (d *destination) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sends)
}

// logBook keeps what a worker logs.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a worker that the test's end stops, if the test has not, with time for what it may have left behind: a bubble
// that ends with goroutines in it panics, and takes the other tests' results along.
func start(t *testing.T, q *fakeQueue, d *destination, change func(*Options)) *Worker {
	t.Helper()
	d.t = t
	if d.batching.MaxRecords == 0 {
		d.batching = outputs.Batching{MaxRecords: 10, MaxBytes: 1 << 20, MaxInFlight: 40}
	}
	opts := Options{Name: "siem", Queue: q, Open: d.open, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	w := New(opts)
	w.Start(context.Background())
	t.Cleanup(func() { stop(t, w); time.Sleep(24 * time.Hour) })
	return w
}

func stop(t *testing.T, w *Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func ok(int, []outputs.Record) (time.Duration, error) { return time.Millisecond, nil }
