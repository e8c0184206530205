package queue

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/bbolt"
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

// due reports whether something has failed and may be tried again.
func (r *retry) due(now time.Time) bool { return r.cause != nil && !now.Before(r.until) }

func (r *retry) failed(cause error, now time.Time) {
	r.cause = cause
	r.delay = min(max(minRetryDelay, 2*r.delay), maxRetryDelay)
	r.until = now.Add(r.delay)
}

func (r *retry) succeeded() { *r = retry{} }

// failed records a transaction that failed and returns what its requests are told.
//
// A write that found no space changed nothing that counts: bbolt had only written to free pages. After anything else,
// above all a failed sync, what the page cache shows may not be what the disk holds, and a second sync would say "done"
// without writing it. So the database is closed, and before it is used again its file is written anew.
func (q *embedded) failed(err error) error {
	if !outOfSpace(err) {
		q.closeBroken(err)
	}
	q.retry.failed(err, q.opts.Now())
	q.setHealth(health{problem: "the queue can't write: " + err.Error()})
	return fmt.Errorf("%w: commit: %w", ErrUnavailable, err)
}

// outOfSpace reports whether err is that of a write (not of a sync) for which disk, quota or file-size limit had no room.
func outOfSpace(err error) bool {
	var write *os.PathError
	switch {
	case errors.As(err, &write):
		return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
	default: // bbolt keeps only the text of this one
		return strings.HasPrefix(err.Error(), "file resize error")
	}
}

// closeBroken takes the database out of use.
func (q *embedded) closeBroken(cause error) {
	q.dbMu.Lock()
	defer q.dbMu.Unlock()
	db := q.db
	q.db, q.broken = nil, true
	q.suspect.Store(false)
	switch {
	case db == nil:
	case errors.Is(cause, errFault):
		q.abandoned = true // Close could wait for ever for a lock that the panic left behind
	default:
		if err := db.Close(); err != nil {
			q.opts.Log.Warn("closing the broken database", "error", err)
		}
	}
}

// mend tries to get out of a failure when its back-off is over.
func (q *embedded) mend() {
	if q.suspect.Load() {
		err := fmt.Errorf("reading the database: %w", errDamaged)
		q.closeBroken(err)
		q.retry.failed(err, q.opts.Now())
		q.setHealth(health{problem: err.Error()})
	}
	if !q.retry.due(q.opts.Now()) {
		return
	}
	if q.db != nil {
		q.probe()
		return
	}
	if err := q.reopen(); err != nil {
		q.retry.failed(err, q.opts.Now())
		q.setHealth(health{problem: "the queue's database can't be opened again: " + err.Error()})
		return
	}
	q.retry.succeeded()
	q.setHealth(health{ok: true})
}

// reopen opens the database again and writes its file anew.
func (q *embedded) reopen() error {
	if err := dropCache(q.path); err != nil {
		return err
	}
	if q.abandoned {
		if err := q.salvageStore(errFault); err != nil {
			return err
		}
		q.abandoned = false
	}
	if err := q.openStore(); err != nil {
		return err
	}
	if err := q.rewrite(); err != nil {
		q.closeBroken(err)
		return err
	}
	q.broken = false
	return nil
}

// dropCache makes the next read of path come from the disk, as far as the kernel complies.
func dropCache(path string) error {
	f, err := os.Open(path) //nolint:gosec // the queue's own file
	if err != nil {
		return err
	}
	return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
}

// probeSize is what must fit before a queue that had no space calls itself healthy again.
const probeSize = 256 << 10

// probe writes something of no use and deletes it again.
func (q *embedded) probe() {
	key := []byte("probe")
	put := func(t *txn) error {
		t.written = true
		return t.put(t.meta, key, make([]byte, probeSize))
	}
	remove := func(t *txn) error {
		t.written = true
		return t.delete(t.meta, key)
	}
	if q.transact([]*request{{job: put}}, false) == nil {
		_ = q.transact([]*request{{job: remove}}, false) // the next probe overwrites it
	}
}

// rewrite copies what is live into a new file and puts that in place of the old one: to shrink it, or to be sure that all
// of it is on the disk.
func (q *embedded) rewrite() error {
	temporary := q.path + ".compact"
	if err := q.copyTo(temporary); err != nil {
		return errors.Join(fmt.Errorf("write the queue's database anew: %w", err), removeIfThere(temporary))
	}
	q.dbMu.Lock()
	defer q.dbMu.Unlock()
	err := q.db.Close()
	q.db = nil
	if err := errors.Join(err, replaceFile(temporary, q.path)); err != nil {
		return fmt.Errorf("replace the queue's database: %w", err)
	}
	q.db, err = openDatabase(q.path, q.mmapSize(), q.opts.hooks.openFile)
	return err
}

func (q *embedded) copyTo(path string) (err error) {
	defer recoverDamage(&err)()
	if err := removeIfThere(path); err != nil {
		return err
	}
	to, err := openDatabase(path, 0, q.opts.hooks.openFile)
	if err != nil {
		return err
	}
	to.NoSync = true // one sync at the end: until then nobody relies on the file
	if err := bbolt.Compact(to, q.db, salvageBatch); err != nil {
		return errors.Join(err, to.Close())
	}
	return errors.Join(to.Sync(), to.Close())
}

// When the file is compacted: it is large, mostly free, what is live is copied in a moment, and it is some time since the
// last. A steady load needs room that is free at times; that is no reason to compact again and again.
const (
	compactMinFile  = 256 << 20
	compactMaxLive  = 64 << 20
	compactRatio    = 4
	compactInterval = 10 * time.Minute
)

// compact shrinks the file when that is worth it.
func (q *embedded) compact() {
	now := q.opts.Now()
	if q.db == nil || q.retry.cause != nil || now.Sub(q.compacted) < compactInterval {
		return
	}
	info, err := os.Stat(q.path)
	if err != nil || info.Size() < max(1, compactMinFile-q.opts.hooks.compactSooner) {
		return
	}
	stats := q.db.Stats()
	live := info.Size() - int64(stats.FreePageN+stats.PendingPageN)*int64(q.db.Info().PageSize)
	if live > compactMaxLive || live*compactRatio > info.Size() {
		return
	}
	started := time.Now()
	q.compacted = now
	if err := q.rewrite(); err != nil {
		q.opts.Log.Error("compacting the queue's database failed", "error", err)
		if q.db == nil {
			_ = q.failed(err)
		}
		return
	}
	q.compactions.Add(1)
	q.opts.Log.Info("compacted the queue's database", "bytes_before", info.Size(), "took", time.Since(started))
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
		q.opts.Log.Info("the queue can write again", "event", "queue_recovered")
		return
	}
	q.opts.Log.Error("the queue can't write; webhooks are answered 503 until it can", "event", "queue_unavailable", "error", h.problem)
}
