package forward_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// collector is an output that is down until it is up.
type collector struct {
	mu    sync.Mutex
	up    bool
	tries int // while it was down
	got   []uint64
}

func (c *collector) Send(_ context.Context, batch []outputs.Record, done func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.up {
		c.tries++
		done(errors.New("connection refused"))
		return
	}
	for _, r := range batch {
		c.got = append(c.got, r.Seq)
	}
	done(nil)
}

func (c *collector) Batching() outputs.Batching {
	return outputs.Batching{MaxRecords: 500, MaxBytes: 1 << 20, MaxInFlight: 2000}
}
func (c *collector) Status() outputs.Status      { return outputs.Status{State: outputs.StateDown} }
func (c *collector) Close(context.Context) error { return nil }

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

// running is a queue on the disk and the worker of its one output.
type running struct {
	queue.Queue
	worker *forward.Worker
}

func startRunning(t *testing.T, dir string, c *collector) *running {
	t.Helper()
	q, err := local.Open(t.Context(), local.Options{Directory: dir, Bridge: "one", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "siem"}}); err != nil {
		t.Fatal(err)
	}
	d := &running{q, forward.New(forward.Options{
		Name: "siem", Queue: q, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)), Log: slog.New(slog.DiscardHandler),
		Open: func(func() bool, prometheus.Registerer) (outputs.Output, error) { return c, nil },
	})}
	d.worker.Start(context.Background())
	return d
}

func (d *running) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(d.worker.Stop(ctx), d.Close(ctx)); err != nil {
		t.Error(err)
	}
}

// TestLongOutage: an output is down for a day, ten minutes in the short form, while ten signals a second come and the defaults are in
// force. The daemon is restarted half-way. The time is a bubble's, the queue is on a real disk.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	outage := time.Duration(bridgetest.Count(10, 24*60)) * time.Minute
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		d := startRunning(t, dir, c)
		defer func() { d.stop(t) }()
		const rate = 10
		var first, last *queue.Event
		sent := 0
		for began := time.Now(); time.Since(began) < outage; time.Sleep(time.Second) {
			if sent == rate*int(outage.Seconds())/2 {
				d.stop(t)
				d = startRunning(t, dir, c)
			}
			var wg sync.WaitGroup
			for range rate {
				sent++
				e := webhook(sent)
				if last = e; first == nil {
					first = e
				}
				wg.Go(func() {
					if r, err := d.Append(t.Context(), e, ""); err != nil || r.Verdict != queue.Accepted {
						t.Errorf("signal %s: %+v, %v", e.DeliveryID, r, err)
					}
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
		}
		for _, e := range []*queue.Event{first, last} { // LinuxGuard sends again what it thinks unanswered
			again := *e
			again.Seq = 0
			if r, err := d.Append(t.Context(), &again, ""); err != nil || r.Verdict != queue.Duplicate {
				t.Errorf("signal %s sent again: %+v, %v", e.DeliveryID, r, err)
			}
		}
		c.mu.Lock()
		c.up = true
		c.mu.Unlock()
		back := time.Now()
		for c.count() < sent && time.Since(back) < time.Hour {
			time.Sleep(time.Second)
		}
		took := time.Since(back)
		if n := c.count(); n != sent || took > 2*time.Minute {
			t.Errorf("%d of %d signals have arrived after %v", n, sent, took)
		}
		for i, seq := range c.got {
			if seq != uint64(i+1) {
				t.Fatalf("record %d has the sequence %d", i+1, seq)
			}
		}
		if most := int(outage/time.Minute)*3 + 40; c.tries < 5 || c.tries > most {
			t.Errorf("%d tries while it was down, want at most %d", c.tries, most)
		}
		if s := d.Queue.Status(); s.Losses != 0 || s.LastSeq != uint64(sent) {
			t.Errorf("%d losses are told, the last sequence is %d", s.Losses, s.LastSeq)
		}
		survived.Note(t, survived.Row{What: fmt.Sprintf("an output is down for %v at %d signals a second, with a restart half-way", outage, rate), Times: 1, Acknowledged: sent,
			Remark: fmt.Sprintf("%d tries; all had arrived, in order and once, within %v of its return", c.tries, took)})
	})
}

// webhook is a signal as the receiver hands it to the queue.
func webhook(n int) *queue.Event {
	now := time.Now()
	body := sender.Sample(1+n%5, now, nil)
	e := &queue.Event{ReceivedAt: now, Endpoint: "linuxguard", DeliveryID: fmt.Sprint("delivery-", n), Body: body.JSON()}
	e.Decode()
	return e
}
