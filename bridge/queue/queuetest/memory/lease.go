package memory

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// lease implements queue.Lease.
type lease struct {
	q     *Queue
	key   string // of World.owners
	valid atomic.Bool
	lost  chan struct{}
}

// Valid implements queue.Lease.
func (l *lease) Valid() bool { return l.valid.Load() }

// Lost implements queue.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Release implements queue.Lease.
func (l *lease) Release() {
	l.q.w.mu.Lock()
	defer l.q.w.mu.Unlock()
	if l.valid.CompareAndSwap(true, false) {
		delete(l.q.w.owners, l.key)
		if l.q.w.wrong == releaseForgets {
			l.q.pending = slices.DeleteFunc(l.q.pending, func(p pending) bool { return "output/"+p.output == l.key })
		}
		l.q.w.wake()
	}
}

// end takes the lease from its owner. The caller holds mu.
func (l *lease) end() {
	if l.valid.CompareAndSwap(true, false) {
		if l.q.w.owners[l.key] == l {
			delete(l.q.w.owners, l.key)
		}
		close(l.lost)
		l.q.w.wake()
	}
}

// acquire waits until the queue owns key. check says why it can't own it any more.
func (q *Queue) acquire(ctx context.Context, key string, check func() error) (*lease, error) {
	for {
		q.w.mu.Lock()
		changed := q.w.changed
		l, err := q.tryAcquire(key, check)
		q.w.mu.Unlock()
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryAcquire returns nil, nil while somebody else owns key. The caller holds mu.
func (q *Queue) tryAcquire(key string, check func() error) (*lease, error) {
	if q.ended() {
		return nil, fmt.Errorf("%w: it is closed", queue.ErrUnavailable)
	}
	if err := check(); err != nil {
		return nil, err
	}
	if q.w.owners[key] != nil && q.w.wrong != ownsTwice {
		return nil, nil
	}
	l := &lease{q: q, key: key, lost: make(chan struct{})}
	l.valid.Store(true)
	q.w.owners[key] = l
	return l, nil
}

// Hold implements queue.Roles.
func (q *Queue) Hold(ctx context.Context, role string) (queue.Lease, error) {
	l, err := q.acquire(ctx, "role/"+role, func() error { return nil })
	if err != nil {
		return nil, fmt.Errorf("hold the role %s: %w", role, err)
	}
	return l, nil
}
