package local

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// faults is the back-off after a failed write.
type faults struct {
	cause    error // nil: nothing has failed
	delay    time.Duration
	until    time.Time
	replaced bool // what is at the folder's path is not what is open
}

// The back-off after a failed write, doubling from one to the other.
const (
	minFaultDelay = 100 * time.Millisecond
	maxFaultDelay = 5 * time.Second
)

// refused returns the error for work that comes while a failure is backed off from, or nil.
func (f *faults) refused() error {
	if f.cause == nil || (!f.replaced && f.due()) {
		return nil
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, f.cause)
}

// due reports whether it is time to try again. The clock is the machine's own: it can't be set back.
func (f *faults) due() bool { return f.cause != nil && !time.Now().Before(f.until) }

func (f *faults) failed(cause error) {
	f.cause = cause
	f.delay = min(max(minFaultDelay, 2*f.delay), maxFaultDelay)
	f.until = time.Now().Add(f.delay)
	f.replaced = f.replaced || errors.Is(cause, journal.ErrReplaced)
}

func (f *faults) succeeded() { *f = faults{} }

// failed records a write that failed and returns what its requests are told. The segment takes no more: what the page cache shows
// of it may not be what the disk holds, and a second sync would say "done" without writing it.
func (q *committer) failed(err error) error {
	q.faults.failed(err)
	q.vouches.Store(false)
	q.setProblem(q.describe(err))
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
}

func (q *committer) describe(err error) string {
	switch {
	case q.faults.replaced:
		return fmt.Sprintf("the queue's folder %s was deleted, replaced, mounted over or cut short while the bridge ran: %v; webhooks get 503 "+
			"until it can be written to again", q.opts.Directory, err)
	case isNoSpace(err):
		return fmt.Sprintf("no space left for the queue in %s: %v; free some, or lower max_bytes", q.opts.Directory, err)
	default:
		return fmt.Sprintf("the queue can't write: %v", err)
	}
}

// isNoSpace reports whether err says that disk, quota or file-size limit have no room.
func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// lastRoom is what is kept for progress, refusals and drops when there is no space for another segment, so that room can
// always be made.
const lastRoom = 1 << 20

// spaceFor answers whether a group of size bytes may hold an append. When the next segment can't be made, only so much is taken
// that the rest still fits.
func (q *committer) spaceFor(size int64) error {
	cause := q.prepareErr.Load()
	if cause == nil {
		return nil
	}
	log := q.store.log
	if log.Room()-journal.GroupSize(size) >= min(lastRoom, log.Active().Size()/8) {
		return nil
	}
	err := fmt.Errorf("%w: the next segment can't be made: %w", queue.ErrUnavailable, *cause)
	q.setProblem(q.describe(err))
	q.vouches.Store(false)
	return err
}

// recoverFromFault tries to get out of a failure when its back-off is over.
func (q *committer) recoverFromFault() {
	if !q.faults.due() {
		return
	}
	if q.faults.replaced {
		if err := q.reopen(); err != nil {
			q.faults.failed(err)
			q.setProblem(q.describe(err))
			return
		}
		q.faults.succeeded()
	}
	q.probe()
}

// probe writes a group of no use, to know whether it can be written again.
func (q *committer) probe() {
	q.faults.until = time.Time{}
	t := q.newTxn()
	t.flush()
	if len(t.records) == 0 {
		t.put(dropRecord(0), nil)
	}
	if err := q.write(t); err != nil {
		t.discard()
		_ = q.failed(err)
	}
}

// checkFolder finds out whether the folder is still the one that is open.
func (q *committer) checkFolder() {
	if q.faults.replaced {
		return
	}
	if err := q.samePaths(); errors.Is(err, journal.ErrReplaced) {
		_ = q.failed(err)
	}
}

func (q *committer) samePaths() error {
	if err := q.store.log.CheckPaths(); err != nil {
		return err
	}
	return q.lock.isAtPath(q.opts.FS)
}

// noteReadError says, once for all that go wrong alike, that reading fails, and that it works again (nil).
func (q *engine) noteReadError(err error) {
	before := q.readErr.Load()
	switch {
	case err == nil && before != nil:
		q.readErr.Store(nil)
		q.opts.Log.Info("the queue can be read again", "event", "queue_recovered")
	case err != nil && (before == nil || (*before).Error() != err.Error()):
		q.readErr.Store(&err)
		q.opts.Log.Error("the queue can't be read; trying again, nothing is changed or lost", "event", "queue_unavailable", "error", err)
	}
}
