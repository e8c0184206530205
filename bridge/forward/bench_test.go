package forward

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// benchEvents is a queue of events that are all there at once. It implements Claimer, queue.Lease and queue.Stream.
type benchEvents struct {
	events []*queue.Event
	mu     sync.Mutex
	cursor uint64
	ended  chan struct{} // closed when the worker is done with all
}

func (q *benchEvents) Claim(context.Context, string) (*queue.Tenure, error) {
	return &queue.Tenure{Output: "siem", BridgeID: "bridge", Lease: q, Stream: q}, nil
}
func (q *benchEvents) Wanted(context.Context, string) bool { return false }
func (q *benchEvents) Valid() bool                         { return true }
func (q *benchEvents) Lost() <-chan struct{}               { return nil }
func (q *benchEvents) Release()                            {}

func (q *benchEvents) Cursor() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursor
}

func (q *benchEvents) Read(ctx context.Context, after uint64, limit, _ int) (queue.Batch, error) {
	if after == uint64(len(q.events)) {
		<-ctx.Done()
		return queue.Batch{}, ctx.Err()
	}
	return q.Range(ctx, after+1, after+uint64(limit), 0)
}

func (q *benchEvents) Range(_ context.Context, first, last uint64, _ int) (queue.Batch, error) {
	last = min(last, uint64(len(q.events)))
	return queue.Batch{Events: q.events[first-1 : last], Through: last}, nil
}

func (q *benchEvents) Advance(p queue.Progress) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cursor = p.Through
	if q.cursor == uint64(len(q.events)) {
		close(q.ended)
	}
}

func (q *benchEvents) Quarantine(context.Context, []queue.DeadLetter) error { return nil }

// benchOutput delivers everything at once.
type benchOutput struct{ batching outputs.Batching }

func (benchOutput) Send(_ context.Context, _ []outputs.Record, done func(error)) { done(nil) }
func (o benchOutput) Batching() outputs.Batching                                 { return o.batching }
func (benchOutput) Status() outputs.Status                                       { return outputs.Status{State: outputs.StateUp} }
func (benchOutput) Close(context.Context) error                                  { return nil }

// BenchmarkWorker is a worker's own share of an event: from the queue's answer to the output, and the progress.
func BenchmarkWorker(b *testing.B) {
	events := make([]*queue.Event, 20_000)
	for i := range events {
		events[i] = &queue.Event{Seq: uint64(i + 1), Body: []byte("{}"), Signal: &signal.Signal{Severity: 3}}
	}
	open := func(func() bool, prometheus.Registerer) (outputs.Output, error) {
		return benchOutput{outputs.Batching{MaxRecords: 500, MaxBytes: 1 << 20, MaxInFlight: 2000}}, nil
	}
	b.ReportAllocs()
	for b.Loop() {
		q := &benchEvents{events: events, ended: make(chan struct{})}
		w := New(Options{Name: "siem", Queue: q, Open: open, Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)), Log: slog.New(slog.DiscardHandler)})
		w.Start(b.Context())
		<-q.ended
		if err := w.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
