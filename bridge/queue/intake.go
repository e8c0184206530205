package queue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
)

// Bounds of one transaction. What comes beyond waits for the next.
const (
	maxBatchRequests = 4096
	maxBatchBytes    = 8 << 20
)

var zeroDigest [sha256.Size]byte

// request is one append, or one other change (job), on its way through the committer.
type request struct {
	event       *Event
	hold        string
	digest      [sha256.Size]byte
	digestKey   uint64
	deliveryKey uint64
	value       []byte  // the event as it is stored, without the CRC over its key
	own         uint32  // CRC of value
	buffer      *[]byte // the memory of value
	resent      bool    // by an operator: it is remembered from now on, whenever it was received
	previous    uint64  // the newest event with the same delivery ID and another signal; 0: none
	job         func(*txn) error

	state   atomic.Int32
	receipt Receipt
	err     error
}

// The states of a request. Whoever moves it away from waiting decides: the committer that it is tried, the waiter whose
// context ended that it is not.
const (
	requestWaiting int32 = iota
	requestTaken
	requestAbandoned
)

// buffers keeps the memory of values that have been committed for those that come.
type buffers struct{ pool sync.Pool }

// maxPooled is the largest that is kept. Most webhooks are far smaller.
const maxPooled = 16 << 10

func (b *buffers) take() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	return new([]byte)
}

// giveBack is called when nobody reads r's value any more.
func (b *buffers) giveBack(r *request) {
	if r.buffer != nil && cap(r.value) <= maxPooled {
		*r.buffer = r.value
		b.pool.Put(r.buffer)
	}
	r.value, r.buffer = nil, nil
}

// batch is what one transaction will hold. done is closed when every request's outcome is set.
type batch struct {
	requests []*request
	bytes    int
	done     chan struct{}
}

// intake gathers requests while the committer is busy.
type intake struct {
	mu       sync.Mutex
	queue    []*batch
	waiting  int // requests in queue
	expected int // how many the committer would like to find there
	closed   bool
}

// add puts r into the last batch, or into a new one when that is full; nil: closed. wake says that the committer waits for it.
func (in *intake) add(r *request) (b *batch, wake bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return nil, false
	}
	last, another := len(in.queue)-1, false
	if last < 0 || len(in.queue[last].requests) >= maxBatchRequests || in.queue[last].bytes+len(r.value) > maxBatchBytes {
		in.queue = append(in.queue, &batch{done: make(chan struct{})})
		last++
		another = true
	}
	b = in.queue[last]
	b.requests = append(b.requests, r)
	b.bytes += len(r.value)
	in.waiting++
	return b, another || in.waiting == in.expected
}

// lacks reports whether there are requests, but fewer than expected and than fill a batch. From then on the committer is
// woken when that many are there.
func (in *intake) lacks(expected int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expected = expected
	return len(in.queue) == 1 && in.waiting < expected
}

// pending is how many requests wait.
func (in *intake) pending() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting
}

// take returns the oldest batch, or nil.
func (in *intake) take() *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.queue) == 0 {
		return nil
	}
	b := in.queue[0]
	in.queue = in.queue[1:]
	in.waiting -= len(b.requests)
	return b
}

// close makes every later add fail.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// Append implements Appender.
func (q *embedded) Append(ctx context.Context, e *Event, hold string) (Receipt, error) {
	r := q.requestFor(e, hold)
	err := q.submit(ctx, r)
	if err != nil {
		q.metrics.appended(Receipt{}, err)
		return Receipt{}, err
	}
	q.metrics.appended(r.receipt, nil)
	if r.receipt.Outcome == Duplicate {
		q.duplicates.count(r.receipt.Seq)
	}
	return r.receipt, nil
}

func eventSizeHint(e *Event) int {
	return 64 + len(e.Endpoint) + len(e.DeliveryID) + len(e.Signature) + len(e.SecretName) + len(e.ClientAddr) + len(e.Body)
}

// do runs job in a write transaction and returns after its commit. A job that returns an error must not have changed
// anything: the others of its transaction are committed all the same.
func (q *embedded) do(ctx context.Context, job func(*txn) error) error {
	return q.submit(ctx, &request{job: job})
}

// submit hands r to the committer and waits for its outcome.
func (q *embedded) submit(ctx context.Context, r *request) error {
	b, wake := q.intake.add(r)
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
		return fmt.Errorf("%w: gave up before the commit began: %w", ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("the commit had begun: %w", ctx.Err())
}
