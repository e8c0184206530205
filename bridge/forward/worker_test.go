package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// memQueue is a queue in memory with one output.
type memQueue struct {
	mu       sync.Mutex
	events   map[uint64]*queue.Event
	last     uint64
	grown    chan struct{} // closed and renewed at every append
	cursor   uint64
	runs     []queue.Run
	kept     []queue.QuarantineItem
	keepErr  error
	advanced int
}

func newMemQueue(n int) *memQueue {
	q := &memQueue{events: map[uint64]*queue.Event{}, grown: make(chan struct{})}
	for range n {
		q.append(&queue.Event{Body: []byte("{}"), Signal: &signal.Signal{Severity: 3}})
	}
	return q
}

func (q *memQueue) append(e *queue.Event) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	e.Seq = q.last
	q.events[e.Seq] = e
	close(q.grown)
	q.grown = make(chan struct{})
	return e.Seq
}

func (q *memQueue) Cursor(string) (uint64, error) { return q.cursor, nil }

func (q *memQueue) Range(_ context.Context, first, last uint64, _ int) ([]*queue.Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var events []*queue.Event
	for seq := first; seq <= min(last, q.last); seq++ {
		if e := q.events[seq]; e != nil {
			events = append(events, e)
		}
	}
	return events, nil
}

func (q *memQueue) Read(ctx context.Context, after uint64, limit, _ int) ([]*queue.Event, error) {
	for {
		q.mu.Lock()
		grown := q.grown
		q.mu.Unlock()
		events, _ := q.Range(ctx, after+1, ^uint64(0)>>1, 0)
		if len(events) > 0 {
			return events[:min(limit, len(events))], nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *memQueue) Advance(_ string, p queue.Progress) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.Through <= q.cursor {
		panic(fmt.Sprintf("cursor goes back from %d to %d", q.cursor, p.Through))
	}
	q.cursor = p.Through
	q.runs = append(q.runs, p.Runs...)
	q.advanced++
}

func (q *memQueue) Quarantine(_ context.Context, items []queue.QuarantineItem) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keepErr != nil {
		return q.keepErr
	}
	q.kept = append(q.kept, items...)
	return nil
}

func (q *memQueue) at() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursor
}

// fates expands the runs that the worker reported.
func (q *memQueue) fates() map[uint64]queue.Fate {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[uint64]queue.Fate{}
	for _, r := range q.runs {
		for seq := r.First; seq <= r.Last; seq++ {
			all[seq] = r.Fate
		}
	}
	return all
}

// scriptedOutput answers every Send by what fate returns for it; nil fates go in at once.
type scriptedOutput struct {
	batching outputs.Batching
	fate     func(n int, batch []outputs.Record) (time.Duration, error)
	mu       sync.Mutex
	sends    [][]uint64
	times    []time.Time
	closed   bool
}

func (o *scriptedOutput) Batching() outputs.Batching { return o.batching }
func (o *scriptedOutput) Status() outputs.Status {
	return outputs.Status{Level: outputs.AppAcknowledged}
}
func (o *scriptedOutput) Close(context.Context) error {
	o.closed = true
	return nil
}

func (o *scriptedOutput) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	o.mu.Lock()
	var seqs []uint64
	for _, r := range batch {
		seqs = append(seqs, r.Seq)
	}
	o.sends = append(o.sends, seqs)
	o.times = append(o.times, time.Now())
	n := len(o.sends)
	o.mu.Unlock()
	after, err := o.fate(n, batch)
	go func() {
		select {
		case <-time.After(after):
			done(err)
			done(errors.New("a second done, which must be ignored"))
		case <-ctx.Done():
			done(ctx.Err())
		}
	}()
}

func (o *scriptedOutput) sent() []uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Concat(o.sends...)
}

func start(t *testing.T, q *memQueue, o *scriptedOutput, change func(*Options)) *Worker {
	t.Helper()
	if o.batching.MaxRecords == 0 {
		o.batching = outputs.Batching{MaxRecords: 10, MaxBytes: 1 << 20, MaxInFlight: 40}
	}
	opts := Options{Name: "siem", Output: o, Queue: q, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	w := New(opts)
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, w) }) // also of a test that fails: nothing may be left in its bubble
	return w
}

// stop stops w, once. A test calls it to look at what is left; the end of the test does it anyway.
func stop(t *testing.T, w *Worker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func ok(int, []outputs.Record) (time.Duration, error) { return time.Millisecond, nil }

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &scriptedOutput{fate: func(int, []outputs.Record) (time.Duration, error) { return time.Hour, nil }}
		start(t, newMemQueue(100), o, nil)
		time.Sleep(time.Minute)
		bubble.Fail(t)
	})
}

func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	bubble.FailsAlone(t, "TestFailing", "TestMatchAndOnly")
}

func TestDeliversEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, o := newMemQueue(95), &scriptedOutput{fate: ok}
		w := start(t, q, o, nil)
		time.Sleep(time.Second)
		q.append(&queue.Event{Signal: &signal.Signal{}})
		time.Sleep(time.Second)
		stop(t, w)
		if got := o.sent(); len(got) != 96 || !slices.IsSorted(got) {
			t.Errorf("sent %v", got)
		}
		if q.cursor != 96 || !o.closed {
			t.Errorf("cursor %d, closed %v", q.cursor, o.closed)
		}
		if len(q.runs) > q.advanced || q.runs[0].Level != "application-acknowledged" {
			t.Errorf("runs are not folded: %+v", q.runs)
		}
	})
}

func TestCursorNeverPassesAnOpenFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(30)
		o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return time.Minute, nil // the first batch is the slow one
			}
			return time.Millisecond, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(30 * time.Second)
		if len(o.sent()) != 30 || q.at() != 0 {
			t.Errorf("sent %d, cursor %d; want all sent and the cursor at 0", len(o.sent()), q.at())
		}
		time.Sleep(time.Minute)
		if q.at() != 30 {
			t.Errorf("cursor %d, want 30", q.at())
		}
		stop(t, w)
	})
}

func TestRetriesInOrderWithBackoffAndProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(30)
		o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n <= 8 {
				return time.Millisecond, errors.New("connection reset")
			}
			return time.Millisecond, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(5 * time.Minute)
		stop(t, w)
		if q.at() != 30 {
			t.Fatalf("cursor %d, want 30", q.at())
		}
		var last []uint64
		for i, s := range o.sends {
			if i >= 3 && i < 8 && s[0] != 1 {
				t.Errorf("send %d is %v: after a failure only the oldest flight is tried", i, s)
			}
			if i >= 8 {
				last = append(last, s...)
			}
		}
		if !slices.IsSorted(last) || len(last) != 30 {
			t.Errorf("after recovery: %v", last)
		}
		for i := 4; i < 8; i++ {
			if gap := o.times[i].Sub(o.times[i-1]); gap < 100*time.Millisecond<<(i-3) || gap > time.Minute {
				t.Errorf("gap %d is %v", i, gap)
			}
		}
	})
}

func TestRetryAfterAndHold(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		min, max time.Duration
		held     bool
	}{
		"retry-after":        {&outputs.RetryError{Err: errors.New("busy"), After: 90 * time.Second}, 90 * time.Second, 91 * time.Second, false},
		"absurd retry-after": {&outputs.RetryError{Err: errors.New("busy"), After: 1000 * time.Hour}, 5 * time.Minute, 5*time.Minute + time.Second, false},
		"hold":               {&outputs.HoldError{Err: errors.New("invalid token")}, 15 * time.Second, 31 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newMemQueue(1)
				o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
					if n == 1 {
						return 0, c.err
					}
					return 0, nil
				}}
				w := start(t, q, o, nil)
				time.Sleep(10 * time.Second)
				if s := w.Status(); s.Held != c.held || !s.Failing || s.LastError != c.err.Error() {
					t.Errorf("status %+v", s)
				}
				time.Sleep(10 * time.Minute)
				if s := w.Status(); s.Held || s.Failing || s.Sent != 1 {
					t.Errorf("status after recovery %+v", s)
				}
				if gap := o.times[1].Sub(o.times[0]); gap < c.min || gap > c.max {
					t.Errorf("tried again after %v, want %v to %v", gap, c.min, c.max)
				}
				stop(t, w)
			})
		})
	}
}

func TestRefusedRecordsGoToTheQuarantineAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(10)
		o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: 3, Err: errors.New("not an object")}},
					Rest: errors.New("and the connection broke")}
			}
			return 0, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(time.Minute)
		stop(t, w)
		if len(q.kept) != 1 || q.kept[0].Event.Seq != 4 || q.kept[0].Output != "siem" || q.kept[0].Reason != "not an object" {
			t.Errorf("quarantine: %+v", q.kept)
		}
		if len(o.sends) != 2 || slices.Contains(o.sends[1], 4) || len(o.sends[1]) != 9 {
			t.Errorf("sends: %v", o.sends)
		}
		if f := q.fates(); f[4] != queue.Refused || f[5] != queue.Delivered || len(f) != 10 {
			t.Errorf("fates: %v", f)
		}
	})
}

func TestAQuarantineThatCantBeWrittenHoldsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(2)
		q.keepErr = queue.ErrUnavailable
		refuse := &outputs.PartialError{Rejected: []outputs.Rejection{{Index: 0, Err: errors.New("bad")}}}
		o := &scriptedOutput{fate: func(_ int, batch []outputs.Record) (time.Duration, error) {
			if batch[0].Seq == 1 {
				return 0, refuse
			}
			return 0, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(time.Minute)
		if q.at() != 0 {
			t.Errorf("cursor %d although the refused event is kept nowhere", q.at())
		}
		q.mu.Lock()
		q.keepErr = nil
		q.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop(t, w)
		if len(q.kept) != 1 || q.at() != 2 {
			t.Errorf("kept %d, cursor %d", len(q.kept), q.at())
		}
	})
}

func TestAFullQuarantineRepeatsNothingThatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(10)
		q.keepErr = queue.ErrFull
		o := &scriptedOutput{fate: func(_ int, batch []outputs.Record) (time.Duration, error) {
			for i, r := range batch {
				if r.Seq == 4 {
					return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: i, Err: errors.New("bad")}}}
				}
			}
			return 0, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(time.Hour)
		q.mu.Lock()
		q.keepErr = nil
		q.mu.Unlock()
		time.Sleep(time.Hour)
		stop(t, w)
		for _, seqs := range o.sends[1:] {
			if len(seqs) != 1 || seqs[0] != 4 {
				t.Fatalf("sent again: %v", seqs)
			}
		}
		if q.at() != 10 || len(q.kept) != 1 || q.fates()[3] != queue.Delivered || q.fates()[4] != queue.Refused {
			t.Errorf("cursor %d, kept %d, fates %v", q.at(), len(q.kept), q.fates())
		}
	})
}

func TestAnImpossibleRefusalDeliversNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(3)
		o := &scriptedOutput{fate: func(int, []outputs.Record) (time.Duration, error) {
			return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: 3, Err: errors.New("which?")}}}
		}}
		w := start(t, q, o, nil)
		time.Sleep(10 * time.Minute)
		stop(t, w)
		if q.at() != 0 || w.Status().Sent != 0 {
			t.Errorf("cursor %d, %d delivered, although nobody knows which record was refused", q.at(), w.Status().Sent)
		}
	})
}

func TestOneStuckBatchBoundsWhatACrashRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(1000)
		o := &scriptedOutput{fate: func(_ int, batch []outputs.Record) (time.Duration, error) {
			if batch[0].Seq == 1 {
				return time.Second, errors.New("timed out")
			}
			return time.Millisecond, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(10 * time.Minute)
		distinct := map[uint64]bool{}
		for _, seq := range o.sent() {
			distinct[seq] = true
		}
		failing := w.Status().Failing
		stop(t, w)
		if len(distinct) > 40 || len(o.sends) > 40 || !failing {
			t.Errorf("%d records beyond the cursor, %d attempts, failing %v", len(distinct), len(o.sends), failing)
		}
	})
}

func TestEventsDroppedByTheQueueDontBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(10)
		o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, errors.New("down")
			}
			return 0, nil
		}}
		w := start(t, q, o, func(o *Options) { o.MinBackoff = time.Minute })
		time.Sleep(time.Second)
		q.mu.Lock()
		for seq := uint64(1); seq <= 10; seq++ {
			delete(q.events, seq)
		}
		q.mu.Unlock()
		q.append(&queue.Event{Signal: &signal.Signal{}})
		time.Sleep(10 * time.Minute)
		stop(t, w)
		if q.at() != 11 || q.fates()[3] != queue.Lost || q.fates()[11] != queue.Delivered {
			t.Errorf("cursor %d, fates %v", q.at(), q.fates())
		}
	})
}

func TestWhatTheQueueCantReadIsAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(30)
		for _, seq := range []uint64{1, 2, 12, 13, 30} {
			delete(q.events, seq)
		}
		q.append(&queue.Event{Signal: &signal.Signal{}})
		w := start(t, q, &scriptedOutput{fate: ok}, nil)
		time.Sleep(time.Second)
		stop(t, w)
		f := q.fates()
		if q.at() != 31 || len(f) != 31 || f[1] != queue.Lost || f[3] != queue.Delivered || f[13] != queue.Lost || f[30] != queue.Lost {
			t.Errorf("cursor %d, fates %v", q.at(), f)
		}
	})
}

func TestMatchAndOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(0)
		for i := range 20 {
			q.append(&queue.Event{Signal: &signal.Signal{Severity: signal.Severity(i%5 + 1)}})
		}
		only := q.append(&queue.Event{Only: []string{"other"}, Signal: &signal.Signal{Severity: 5}})
		mine := q.append(&queue.Event{Only: []string{"siem"}, Signal: &signal.Signal{Severity: 1}})
		o := &scriptedOutput{fate: ok}
		w := start(t, q, o, func(o *Options) { o.Match = Match{MinSeverity: 4} })
		time.Sleep(time.Second)
		stop(t, w)
		if len(o.sent()) != 9 || q.at() != mine {
			t.Errorf("sent %v, cursor %d", o.sent(), q.at())
		}
		if f := q.fates(); f[only] != queue.Filtered || f[1] != queue.Filtered || f[4] != queue.Delivered {
			t.Errorf("fates %v", f)
		}
	})
}

func TestALoneSignalLeavesAtOnceAndBurstsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(1)
		o := &scriptedOutput{fate: func(int, []outputs.Record) (time.Duration, error) { return 50 * time.Millisecond, nil },
			batching: outputs.Batching{MaxRecords: 100, Linger: 200 * time.Millisecond, MaxInFlight: 1000}}
		began := time.Now()
		w := start(t, q, o, nil)
		time.Sleep(time.Millisecond)
		for range 10 { // while the first is in flight
			q.append(&queue.Event{Signal: &signal.Signal{}})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		stop(t, w)
		if len(o.sends) != 2 || len(o.sends[1]) != 10 {
			t.Errorf("sends %v", o.sends)
		}
		if d := o.times[0].Sub(began); d > time.Millisecond {
			t.Errorf("the lone signal waited %v", d)
		}
	})
}

func TestABurstIsGatheredForAFastReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(2) // a burst has begun
		o := &scriptedOutput{fate: func(int, []outputs.Record) (time.Duration, error) { return 0, nil },
			batching: outputs.Batching{MaxRecords: 100, Linger: 200 * time.Millisecond, MaxInFlight: 1000}}
		w := start(t, q, o, nil)
		for range 100 {
			time.Sleep(time.Millisecond)
			q.append(&queue.Event{Signal: &signal.Signal{}})
		}
		time.Sleep(time.Second)
		last := q.append(&queue.Event{Signal: &signal.Signal{}}) // the burst is over: this one may wait once more
		time.Sleep(10 * time.Millisecond)
		if q.at() != last {
			t.Errorf("cursor %d, want %d", q.at(), last)
		}
		stop(t, w)
		if n := len(o.sends); n > 30 || n < 15 {
			t.Errorf("%d batches for 100 records in 100 ms, want about 20", n)
		}
	})
}

func TestStopIsBoundedAndLeavesTheCursorExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(20)
		o := &scriptedOutput{fate: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 2 {
				return time.Hour, nil
			}
			return time.Second, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(time.Millisecond)
		began := time.Now()
		stop(t, w)
		if d := time.Since(began); d != time.Minute {
			t.Errorf("stop took %v, want its whole minute", d)
		}
		if q.at() != 10 {
			t.Errorf("cursor %d, want 10", q.at())
		}
	})
}

func TestMaxInFlightBoundsWhatACrashCanRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(100)
		o := &scriptedOutput{fate: func(int, []outputs.Record) (time.Duration, error) { return time.Hour, nil }}
		w := start(t, q, o, nil)
		time.Sleep(time.Minute)
		if n := len(o.sent()); n != 40 {
			t.Errorf("%d records in flight, want 40", n)
		}
		if !w.Alive(time.Now()) {
			t.Error("a worker that waits for its receiver is not dead")
		}
		stop(t, w)
	})
}

func TestHeadersThatWereNotKeptPass(t *testing.T) {
	t.Parallel()
	m := Match{Header: map[string][]string{"X-Team": {"soc"}}}
	for _, c := range []struct {
		headers []queue.Header
		want    bool
	}{
		{nil, true}, {[]queue.Header{{Name: "X-Other", Value: "soc"}}, true}, {[]queue.Header{{Name: "X-Team"}}, false},
		{[]queue.Header{{Name: "X-Team", Value: "ops"}}, false}, {[]queue.Header{{Name: "X-Team", Value: "ops"}, {Name: "X-Team", Value: "soc"}}, true},
	} {
		if got := m.Wants(&queue.Event{Header: c.headers, Signal: &signal.Signal{Severity: 3}}); got != c.want {
			t.Errorf("%v: %v", c.headers, got)
		}
	}
}
