package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// askedQueue is a queue.Appender that counts how often it is asked, and answers what it is told to.
type askedQueue struct {
	asked      atomic.Int64
	generation atomic.Uint64

	mu     sync.Mutex
	answer func(*queue.Event, string) queue.Receipt
	seen   map[string]uint64
}

func newAskedQueue() *askedQueue {
	q := &askedQueue{seen: map[string]uint64{}}
	q.generation.Store(1)
	return q
}

func (q *askedQueue) Generation() uint64 { return q.generation.Load() }

func (q *askedQueue) Append(_ context.Context, e *queue.Event, reason string) (queue.Receipt, error) {
	q.asked.Add(1)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.answer != nil {
		return q.answer(e, reason), nil
	}
	r := queue.Receipt{Verdict: queue.Duplicate, Since: e.ReceivedAt, Generation: q.Generation()}
	if reason != "" {
		return queue.Receipt{Verdict: queue.Quarantined, Reason: reason, Generation: r.Generation}, nil
	}
	if r.Seq = q.seen[string(e.Body)]; r.Seq == 0 {
		r.Verdict, r.Seq = queue.Accepted, uint64(len(q.seen))+1
		q.seen[string(e.Body)] = r.Seq
	}
	return r, nil
}

// cached is a Handler in front of an askedQueue.
type cached struct {
	t     *testing.T
	queue *askedQueue
	clock *fakeClock
	h     *Handler
}

func newCached(t *testing.T) *cached {
	t.Helper()
	c := &cached{t: t, queue: newAskedQueue(), clock: newFakeClock()}
	second := testEndpoint()
	second.Name, second.Path = "second", "/second"
	var err error
	c.h, err = NewHandler(Options{Endpoints: []Endpoint{testEndpoint(), second}, Queue: c.queue, Now: c.clock.Now, Window: 72 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a body, and returns what was answered and whether the queue was asked.
func (c *cached) send(path, deliveryID string, body []byte) (status string, asked bool) {
	c.t.Helper()
	before := c.queue.asked.Load()
	r := delivery(c.t, "https://localhost"+path, body)
	r.RemoteAddr = "203.0.113.9:4711"
	if r.Header.Del("LinuxGuard-Delivery"); deliveryID != "" {
		r.Header.Set("LinuxGuard-Delivery", deliveryID)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		c.t.Errorf("answered %d: %s", w.Code, w.Body)
	}
	for _, v := range []verdict{accepted, duplicate, quarantined} {
		if strings.Contains(w.Body.String(), `"`+v.String()+`"`) {
			status = v.String()
		}
	}
	return status, c.queue.asked.Load() > before
}

// want sends a body and complains unless it is answered like this.
func (c *cached) want(what, path, deliveryID string, body []byte, status string, asked bool) {
	c.t.Helper()
	if got, was := c.send(path, deliveryID, body); got != status || was != asked {
		c.t.Errorf("%s: %s, queue asked: %v; want %s, %v", what, got, was, status, asked)
	}
}

// TestAnsweredDeliveries walks through the rules of the cache in front of the queue, one after the other.
func TestAnsweredDeliveries(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	now := c.clock.Now()
	body := payload("s1", now)
	c.want("new", testPath, "d1", body, "accepted", true)
	c.want("the same", testPath, "d1", body, "duplicate", false)
	c.want("the same body under another delivery ID", testPath, "d2", body, "duplicate", false)
	c.want("the same body without a delivery ID", testPath, "", body, "duplicate", false)
	c.want("the same at another endpoint", "/second", "d1", body, "duplicate", true) // of this queue's making
	c.want("both IDs, stamped anew", testPath, "d1", payload("s1", now.Add(time.Second)), "duplicate", false)
	c.want("the delivery ID with another signal", testPath, "d1", payload("s2", now), "accepted", true)
	c.want("the signal with another delivery ID, stamped anew", testPath, "d3", payload("s1", now.Add(2*time.Second)), "accepted", true)
	c.want("no delivery ID", testPath, "", payload("s4", now), "accepted", true)
	c.want("the signal without a delivery ID, stamped anew", testPath, "", payload("s4", now.Add(time.Second)), "accepted", true)
	if n := c.h.CachedDuplicates(1); n != 4 {
		t.Errorf("%d duplicates of the first event were answered from here, want 4", n)
	}
}

// TestAnsweredIsAskedBeforeFreshness: as in the queue, a repeat of what was accepted is a duplicate although it is stale by now.
func TestAnsweredIsAskedBeforeFreshness(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	body := payload("s1", c.clock.Now())
	c.want("new", testPath, "d1", body, "accepted", true)
	c.clock.Advance(30 * time.Hour) // max_age is a day
	c.want("repeated", testPath, "d1", body, "duplicate", false)
}

// TestQuarantinedIsNeverAnsweredFromMemory: an operator may have dropped it since.
func TestQuarantinedIsNeverAnsweredFromMemory(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	stale := payload("s1", c.clock.Now().Add(-48*time.Hour))
	for range 3 {
		c.want("stale", testPath, "d1", stale, "quarantined", true)
	}
}

// TestAnsweredWindow: an entry counts within the window of the first receipt, and look-ups don't refresh its age.
func TestAnsweredWindow(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	body := payload("s1", c.clock.Now())
	c.want("new", testPath, "d1", body, "accepted", true)
	for range 3 {
		c.clock.Advance(24 * time.Hour)
		c.want("within the window", testPath, "d1", body, "duplicate", false)
	}
	c.clock.Advance(time.Second)
	c.want("older than the window", testPath, "d1", body, "quarantined", true)

	// The answer to a duplicate counts from the first one's receipt, too.
	first := c.clock.Now().Add(-71 * time.Hour)
	c.queue.answer = func(*queue.Event, string) queue.Receipt {
		return queue.Receipt{Verdict: queue.Duplicate, Seq: 7, Since: first, Generation: 1}
	}
	body = payload("s2", c.clock.Now())
	c.want("a duplicate", testPath, "d2", body, "duplicate", true)
	c.want("and again", testPath, "d2", body, "duplicate", false)
	c.clock.Advance(time.Hour + time.Second)
	c.want("out of the first one's window", testPath, "d2", body, "duplicate", true)
}

// TestAnsweredGeneration: what the queue has said before a reopen, a loss or while it is unavailable doesn't count.
func TestAnsweredGeneration(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	body := payload("s1", c.clock.Now())
	c.want("new", testPath, "d1", body, "accepted", true)
	c.want("repeated", testPath, "d1", body, "duplicate", false)
	c.queue.generation.Store(2)
	c.want("after a change of the generation", testPath, "d1", body, "duplicate", true)
	c.want("and again", testPath, "d1", body, "duplicate", false)
	c.queue.generation.Store(0)
	c.want("while the queue is unavailable", testPath, "d1", body, "duplicate", true)
	c.want("still", testPath, "d1", body, "duplicate", true)
	c.queue.generation.Store(2)
	c.want("available again", testPath, "d1", body, "duplicate", false)
}

// TestRetryStormMakesNoCommit: repeats of what was answered don't reach the queue.
func TestRetryStormMakesNoCommit(t *testing.T) {
	t.Parallel()
	c := newCached(t)
	const signals, repeats = 20, 50
	bodies := make([][]byte, signals)
	for i := range bodies {
		bodies[i] = payload(fmt.Sprint("s", i), c.clock.Now())
		c.want("new", testPath, fmt.Sprint("d", i), bodies[i], "accepted", true)
	}
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			for range repeats {
				r := delivery(t, "https://localhost"+testPath, bodies[i])
				r.RemoteAddr = "203.0.113.9:4711"
				c.h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
	wg.Wait()
	if n := c.queue.asked.Load(); n != signals {
		t.Errorf("the queue was asked %d times, want %d", n, signals)
	}
	if hits := c.h.answered.hits.Load(); hits != signals*repeats {
		t.Errorf("%d answers from memory, want %d", hits, signals*repeats)
	}
}

// TestAnsweredIsBounded: the cache holds so many and no more.
func TestAnsweredIsBounded(t *testing.T) {
	t.Parallel()
	a := newAnswered(newAskedQueue())
	for i := range 2 * answeredSize {
		e := &queue.Event{Endpoint: "e", DeliveryID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"data":{"signal_id":"%d"}}`, i)}
		e.Decode()
		a.add(e, queue.DigestOf(e.Body), queue.Receipt{Verdict: queue.Accepted, Seq: uint64(i + 1), Since: time.Now(), Generation: 1})
	}
	if a.byBody.Len() != answeredSize || a.byIDs.Len() != answeredSize {
		t.Errorf("%d by body and %d by IDs", a.byBody.Len(), a.byIDs.Len())
	}
}

// TestDeliveryIDNotes: a header that can't serve as a delivery ID leaves a note in the record.
func TestDeliveryIDNotes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []string
		id     string
		note   string
	}{
		"one":         {[]string{"d-1"}, "d-1", ""},
		"none":        {nil, "", ""},
		"twice":       {[]string{"d-1", "d-1"}, "", "came 2 times"},
		"too long":    {[]string{strings.Repeat("d", 129)}, "", "has 129 bytes"},
		"a blank":     {[]string{"d 1"}, "", "holds a character"},
		"empty":       {[]string{""}, "", ""},
		"the longest": {[]string{strings.Repeat("d", 128)}, strings.Repeat("d", 128), ""},
	} {
		id, note := deliveryID(http.Header{deliveryHeader: c.values})
		if id != c.id || (note == "") != (c.note == "") || !strings.Contains(note, c.note) {
			t.Errorf("%s: %q, %q; want %q, %q", name, id, note, c.id, c.note)
		}
	}
	var got []string
	c := newCached(t)
	c.queue.answer = func(e *queue.Event, _ string) queue.Receipt {
		got = e.Notes
		return queue.Receipt{Verdict: queue.Accepted, Seq: 1, Generation: 1}
	}
	c.want("a note goes with the event", testPath, "d 1", payload("s1", c.clock.Now()), "accepted", true)
	if len(got) != 1 {
		t.Errorf("notes %q", got)
	}
}
