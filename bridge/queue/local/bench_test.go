package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// benchEngine is an empty queue with one output, on the disk of LINUXGUARD_BENCH_DIR (unset: the temporary folder's, which may be in
// memory).
func benchEngine(b *testing.B) queue.Queue {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv("LINUXGUARD_BENCH_DIR"), "queue")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	q, err := Open(b.Context(), Options{Directory: dir, Bridge: "b", Limits: queue.Limits{MaxBytes: 8 << 30}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := q.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	if _, err := q.Declare(b.Context(), []queue.OutputSpec{{Name: "siem", StartAtOldest: true}}); err != nil {
		b.Fatal(err)
	}
	return q
}

// benchEvent has the size that LinuxGuard's samples have.
func benchEvent(n int) *queue.Event {
	e := testEvent(n)
	e.Body = append(e.Body, bytes.Repeat([]byte(" "), 600)...)
	return e
}

// BenchmarkAppend is an append until it is durable, by so many senders at once. The output follows, so that segments are used again.
func BenchmarkAppend(b *testing.B) {
	for _, senders := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			q := benchEngine(b)
			tenure, err := q.Claim(b.Context(), "siem")
			if err != nil {
				b.Fatal(err)
			}
			var n, done atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range senders {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						r, err := q.Append(b.Context(), benchEvent(int(i)), "")
						if err != nil {
							b.Error(err)
							return
						}
						if done.Add(1)%1000 == 0 && r.Seq > uint64(senders) {
							through := r.Seq - uint64(senders) // the others' may be on their way
							tenure.Advance(queue.Progress{Through: through, Outcomes: []queue.OutcomeRange{
								{First: tenure.Cursor() + 1, Last: through, Outcome: queue.Delivered, At: time.Now()},
							}})
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRead is an output's way through a backlog, a batch of 500 at a time.
func BenchmarkRead(b *testing.B) {
	const backlog = 20_000
	q := benchEngine(b)
	var wg sync.WaitGroup
	for sender := range 100 {
		wg.Go(func() {
			for i := sender; i < backlog; i += 100 {
				if _, err := q.Append(b.Context(), benchEvent(i), ""); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	tenure, err := q.Claim(b.Context(), "siem")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for at := uint64(0); at < backlog; {
			batch, err := tenure.Read(b.Context(), at, 500, 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			at = batch.Through
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*backlog), "ns/event")
}
