package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"golang.org/x/sys/unix"
)

// benchDir is a folder on a disk: a temporary folder in RAM would measure nothing.
func benchDir(b *testing.B) string {
	b.Helper()
	root := os.Getenv("LINUXGUARD_BENCH_DIR")
	if root == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(root, "queue")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

var benchPadding = strings.Repeat("p", 400)

// benchEvent is a distinct event of about the size of a webhook.
func benchEvent(b *testing.B, i int64) *Event {
	b.Helper()
	return newEvent(b, fmt.Sprintf("7b0e1f9c-0000-4000-8000-%012d", i), fmt.Sprintf("sig_%012d", i), benchPadding)
}

// produce spreads b.N calls over n goroutines.
func produce(b *testing.B, n int, events []*Event, one func(*Event)) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	used := cpuTime()
	b.ResetTimer()
	for range n {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
				one(events[i])
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N), "cpu-us/append")
}

// cpuTime is what this process has used, which a busy machine distorts less than the clock.
func cpuTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchEvents(b *testing.B) []*Event {
	b.Helper()
	events := make([]*Event, b.N)
	for i := range events {
		events[i] = benchEvent(b, benchSerial.Add(1))
	}
	return events
}

var benchSerial atomic.Int64

var benchProducers = []int{1, 8, 64, 256}

func BenchmarkAppend(b *testing.B) {
	for _, producers := range benchProducers {
		for _, readers := range []int{0, 2} {
			b.Run(fmt.Sprintf("producers=%d/readers=%d", producers, readers), func(b *testing.B) {
				benchAppend(b, producers, readers)
			})
		}
	}
}

func benchAppend(b *testing.B, producers, readers int) {
	b.Helper()
	events := benchEvents(b)
	specs := []OutputSpec{{Name: "r0"}, {Name: "r1"}}
	q := openTest(b, Options{Directory: benchDir(b), MaxBytes: 64 << 30, CursorInterval: time.Second, Outputs: specs})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() { drainOutput(ctx, q, fmt.Sprint("r", i)) })
	}
	produce(b, producers, events, func(e *Event) {
		if r, err := q.Append(context.Background(), e, ""); err != nil || r.Outcome != Accepted {
			b.Errorf("%+v, %v", r, err)
		}
	})
	b.ReportMetric(float64(b.N)/float64(q.commits.Load()), "appends/commit")
	cancel()
	wg.Wait()
}

// drainOutput is a worker that delivers at once.
func drainOutput(ctx context.Context, q Queue, name string) {
	for after := uint64(0); ; {
		events, err := q.Read(ctx, after, 500, 1<<20)
		if err != nil {
			return
		}
		first := after + 1
		after = events[len(events)-1].Seq
		q.Advance(name, Progress{Through: after, Runs: []Run{{First: first, Last: after, Fate: Delivered, Level: "stored", At: time.Now()}}})
	}
}

// BenchmarkFloor is the floor of an append: the same values appended to one bare file with one fdatasync a group.
func BenchmarkFloor(b *testing.B) {
	for _, producers := range benchProducers {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			events := benchEvents(b)
			f := newFloor(b)
			produce(b, producers, events, f.append)
			f.stop()
		})
	}
}

// floor is group commit and nothing else.
type floor struct {
	b     *testing.B
	file  *os.File
	mu    sync.Mutex
	buf   []byte
	done  chan struct{}
	wake  chan struct{}
	ended chan struct{}
}

func newFloor(b *testing.B) *floor {
	b.Helper()
	file, err := os.Create(filepath.Join(benchDir(b), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	f := &floor{b: b, file: file, done: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go f.run()
	return f
}

func (f *floor) append(e *Event) {
	f.mu.Lock()
	f.buf = appendEvent(f.buf, e)
	done := f.done
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
	<-done
}

func (f *floor) run() {
	defer close(f.ended)
	for range f.wake {
		f.mu.Lock()
		buf, done := f.buf, f.done
		f.buf, f.done = make([]byte, 0, cap(buf)), make(chan struct{})
		f.mu.Unlock()
		if len(buf) == 0 {
			continue
		}
		if _, err := f.file.Write(buf); err != nil {
			f.b.Error(err)
		}
		if err := unix.Fdatasync(int(f.file.Fd())); err != nil {
			f.b.Error(err)
		}
		close(done)
	}
}

func (f *floor) stop() {
	close(f.wake)
	<-f.ended
	if err := f.file.Close(); err != nil {
		f.b.Error(err)
	}
}

// fillQueue puts n events into a queue, as fast as that goes: without syncs and in full transactions.
func fillQueue(b *testing.B, q *embedded, n int) {
	b.Helper()
	q.db.NoSync = true
	defer func() { q.db.NoSync = false }()
	for n > 0 {
		var last *batch
		for range min(n, maxBatchRequests) {
			i := benchSerial.Add(1)
			id := fmt.Sprintf("sig_%012d", i)
			last, _ = q.intake.add(q.requestFor(&Event{
				ReceivedAt: time.Now(), Endpoint: "linuxguard", DeliveryID: fmt.Sprintf("7b0e1f9c-0000-4000-8000-%012d", i),
				Body: []byte(`{"data":{"signal_id":"` + id + `"},"more":"` + benchPadding + `"}`), Signal: &signal.Signal{SignalID: id},
			}, ""))
			n--
		}
		q.signal()
		<-last.done
	}
}

const million = 1_000_000

// BenchmarkAppendBehindBacklog is an append at 64 producers with events that no output has taken: none, and a million.
// Filling is dear, so run it with -benchtime=200000x, which fills once.
func BenchmarkAppendBehindBacklog(b *testing.B) {
	for _, backlog := range []int{0, million} {
		b.Run(fmt.Sprintf("backlog=%d", backlog), func(b *testing.B) {
			if b.N == 1 {
				return // the first round only finds out how long one takes
			}
			events := benchEvents(b)
			specs := []OutputSpec{{Name: "stuck"}}
			q := openTest(b, Options{Directory: benchDir(b), MaxBytes: 64 << 30, Capacity: 4 * million, CursorInterval: time.Second, Outputs: specs})
			fillQueue(b, q, backlog)
			if err := q.db.Sync(); err != nil {
				b.Fatal(err)
			}
			produce(b, 64, events, func(e *Event) {
				if _, err := q.Append(context.Background(), e, ""); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkReopen opens a queue that remembers a million deliveries and holds none of them.
func BenchmarkReopen(b *testing.B) {
	dir := benchDir(b)
	opts := Options{Directory: dir, MaxBytes: 64 << 30, Capacity: million, Outputs: []OutputSpec{{Name: "done"}}}
	q := openTest(b, opts)
	fillQueue(b, q, million)
	q.db.NoSync = true
	q.Advance("done", Progress{Through: million})
	poll(b, func() bool { return q.Status().Events == 0 })
	q.db.NoSync = false
	if err := errors.Join(q.db.Sync(), q.Close(b.Context())); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		opened, err := Open(b.Context(), opts)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := opened.Status().Remembered; n != million {
			b.Errorf("%d remembered", n)
		}
		if err := opened.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkMemory states what a remembered delivery costs in memory once the oldest have made room for others.
func BenchmarkMemory(b *testing.B) {
	keys := hasher{seed: maphash.MakeSeed()}
	entryOf := func(i uint64) entry {
		k := sequenceKey(i)
		return entry{keys.digest([]byte("linuxguard"), k), keys.delivery([]byte("linuxguard"), k), i}
	}
	for range b.N {
		before := heapInUse()
		m := newMemory(0)
		for i := range uint64(3 * million) {
			m.add(entryOf(i + 1))
			if i >= million {
				m.forget(entryOf(i + 1 - million))
			}
		}
		b.ReportMetric(float64(heapInUse()-before)/float64(len(m.byDigest)), "B/delivery")
		runtime.KeepAlive(m)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkDrain is two outputs that read a backlog from the disk.
func BenchmarkDrain(b *testing.B) {
	q := openTest(b, Options{Directory: benchDir(b), MaxBytes: 64 << 30, CursorInterval: time.Second, Outputs: []OutputSpec{{Name: "r0"}, {Name: "r1"}}})
	fillQueue(b, q, max(256, b.N/256*256))
	last := q.Status().LastSeq
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for after := uint64(0); after < last; {
				events, err := q.Read(context.Background(), after, 500, 1<<20)
				if err != nil {
					b.Error(err)
					return
				}
				after = events[len(events)-1].Seq
				q.Advance(fmt.Sprint("r", i), Progress{Through: after})
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(last)/b.Elapsed().Seconds(), "events/s/output")
}
