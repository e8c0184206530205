package forward

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Hour, nil }}
		start(t, newFakeQueue(t, 100), d, nil)
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
		q, o := newFakeQueue(t, 95), &destination{answer: ok}
		w := start(t, q, o, nil)
		time.Sleep(time.Second)
		q.append(&queue.Event{Signal: &signal.Signal{}})
		time.Sleep(time.Second)
		stop(t, w)
		if got := o.sent(); len(got) != 96 || !slices.IsSorted(got) {
			t.Errorf("sent %v", got)
		}
		if q.at() != 96 || o.closed != 1 || o.opened != 1 {
			t.Errorf("cursor %d, opened %d and closed %d times", q.at(), o.opened, o.closed)
		}
		if len(q.told) > q.advanced || q.told[0].Level != "application-acknowledged" {
			t.Errorf("outcomes are not folded: %+v", q.told)
		}
	})
}

func TestCursorNeverPassesAnOpenBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 30)
		o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
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
		q := newFakeQueue(t, 30)
		o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
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
				t.Errorf("send %d is %v: after a failure only the oldest batch is tried", i, s)
			}
			if i >= 8 {
				last = append(last, s...)
			}
		}
		if !slices.IsSorted(last) || len(last) != 30 {
			t.Errorf("after recovery: %v", last)
		}
		for i := 4; i < 8; i++ {
			if gap := o.pause(i); gap < 100*time.Millisecond<<(i-3) || gap > time.Minute {
				t.Errorf("gap %d is %v", i, gap)
			}
		}
	})
}

func TestRetryAfterAndBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		min, max time.Duration
		blocked  bool
	}{
		"retry-after":        {&outputs.RetryError{Err: errors.New("busy"), After: 90 * time.Second}, 90 * time.Second, 91 * time.Second, false},
		"absurd retry-after": {&outputs.RetryError{Err: errors.New("busy"), After: 1000 * time.Hour}, 5 * time.Minute, 5*time.Minute + time.Second, false},
		"blocked":            {&outputs.BlockedError{Err: errors.New("invalid token")}, 15 * time.Second, 31 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue(t, 1)
				o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
					if n == 1 {
						return 0, c.err
					}
					return 0, nil
				}}
				w := start(t, q, o, nil)
				time.Sleep(10 * time.Second)
				if s := w.Status(); s.Blocked != c.blocked || !s.Failing || s.LastError != c.err.Error() {
					t.Errorf("status %+v", s)
				}
				time.Sleep(10 * time.Minute)
				if s := w.Status(); s.Blocked || s.Failing || s.Delivered != 1 {
					t.Errorf("status after recovery %+v", s)
				}
				if gap := o.pause(1); gap < c.min || gap > c.max {
					t.Errorf("tried again after %v, want %v to %v", gap, c.min, c.max)
				}
				stop(t, w)
			})
		})
	}
}

func TestRefusedRecordsGoToTheQuarantineAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 10)
		o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
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
		if f := q.saw(); f[4] != queue.Refused || f[5] != queue.Delivered || len(f) != 10 {
			t.Errorf("outcomes: %v", f)
		}
	})
}

func TestAQuarantineThatCantBeWrittenHoldsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 2)
		q.keepErr = queue.ErrUnavailable
		refuse := &outputs.PartialError{Rejected: []outputs.Rejection{{Index: 0, Err: errors.New("bad")}}}
		o := &destination{answer: func(_ int, batch []outputs.Record) (time.Duration, error) {
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
		q.set(func() { q.keepErr = nil })
		time.Sleep(2 * time.Minute)
		stop(t, w)
		if len(q.kept) != 1 || q.at() != 2 {
			t.Errorf("kept %d, cursor %d", len(q.kept), q.at())
		}
	})
}

func TestAFullQuarantineRepeatsNothingThatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 10)
		q.keepErr = queue.ErrFull
		o := &destination{answer: func(_ int, batch []outputs.Record) (time.Duration, error) {
			for i, r := range batch {
				if r.Seq == 4 {
					return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: i, Err: errors.New("bad")}}}
				}
			}
			return 0, nil
		}}
		w := start(t, q, o, nil)
		time.Sleep(time.Hour)
		q.set(func() { q.keepErr = nil })
		time.Sleep(time.Hour)
		stop(t, w)
		for _, seq := range o.from(1) {
			if seq != 4 {
				t.Fatalf("sent again: %d", seq)
			}
		}
		if q.at() != 10 || len(q.kept) != 1 || q.saw()[3] != queue.Delivered || q.saw()[4] != queue.Refused {
			t.Errorf("cursor %d, kept %d, outcomes %v", q.at(), len(q.kept), q.saw())
		}
	})
}

func TestAnImpossibleRefusalDeliversNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 3)
		o := &destination{answer: func(int, []outputs.Record) (time.Duration, error) {
			return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: 3, Err: errors.New("which?")}}}
		}}
		w := start(t, q, o, nil)
		time.Sleep(10 * time.Minute)
		stop(t, w)
		if q.at() != 0 || w.Status().Delivered != 0 {
			t.Errorf("cursor %d, %d delivered, although nobody knows which record was refused", q.at(), w.Status().Delivered)
		}
	})
}

func TestOneStuckBatchBoundsWhatACrashRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 1000)
		o := &destination{answer: func(_ int, batch []outputs.Record) (time.Duration, error) {
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
		q := newFakeQueue(t, 10)
		o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, errors.New("down")
			}
			return 0, nil
		}}
		w := start(t, q, o, func(o *Options) { o.MinBackoff = time.Minute })
		time.Sleep(time.Second)
		q.dropThrough(10)
		q.append(&queue.Event{Signal: &signal.Signal{}})
		time.Sleep(10 * time.Minute)
		stop(t, w)
		if q.at() != 11 || q.saw()[3] != queue.Dropped || q.saw()[11] != queue.Delivered {
			t.Errorf("cursor %d, outcomes %v", q.at(), q.saw())
		}
	})
}

func TestMatchAndOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 0)
		for i := range 20 {
			q.append(&queue.Event{Signal: &signal.Signal{Severity: signal.Severity(i%5 + 1)}})
		}
		only := q.append(&queue.Event{Only: []string{"other"}, Signal: &signal.Signal{Severity: 5}})
		mine := q.append(&queue.Event{Only: []string{"siem"}, Signal: &signal.Signal{Severity: 1}})
		o := &destination{answer: ok}
		w := start(t, q, o, func(o *Options) { o.Match = Match{MinSeverity: 4} })
		time.Sleep(time.Second)
		stop(t, w)
		if len(o.sent()) != 9 || q.at() != mine {
			t.Errorf("sent %v, cursor %d", o.sent(), q.at())
		}
		if f := q.saw(); f[only] != queue.Filtered || f[1] != queue.Filtered || f[4] != queue.Delivered {
			t.Errorf("outcomes %v", f)
		}
	})
}

func TestALoneSignalLeavesAtOnceAndBurstsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 1)
		o := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return 50 * time.Millisecond, nil },
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
		if len(o.times) > 0 && o.times[0].Sub(began) > time.Millisecond {
			t.Errorf("the lone signal waited %v", o.times[0].Sub(began))
		}
	})
}

func TestABurstIsGatheredForAFastReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 2) // a burst has begun
		o := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return 0, nil },
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
		q := newFakeQueue(t, 20)
		o := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
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
		q := newFakeQueue(t, 100)
		o := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Hour, nil }}
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

// fussy is a destination that refuses some records, and that takes a refused batch for its own fault until it has taken something else.
type fussy struct {
	refuses  func(seq uint64) bool
	accepted bool // since the last refusal
	refused  bool // a batch
}

func (f *fussy) answer(_ int, batch []outputs.Record) (time.Duration, error) {
	var rejected []outputs.Rejection
	for i := range batch {
		if f.refuses(batch[i].Seq) {
			rejected = append(rejected, outputs.Rejection{Index: i, Err: errors.New("refused")})
		}
	}
	switch {
	case len(rejected) < len(batch):
		f.accepted = true
	case f.refused && !f.accepted:
		return time.Millisecond, &outputs.BlockedError{Err: errors.New("all are refused"), Records: true}
	case !f.refused:
		f.refused, f.accepted = true, false
		return time.Millisecond, &outputs.BlockedError{Err: errors.New("all are refused"), Records: true}
	}
	if len(rejected) == 0 {
		return time.Millisecond, nil
	}
	return time.Millisecond, &outputs.PartialError{Rejected: rejected}
}

// TestRefusedRecordsBlockNothingBehindThem: a batch of records that the destination refuses looks like a destination that refuses everything,
// until it takes what comes behind, which is there already or comes later. One that refuses everything keeps all in the queue.
func TestRefusedRecordsBlockNothingBehindThem(t *testing.T) {
	for name, c := range map[string]struct {
		events  int // at first
		later   int
		refuses func(uint64) bool
		want    int // refused
		left    bool
	}{
		"some behind":     {events: 12, refuses: func(seq uint64) bool { return seq <= 5 }, want: 5},
		"some come later": {events: 5, later: 3, refuses: func(seq uint64) bool { return seq <= 5 }, want: 5},
		"two bad batches": {events: 5, later: 8, refuses: func(seq uint64) bool { return seq <= 10 }, want: 10},
		"everything":      {events: 12, later: 12, refuses: func(uint64) bool { return true }, left: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue(t, c.events)
				f := &fussy{refuses: c.refuses}
				w := start(t, q, &destination{answer: f.answer, batching: outputs.Batching{MaxRecords: 5, MaxInFlight: 10, MaxBytes: 1 << 20}}, nil)
				time.Sleep(time.Minute)
				for range c.later {
					q.append(&queue.Event{Body: []byte("{}"), Signal: &signal.Signal{Severity: 3}})
					time.Sleep(time.Second)
				}
				time.Sleep(5 * time.Minute)
				if done := q.at() == q.last; done == c.left || len(q.kept) != c.want || w.Status().Blocked != c.left {
					t.Errorf("cursor %d of %d, %d in the quarantine, %+v", q.at(), q.last, len(q.kept), w.Status())
				}
				stop(t, w)
			})
		})
	}
}
