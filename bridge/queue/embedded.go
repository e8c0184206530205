package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// embedded is the queue on bbolt. One goroutine, the committer (run), makes all changes; what it owns is marked. All
// others hand it requests and wait, or read.
type embedded struct {
	opts Options
	lock *os.File
	keys hasher
	path string

	dbMu sync.RWMutex // held for reading by every read transaction, for writing while db is replaced
	db   *bbolt.DB    // nil while it is being reopened

	intake  intake
	buffers buffers
	wake    chan struct{}
	stop    chan struct{} // closed to make the committer finish
	stopped chan struct{} // closed by the committer at its end
	closing sync.Once

	// The committer's own.
	counts      counts
	head        uint64 // the oldest live sequence, lastSeq+1 when there is none
	unpruned    int    // appended since it was last looked for deliveries to forget
	pace        pace
	memory      *memory
	quarantined map[uint64]uint64    // hash of a held body to its item
	horizons    map[string]time.Time // by endpoint: the newest timestamp that was evicted
	scratch     scratch
	retry       retry
	broken      bool // db was closed after a failed write or sync: its file is written anew before it is used
	abandoned   bool // bbolt panicked while it held its locks: the file is left to it
	news        news
	compacted   time.Time // when that was tried last
	warned      int       // levels of fillLevels that were warned of

	tail    tail
	outputs outputs

	statusMu   sync.Mutex
	bridgeID   string
	committed  counts // as of the last commit
	firstSeq   uint64
	oldestSeen time.Time
	health     health

	metrics     *metrics
	evicted     atomic.Uint64
	damaged     atomic.Uint64
	commits     atomic.Uint64
	salvages    atomic.Uint64
	compactions atomic.Uint64
	duplicates  duplicates
	suspect     atomic.Bool   // a reader met a fault: the database must be checked
	rounds      atomic.Uint64 // of the committer's loop, for Ping

	limit, quarantineLimit atomic.Int64 // MaxBytes and QuarantineMaxBytes, changed by SetLimits
}

// health says whether appends can be made durable.
type health struct {
	ok      bool
	problem string
}

// errClosed is what every request gets after Close.
var errClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)

// signal wakes the committer.
func (q *embedded) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// view runs fn in a read transaction, which fn must keep short: what it wants to keep it copies.
func (q *embedded) view(fn func(*bbolt.Tx) error) (err error) {
	q.dbMu.RLock()
	defer q.dbMu.RUnlock()
	if q.db == nil {
		return fmt.Errorf("%w: it is being reopened", ErrUnavailable)
	}
	err = viewSafely(q.db, fn)
	if errors.Is(err, errFault) {
		q.suspect.Store(true)
		q.signal()
	}
	return err
}

func viewSafely(db *bbolt.DB, fn func(*bbolt.Tx) error) (err error) {
	defer recoverDamage(&err)()
	return db.View(fn)
}

// id returns the queue's identity.
func (q *embedded) id() string {
	q.statusMu.Lock()
	defer q.statusMu.Unlock()
	return q.bridgeID
}

// Close implements Queue.
func (q *embedded) Close(ctx context.Context) error {
	q.closing.Do(func() { close(q.stop) })
	select {
	case <-q.stopped:
	case <-ctx.Done():
		return fmt.Errorf("close the queue: %w", ctx.Err())
	}
	return q.closeAll(ctx)
}

func (q *embedded) closeAll(ctx context.Context) error {
	q.closing.Do(func() { close(q.stop) })
	select {
	case <-q.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	q.dbMu.Lock()
	defer q.dbMu.Unlock()
	if q.lock == nil {
		return nil
	}
	var errs []error
	if q.db != nil {
		errs = append(errs, q.db.Close())
		q.db = nil
	}
	errs = append(errs, unlockFolder(q.lock))
	q.lock = nil
	return errors.Join(errs...)
}
