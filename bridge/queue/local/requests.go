package local

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Bounds of one group. What comes beyond waits for the next.
const (
	maxGroupRequests = 4096
	maxGroupBytes    = 8 << 20
)

// request is one append, or one other change (job), on its way through the committer.
type request struct {
	event  *queue.Event
	reason string
	digest queue.Digest
	record []byte  // without its number and time
	buffer *[]byte // the memory of record
	job    func(*txn) error

	state   atomic.Int32
	receipt queue.Receipt
	err     error
	item    uint64 // the dead letter that it is re-sent from; 0: none
}

// The states of a request. Whoever moves it away from waiting decides: the committer that it is tried, the waiter whose
// context ended that it is not.
const (
	requestWaiting int32 = iota
	requestTaken
	requestAbandoned
)

// buffers keeps the memory of records that have been written for those that come.
type buffers struct{ pool sync.Pool }

// maxPooled is the largest that is kept. Most webhooks are far smaller.
const maxPooled = 16 << 10

func (b *buffers) take() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	return new([]byte)
}

// giveBack is called when nobody reads r's record any more.
func (b *buffers) giveBack(r *request) {
	if r.buffer != nil && cap(r.record) <= maxPooled {
		*r.buffer = r.record
		b.pool.Put(r.buffer)
	}
	r.record, r.buffer = nil, nil
}

// batch is what one group will hold. done is closed when every request's outcome is set.
type batch struct {
	requests []*request
	bytes    int
	done     chan struct{}
}

// requestQueue gathers requests while the committer is busy.
type requestQueue struct {
	mu       sync.Mutex
	batches  []*batch
	waiting  int // requests in batches
	expected int // how many the committer would like to find there
	closed   bool
}

// add puts r into the last batch, or into a new one when that is full; nil: closed. wake says that the committer waits for it.
func (in *requestQueue) add(r *request) (b *batch, wake bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return nil, false
	}
	last, another := len(in.batches)-1, false
	if last < 0 || len(in.batches[last].requests) >= maxGroupRequests || in.batches[last].bytes+len(r.record) > maxGroupBytes {
		in.batches = append(in.batches, &batch{done: make(chan struct{})})
		last++
		another = true
	}
	b = in.batches[last]
	b.requests = append(b.requests, r)
	b.bytes += len(r.record)
	in.waiting++
	return b, another || in.waiting == in.expected
}

// lacks reports whether there are requests, but fewer than expected and than fill a batch. From then on the committer is
// woken when that many are there.
func (in *requestQueue) lacks(expected int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expected = expected
	return len(in.batches) == 1 && in.waiting < expected
}

// pending is how many requests wait.
func (in *requestQueue) pending() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting
}

// take returns the oldest batch, or nil.
func (in *requestQueue) take() *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.batches) == 0 {
		return nil
	}
	b := in.batches[0]
	in.batches = slices.Delete(in.batches, 0, 1)
	in.waiting -= len(b.requests)
	return b
}

// close makes every later add fail.
func (in *requestQueue) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// Append implements queue.Appender.
func (q *engine) Append(ctx context.Context, e *queue.Event, reason string) (queue.Receipt, error) {
	r := q.requestFor(e, reason, 0)
	var receipt queue.Receipt
	err := q.submit(ctx, r)
	if err == nil { // else the committer may still be at it
		receipt = r.receipt
	}
	q.metrics.Appended(receipt, err)
	if receipt.Verdict == queue.Duplicate {
		q.duplicates.count(receipt.Seq)
	}
	return receipt, err
}

// requestFor prepares all of an append that can be done before it is judged.
func (q *engine) requestFor(e *queue.Event, reason string, item uint64) *request {
	r := &request{event: e, reason: reason, item: item, digest: queue.DigestOf(e.Body), buffer: q.buffers.take()}
	b := slices.Grow((*r.buffer)[:0], eventSizeHint(e))
	r.record = appendEventRecord(b, e, item)
	return r
}

// do runs job in the committer and returns after the sync of what it wrote. A job that returns an error must not have changed
// anything: the others of its group are written all the same.
func (q *engine) do(ctx context.Context, job func(*txn) error) error {
	return q.submit(ctx, &request{job: job})
}

// submit hands r to the committer and waits for its outcome.
func (q *engine) submit(ctx context.Context, r *request) error {
	b, wake := q.requests.add(r)
	if b == nil {
		return errClosed
	}
	if wake {
		q.signal()
	}
	select {
	case <-b.done:
		return r.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(requestWaiting, requestAbandoned) {
		return fmt.Errorf("%w: gave up before the write began: %w", queue.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("the write had begun: %w", ctx.Err())
}

// pacer decides how long the committer waits for more requests before it writes a group. Senders that wait for their answers and
// then send again come in step: a group that is written the moment the first of them is back leaves the rest for
// another sync. So a group waits, for no longer than the last one took, for as many as were under way when that ended. One
// that waited in vain doesn't, nor does one that comes after a pause.
type pacer struct {
	expected int           // requests that were under way when the last group ended
	ended    time.Time     // when that was
	limit    time.Duration // for the wait
	pause    int           // how many groups went without after the last wait in vain
	skip     int           // how many of them are left
}

const (
	maxWait  = 10 * time.Millisecond // whatever the disk is doing
	maxPause = 64
)

// wrote takes note of a group that served n requests, while waiting others came.
func (p *pacer) wrote(n, waiting int, began, ended time.Time) {
	p.expected, p.ended = n+waiting, ended
	p.limit = min(ended.Sub(began), maxWait)
}

// waits reports whether the next group should wait.
func (p *pacer) waits(now time.Time) bool {
	if p.expected < 2 || now.Sub(p.ended) > maxWait {
		return false
	}
	if p.skip > 0 {
		p.skip--
		return false
	}
	return true
}

// waited takes note of how a wait ended.
func (p *pacer) waited(complete bool) {
	if complete {
		p.pause = 0
		return
	}
	p.pause = min(2*p.pause+1, maxPause)
	p.skip = p.pause
}

// coalesce lets requests join those that wait for the next group.
func (q *committer) coalesce() {
	if !q.requests.lacks(q.pacer.expected) || !q.pacer.waits(time.Now()) {
		return
	}
	limit := time.NewTimer(q.pacer.limit)
	defer limit.Stop()
	for q.requests.lacks(q.pacer.expected) {
		select {
		case <-q.wake:
		case <-limit.C:
			q.pacer.waited(false)
			return
		case <-q.stop:
			return
		}
	}
	q.pacer.waited(true)
}
