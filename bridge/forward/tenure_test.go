package forward

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// logTo makes a worker log into a book.
func logTo(book *logBook) func(*Options) {
	return func(o *Options) { o.Log = slog.New(slog.NewTextHandler(book, nil)) }
}

// A tenure that ends while a Send blocks and others are in flight: nothing more is sent in it, and the next one goes on
// from where the other owner has come.
func TestTenureLostInTheMiddleOfASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 40)
		d := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return time.Hour, nil // in flight when the tenure ends
			}
			return time.Millisecond, nil
		}, block: func(n int) bool { return n == 2 }}
		w := start(t, q, d, nil)
		time.Sleep(time.Minute)
		if s := w.Status(); d.count() != 2 || !s.Owned || s.Dest.State != outputs.StateUp {
			t.Fatalf("%d sends, %+v", d.count(), s)
		}
		q.lose()
		synctest.Wait()
		if s := w.Status(); d.count() != 2 || d.closed != 1 || s.Owned || s.Dest.State != StateStandby || s.InFlight != 0 || s.Failing {
			t.Errorf("after the loss: %d sends, closed %d times, %+v", d.count(), d.closed, s)
		}
		time.Sleep(3 * time.Hour)
		if d.count() != 2 || d.opened != 1 || !w.Alive(time.Now()) {
			t.Errorf("on standby: %d sends, opened %d times, alive %v", d.count(), d.opened, w.Alive(time.Now()))
		}
		q.set(func() { q.cursor = 25 }) // the other bridge's work
		q.giveBack()
		time.Sleep(time.Second)
		stop(t, w)
		if got := d.from(2); len(got) != 15 || got[0] != 26 || !slices.IsSorted(got) || d.bridges[2] != "bridge-2" {
			t.Errorf("in the second tenure sent %v, under %v", got, d.bridges)
		}
		if q.at() != 40 || d.opened != 2 || d.closed != 2 || w.Status().Delivered != 15 {
			t.Errorf("cursor %d, opened %d and closed %d times, %d delivered", q.at(), d.opened, d.closed, w.Status().Delivered)
		}
	})
}

// A bridge that was suspended finds out by itself, by the last look before a Send: its tenure isn't valid although nobody
// has told it. At most the Send under way goes out.
func TestTheLastLookStopsWhatLostHasNotYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 40)
		d := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				q.tenure.end()
			}
			return time.Millisecond, nil
		}}
		w := start(t, q, d, nil)
		time.Sleep(time.Minute)
		stop(t, w)
		under := func(bridge string) (n int) {
			for i, s := range d.sends {
				if d.bridges[i] == bridge {
					n += len(s)
				}
			}
			return n
		}
		if d.refused != 0 {
			t.Errorf("%d sends after the tenure's end", d.refused)
		}
		if under("bridge-1") != 10 || under("bridge-2") != 40 || q.at() != 40 || d.closed != 2 {
			t.Errorf("sends %v under %v, cursor %d, closed %d times", d.sends, d.bridges, q.at(), d.closed)
		}
	})
}

// An output that another bridge delivers to now is no more blocked than that one finds it.
func TestStandbyIsNotBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 5)
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) {
			return 0, &outputs.BlockedError{Err: errors.New("wrong token")}
		}}
		w := start(t, q, d, nil)
		time.Sleep(time.Minute)
		if s := w.Status(); !s.Blocked || !s.Failing {
			t.Errorf("%+v", s)
		}
		q.lose()
		time.Sleep(time.Minute)
		if s := w.Status(); s.Blocked || s.Failing || s.LastError != "wrong token" || !s.NextTry.IsZero() {
			t.Errorf("on standby: %+v", s)
		}
	})
}

// Whatever the queue is asked for may be what shows that the tenure is over.
func TestErrLostEndsTheTenure(t *testing.T) {
	for name, set := range map[string]func(*fakeQueue){
		"read":       func(q *fakeQueue) { q.readErr = queue.ErrLost },
		"range":      func(q *fakeQueue) { q.rangeErr = queue.ErrLost },
		"quarantine": func(q *fakeQueue) { q.keepErr = queue.ErrLost },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue(t, 5)
				d := &destination{answer: func(n int, batch []outputs.Record) (time.Duration, error) {
					switch {
					case n == 1:
						return 0, errors.New("down") // read again
					case batch[0].Seq == 1 && q.claims == 1:
						return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Err: errors.New("bad")}}}
					}
					return 0, nil
				}}
				q.set(func() { set(q) })
				w := start(t, q, d, nil)
				for range 60 {
					time.Sleep(time.Second)
					q.mu.Lock()
					claims := q.claims
					q.mu.Unlock()
					if claims > 1 {
						break
					}
				}
				q.set(func() { q.readErr, q.rangeErr, q.keepErr = nil, nil, nil })
				time.Sleep(5 * time.Minute)
				stop(t, w)
				if q.claims < 2 || q.at() != 5 || d.closed != d.opened {
					t.Errorf("%d tenures, cursor %d, opened %d and closed %d times", q.claims, q.at(), d.opened, d.closed)
				}
			})
		})
	}
}

// Stop joins what Start began: a Read that takes its time to return, too, and a Claim.
func TestStopJoinsEverything(t *testing.T) {
	t.Run("read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newFakeQueue(t, 3)
			q.slowRead = 7 * time.Second
			d := &destination{answer: ok}
			w := start(t, q, d, nil)
			time.Sleep(time.Second)
			stop(t, w)
			q.mu.Lock()
			defer q.mu.Unlock()
			if q.reading != 0 || q.tenure != nil || d.closed != 1 {
				t.Errorf("after Stop %d reads go on, released %v, closed %d times", q.reading, q.tenure == nil, d.closed)
			}
		})
	})
	t.Run("claim", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newFakeQueue(t, 3)
			q.others = true
			d := &destination{answer: ok}
			w := start(t, q, d, nil)
			time.Sleep(time.Hour)
			if s := w.Status(); s.Owned || s.Dest.State != StateStandby || !w.Alive(time.Now()) {
				t.Errorf("while it waits for its claim: %+v, alive %v", s, w.Alive(time.Now()))
			}
			began := time.Now()
			stop(t, w)
			q.giveBack()
			synctest.Wait()
			if time.Since(began) != 0 || q.claims != 0 || d.opened != 0 {
				t.Errorf("Stop took %v; %d claims and %d outputs came after it", time.Since(began), q.claims, d.opened)
			}
		})
	})
	t.Run("never started", func(t *testing.T) {
		if err := New(Options{Log: slog.New(slog.DiscardHandler)}).Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What the queue says is gone is told with its outcome, counted, and logged once when it is lost.
func TestGapsAreAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		q := newFakeQueue(t, 31)
		q.lacks(1, 2, queue.Lost)
		q.lacks(12, 13, queue.Dropped)
		q.lacks(14, 14, queue.Unknown)
		q.lacks(30, 31, queue.Lost) // nothing behind it
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Minute, nil }}
		w := start(t, q, d, logTo(&log))
		time.Sleep(time.Second)
		q.lose() // before anything is advanced: all of it is read again
		q.giveBack()
		time.Sleep(5 * time.Minute)
		stop(t, w)
		want := map[uint64]queue.Outcome{}
		for seq := uint64(3); seq < 30; seq++ {
			want[seq] = queue.Delivered
		}
		for seq, outcome := range q.gone {
			want[seq] = outcome
		}
		for seq, outcome := range want {
			if got := q.saw()[seq]; got != outcome {
				t.Errorf("%d is %v, want %v", seq, got, outcome)
			}
		}
		if s := w.Status(); q.at() != 31 || s.Lost != 4 || s.Dropped != 2 || s.Unknown != 1 || s.Delivered != 24 {
			t.Errorf("cursor %d, %+v", q.at(), s)
		}
		lines := strings.Count(log.String(), "event=record_lost")
		if lines != 2 || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "first_seq=30 last_seq=31") {
			t.Errorf("%d lines about losses:\n%s", lines, log.String())
		}
	})
}

// What is lost while its batch waits to be sent again is found out by reading it again.
func TestLostWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		q := newFakeQueue(t, 10)
		q.rangeLimit = 3
		d := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, errors.New("down")
			}
			return 0, nil
		}}
		w := start(t, q, d, logTo(&log))
		synctest.Wait()
		q.lacks(4, 5, queue.Lost)
		time.Sleep(time.Minute)
		stop(t, w)
		if len(d.sends) != 2 || !slices.Equal(d.sends[1], []uint64{1, 2, 3, 6, 7, 8, 9, 10}) {
			t.Errorf("sends %v", d.sends)
		}
		if o := q.saw(); q.at() != 10 || o[3] != queue.Delivered || o[4] != queue.Lost || o[5] != queue.Lost || o[6] != queue.Delivered {
			t.Errorf("cursor %d, outcomes %v", q.at(), o)
		}
		if n := strings.Count(log.String(), "event=record_lost"); n != 1 {
			t.Errorf("%d lines about the loss:\n%s", n, log.String())
		}
	})
}

// What was in flight when the queue gave it up, and arrived, was delivered.
func TestDeliveredAfterDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 20)
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Second, nil }}
		w := start(t, q, d, nil)
		synctest.Wait()
		q.dropThrough(15)
		if q.outcomes()[3] != queue.Dropped || q.at() != 15 {
			t.Errorf("before: %v, cursor %d", q.outcomes(), q.at())
		}
		time.Sleep(time.Minute)
		stop(t, w)
		for seq := uint64(1); seq <= 20; seq++ {
			if q.outcomes()[seq] != queue.Delivered {
				t.Errorf("%d is %v", seq, q.outcomes()[seq])
			}
		}
		if s := w.Status(); q.at() != 20 || s.Delivered != 20 || s.Dropped != 0 {
			t.Errorf("cursor %d, %+v", q.at(), s)
		}
	})
}

// What the queue has given up isn't sent any more, whether it was read only or sent in vain before.
func TestDroppedIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 30)
		d := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, errors.New("down")
			}
			return 0, nil
		}, batching: outputs.Batching{MaxRecords: 10, MaxBytes: 1 << 20, MaxInFlight: 10}}
		w := start(t, q, d, func(o *Options) { o.MinBackoff = time.Minute })
		synctest.Wait()
		q.set(func() { q.rangeErr = queue.ErrUnavailable }) // the queue can't be asked what it has dropped
		q.dropThrough(14)
		time.Sleep(5 * time.Minute)
		q.set(func() { q.rangeErr = nil })
		time.Sleep(10 * time.Minute)
		stop(t, w)
		if got := d.from(1); len(got) != 16 || got[0] != 15 {
			t.Errorf("sends %v", d.sends)
		}
		if o := q.outcomes(); q.at() != 30 || o[1] != queue.Dropped || o[14] != queue.Dropped || o[15] != queue.Delivered || w.Status().Dropped != 14 {
			t.Errorf("cursor %d, outcomes %v, %+v", q.at(), o, w.Status())
		}
	})
}

// A queue that can't be read says nothing of what became of the events: nothing is marked, and it is asked again.
func TestAnUnavailableRangeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 10)
		q.rangeErr = queue.ErrUnavailable
		d := &destination{answer: func(n int, _ []outputs.Record) (time.Duration, error) {
			if n == 1 {
				return 0, errors.New("down")
			}
			return 0, nil
		}}
		w := start(t, q, d, nil)
		time.Sleep(10 * time.Minute)
		if s := w.Status(); q.at() != 0 || len(q.saw()) != 0 || d.count() != 1 || !s.Failing || !strings.Contains(s.LastError, "unavailable") {
			t.Errorf("cursor %d, outcomes %v, %d sends, %+v", q.at(), q.saw(), d.count(), s)
		}
		q.mu.Lock()
		ranges := q.ranges
		q.mu.Unlock()
		if ranges < 5 {
			t.Errorf("asked %d times in ten minutes", ranges)
		}
		q.set(func() { q.rangeErr = nil })
		time.Sleep(2 * time.Minute)
		stop(t, w)
		if len(d.sends) != 2 || len(d.sends[1]) != 10 || q.at() != 10 || q.saw()[1] != queue.Delivered {
			t.Errorf("sends %v, cursor %d, outcomes %v", d.sends, q.at(), q.saw())
		}
	})
}

// A Read that fails, or that leaves a sequence out, is tried again and logged once.
func TestReadsThatFailAreTriedAgain(t *testing.T) {
	for name, set := range map[string]func(*fakeQueue){
		"unavailable": func(q *fakeQueue) { q.readErr = queue.ErrUnavailable },
		"a hole":      func(q *fakeQueue) { q.hole = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBook
				q := newFakeQueue(t, 10)
				set(q)
				d := &destination{answer: ok}
				w := start(t, q, d, logTo(&log))
				time.Sleep(10 * time.Minute)
				if d.count() != 0 || q.at() != 0 {
					t.Errorf("%d sends, cursor %d", d.count(), q.at())
				}
				q.set(func() { q.readErr, q.hole = nil, 0 })
				time.Sleep(time.Minute)
				stop(t, w)
				if q.at() != 10 || len(q.saw()) != 10 || strings.Count(log.String(), "reading the queue failed") != 1 {
					t.Errorf("cursor %d, outcomes %v, log:\n%s", q.at(), q.saw(), log.String())
				}
			})
		})
	}
}

// An output whose share of the quarantine is full stops, says what to do, and goes on by itself.
func TestQuarantineFullStopsTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		q := newFakeQueue(t, 10)
		q.keepErr = queue.ErrFull
		d := &destination{answer: func(_ int, batch []outputs.Record) (time.Duration, error) {
			for i, r := range batch {
				if r.Seq == 4 {
					return 0, &outputs.PartialError{Rejected: []outputs.Rejection{{Index: i, Err: errors.New("bad")}}}
				}
			}
			return 0, nil
		}}
		w := start(t, q, d, logTo(&log))
		synctest.Wait()
		q.append(&queue.Event{Signal: &signal.Signal{}})
		time.Sleep(10 * time.Minute)
		s := w.Status()
		if !s.Blocked || !strings.Contains(s.LastError, "share of the quarantine is full") || !strings.Contains(s.LastError, "re-send or drop") {
			t.Errorf("%+v", s)
		}
		if slices.Contains(d.sent(), 11) || q.at() != 0 || !w.Alive(time.Now()) {
			t.Errorf("sends %v, cursor %d, alive %v: want the output stopped", d.sends, q.at(), w.Alive(time.Now()))
		}
		if n := strings.Count(log.String(), "event=output_blocked"); n != 1 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		q.set(func() { q.keepErr = nil })
		time.Sleep(time.Minute)
		stop(t, w)
		if s := w.Status(); q.at() != 11 || len(q.kept) != 1 || s.Blocked || s.Quarantined != 1 || q.saw()[4] != queue.Refused || q.saw()[11] != queue.Delivered {
			t.Errorf("cursor %d, kept %d, outcomes %v, %+v", q.at(), len(q.kept), q.saw(), s)
		}
	})
}

// What is refused and given up at the same time is dropped, not refused: the quarantine doesn't have it.
func TestRefusedAfterDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 2)
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) {
			return time.Second, &outputs.PartialError{Rejected: []outputs.Rejection{{Err: errors.New("bad")}}}
		}}
		w := start(t, q, d, nil)
		synctest.Wait()
		q.dropThrough(1)
		time.Sleep(time.Minute)
		stop(t, w)
		if o := q.outcomes(); len(q.kept) != 0 || q.at() != 2 || o[1] != queue.Dropped || o[2] != queue.Delivered || w.Status().Quarantined != 0 {
			t.Errorf("kept %d, cursor %d, outcomes %v, %+v", len(q.kept), q.at(), o, w.Status())
		}
	})
}

// A claim that fails, and an output that can't be made, are tried again; meanwhile another bridge may have the output.
func TestATenureThatCantBegin(t *testing.T) {
	for name, c := range map[string]struct {
		set     func(*fakeQueue, *destination, error)
		blocked bool
	}{
		"claim": {func(q *fakeQueue, _ *destination, err error) { q.set(func() { q.claimErr = err }) }, false},
		"open": {func(_ *fakeQueue, d *destination, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.openErr = err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBook
				q := newFakeQueue(t, 5)
				d := &destination{answer: ok}
				c.set(q, d, errors.New("no such thing"))
				w := start(t, q, d, logTo(&log))
				time.Sleep(time.Hour)
				s := w.Status()
				if s.Owned || !s.Failing || s.Blocked != c.blocked || !strings.Contains(s.LastError, "no such thing") || s.NextTry.IsZero() || !w.Alive(time.Now()) {
					t.Errorf("%+v, alive %v", s, w.Alive(time.Now()))
				}
				q.mu.Lock()
				if q.tenure != nil {
					t.Error("the output is kept from others")
				}
				q.mu.Unlock()
				c.set(q, d, nil)
				time.Sleep(2 * time.Minute)
				if s := w.Status(); q.at() != 5 || s.Failing || s.Blocked || !s.Owned {
					t.Errorf("cursor %d, %+v", q.at(), s)
				}
				stop(t, w)
				if n := strings.Count(log.String(), "level=ERROR"); n != 2 && n != 1 { // again after an hour
					t.Errorf("%d lines:\n%s", n, log.String())
				}
			})
		})
	}
}

// A life that ends without Stop ends the worker too.
func TestTheEndOfItsContextEndsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 5)
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Hour, nil }}
		w := start(t, q, d, nil)
		synctest.Wait()
		w.endLife(context.Canceled)
		synctest.Wait()
		if d.closed != 1 || q.tenure != nil {
			t.Errorf("closed %d times, released %v", d.closed, q.tenure == nil)
		}
		stop(t, w)
	})
}

// An output that fails for a minute is given up once another bridge wants it, and not claimed again for a minute.
func TestGivesUpWhatAnotherBridgeWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 5)
		d := &destination{answer: func(int, []outputs.Record) (time.Duration, error) { return time.Millisecond, errors.New("refused") }}
		w := start(t, q, d, nil)
		claims := func() int {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.claims
		}
		time.Sleep(3 * time.Minute)
		if s := w.Status(); !s.Owned || claims() != 1 {
			t.Errorf("alone: %d claims, %+v", claims(), s)
		}
		q.set(func() { q.wanted = true })
		time.Sleep(15 * time.Second)
		if s := w.Status(); s.Owned || claims() != 1 || d.closed != 1 || !w.Alive(time.Now()) {
			t.Errorf("beside another bridge: %d claims, closed %d times, %+v", claims(), d.closed, s)
		}
		time.Sleep(40 * time.Second)
		if s := w.Status(); s.Owned || claims() != 1 {
			t.Errorf("claimed again before a minute: %d claims, %+v", claims(), s)
		}
		time.Sleep(20 * time.Second)
		if s := w.Status(); !s.Owned || claims() != 2 {
			t.Errorf("not claimed again: %d claims, %+v", claims(), s)
		}
		time.Sleep(30 * time.Second)
		if s := w.Status(); !s.Owned {
			t.Errorf("given up before a minute: %+v", s)
		}
		stop(t, w)
	})
}
