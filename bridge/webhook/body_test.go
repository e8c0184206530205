package webhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// stuckBody is a body that brings its bytes and then nothing until it is released.
type stuckBody struct {
	io.Reader
	arrived sync.Once
	all     *sync.WaitGroup // done when the bytes have been read
	release chan struct{}
}

func (b *stuckBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.arrived.Do(b.all.Done)
		<-b.release
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *stuckBody) Close() error { return nil }

// TestBodyBudget: large bodies that wait for their end use up the shared budget and no more. Small ones get through all
// the while, further large ones are answered 503, and everything is given back.
func TestBodyBudget(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	const size = 1<<20 - 1
	release := make(chan struct{})
	var waiting, finished sync.WaitGroup
	for range 6 {
		waiting.Add(1)
		body := &stuckBody{Reader: strings.NewReader(strings.Repeat("x", size)), all: &waiting, release: release}
		r := delivery(t, "https://bridge"+testPath, nil)
		r.Body, r.ContentLength = body, -1
		finished.Go(func() { b.ServeHTTP(httptest.NewRecorder(), r) })
	}
	waiting.Wait()
	held := b.bodies.used.Load()
	if held < 6*(size-firstRead) || held > minBudget {
		t.Errorf("%d bytes are accounted for", held)
	}
	b.bodies.used.Add(minBudget - held) // as if there were more of them
	large := bytes.Repeat([]byte("7"), 100<<10)
	w := b.post(large, nil)
	b.mustAnswer(w, 503, `{"status":"refused","reason":"busy"}`)
	if w.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	b.mustAnswer(b.post(b.fresh("small"), nil), 200, `{"status":"accepted"}`)
	b.bodies.used.Add(held - minBudget)
	close(release)
	finished.Wait()
	if n := b.bodies.used.Load(); n != 0 {
		t.Errorf("%d bytes were not given back", n)
	}
	b.mustAnswer(b.post(large, nil), 200, `{"status":"quarantined","reason":"not json"}`)
}

// TestFreeShare: one connection's bodies take their share before the budget, and give back both.
func TestFreeShare(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := &conn{peer: parsePeer("203.0.113.9:1"), set: newConns(b.clock.Now, b.opts.Log)}
	var during int64
	b.queue.before = func(context.Context) error { during = b.bodies.used.Load(); return nil }
	send := func(size int) {
		body := bytes.Repeat([]byte("7"), size)
		r := delivery(t, "https://bridge"+testPath, body)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connKey{}, c)))
		if w.Code != http.StatusOK {
			t.Errorf("%d bytes: answered %d", size, w.Code)
		}
	}
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, freePerConn, 500_000, 1<<20 - 1, 1 << 20} {
		send(size)
		if during != 0 || b.bodies.used.Load() != 0 || c.bodies.used.Load() != 0 || c.working.Load() != 0 {
			t.Errorf("%d bytes: %d held during the append, left: %d, %d, %d", size, during, b.bodies.used.Load(), c.bodies.used.Load(), c.working.Load())
		}
	}
}

// TestPanicGivesBack: a panic behind verification leaves neither budget nor a busy connection behind.
func TestPanicGivesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	c := &conn{peer: parsePeer("203.0.113.9:1"), set: newConns(b.clock.Now, b.opts.Log)}
	b.queue.before = func(context.Context) error { panic("a fault") }
	r := delivery(t, "https://bridge"+testPath, bytes.Repeat([]byte("7"), 500_000))
	func() {
		defer func() { _ = recover() }()
		b.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), connKey{}, c)))
	}()
	if b.bodies.used.Load() != 0 || c.bodies.used.Load() != 0 || c.working.Load() != 0 {
		t.Errorf("left: %d, %d, %d", b.bodies.used.Load(), c.bodies.used.Load(), c.working.Load())
	}
}

// TestStoredBodyIsItsOwn: what the queue keeps shares nothing with the pooled buffers that later requests use.
func TestStoredBodyIsItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	first := b.fresh("sig_first")
	b.post(first, nil)
	for range 100 {
		b.post(bytes.Repeat([]byte("#"), len(first)), forge)
	}
	e := b.queue.taken()[0]
	if !bytes.Equal(e.Body, first) || e.Signal.SignalID != "sig_first" {
		t.Errorf("the stored body became %q", e.Body)
	}
}
