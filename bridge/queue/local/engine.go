package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuemetrics"
)

// engine is the queue in a folder. One goroutine, the committer (run), makes all changes; what it owns is marked. All others
// hand it requests and wait, or read.
type engine struct {
	opts Options

	requests requestQueue
	buffers  buffers
	places   places
	tail     tail
	tenures  tenures
	wake     chan struct{}
	stop     chan struct{} // closed to make everything finish
	stopped  chan struct{} // closed by the committer at its end
	closing  sync.Once
	closeErr error          // why the last progress could not be synced; set before stopped is closed
	helpers  sync.WaitGroup // the filer, the sealer and the verifier

	mu    sync.RWMutex // held for reading by whoever reads store, for writing by the committer when it changes it
	store *store       // the pointer changes when the folder is opened again
	lock  *folderLock

	generation atomic.Uint64
	vouches    atomic.Bool // generation counts: appends can be made durable
	commits    atomic.Uint64
	rounds     atomic.Uint64 // of the committer's loop, for Ping
	prepareErr atomic.Pointer[error]
	readErr    atomic.Pointer[error]

	statusMu   sync.Mutex
	status     queue.Status // but for the outputs
	metrics    *queuemetrics.Metrics
	duplicates duplicates
	oldest     *oldest
	sealing    chan struct{} // one token: a segment waits for its sidecar
	sidecars   chan sidecarOf
}

// errClosed is what every request gets after Close.
var errClosed = fmt.Errorf("%w: it is closed", queue.ErrUnavailable)

// Open opens the queue in a folder, or makes it. Errors: queue.ErrLocked when another
// process has the folder, ErrMoved, a *journal.VersionError for a folder of another version, or what the system says about the folder when
// it can't be read. What is damaged is no error: the queue goes on with what can be read, and Losses says what can't.
func Open(ctx context.Context, opts Options) (queue.Queue, error) {
	q, err := open(ctx, opts, false)
	if err != nil {
		return nil, err
	}
	return q, nil
}

// open opens a folder; moved: also one that is marked as moved.
func open(ctx context.Context, opts Options, moved bool) (*engine, error) {
	opts.setDefaults()
	opts.takeMoved = moved
	q := newEngine(opts)
	if err := q.takeFolder(); err != nil {
		return nil, err
	}
	s, err := q.recoverPatiently(ctx)
	if err != nil {
		return nil, errors.Join(err, q.lock.Close())
	}
	c := newCommitter(q)
	c.adopt(s)
	go c.run()
	q.helpers.Go(filer{q}.run)
	q.helpers.Go(sealer{q}.run)
	q.helpers.Go(verifier{q}.run)
	q.helpers.Go(q.findOldest)
	return q, nil
}

func newEngine(opts Options) *engine {
	q := &engine{
		opts: opts, wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		sealing: make(chan struct{}, 1), sidecars: make(chan sidecarOf),
	}
	q.generation.Store(uint64(q.opts.Salt())) // nobody takes it for that of another process
	q.opts.prepareFailed = q.prepareFailed
	q.tail.limit = opts.TailBytes
	q.tenures.init()
	q.oldest = newOldest()
	q.metrics = queuemetrics.New(opts.Metrics, q.Status)
	return q
}

// takeFolder makes the folder and locks it.
func (q *engine) takeFolder() error {
	if err := journal.MakeDir(q.opts.FS, q.opts.Directory, 0o700); err != nil {
		return fmt.Errorf("make the queue's folder: %w", err)
	}
	lock, err := lockFolder(q.opts.FS, q.opts.Directory)
	q.lock = lock
	return err
}

// recoverPatiently reads the folder, again and again for a while when reads fail.
func (q *engine) recoverPatiently(ctx context.Context) (*store, error) {
	deadline := time.Now().Add(q.opts.Patience)
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		s, err := recoverStore(&q.opts, q.opts.Directory)
		var version *journal.VersionError
		if err == nil || errors.As(err, &version) || errors.Is(err, ErrMoved) || isNoSpace(err) || time.Now().Add(delay).After(deadline) {
			return s, err
		}
		q.opts.Log.Warn("the queue's folder can't be read; trying again, nothing is changed", "event", "queue_unavailable", "error", err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

// adopt makes s the store. Tenures of another one end.
func (q *committer) adopt(s *store) {
	q.tenures.endOutputs(func() {
		q.mu.Lock()
		q.store = s
		q.mu.Unlock()
		q.places.replace(s.state, nil)
		for name, o := range s.state.Outputs {
			q.places.rewind(name, o.Cursor)
		}
		q.tail.reset(s.state.LastSeq)
		q.oldest.clear()
	})
	q.generation.Add(1)
	q.vouches.Store(true)
	q.publishStatus()
}

// signal wakes the committer.
func (q *engine) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// current returns the store as it is now. What is read of it is read with mu held.
func (q *engine) current() *store {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.store
}

// Generation implements queue.Appender.
func (q *engine) Generation() uint64 {
	if !q.vouches.Load() {
		return 0
	}
	return q.generation.Load()
}

// SetLimits implements queue.Limiter.
func (q *engine) SetLimits(limits queue.Limits) {
	q.opts.limits.set(limits)
	q.signal()
}

func (q *engine) prepareFailed(err error) {
	if err == nil {
		q.prepareErr.Store(nil)
	} else {
		q.prepareErr.Store(&err)
	}
	q.signal()
}

// Close implements queue.Queue.
func (q *engine) Close(ctx context.Context) error {
	q.closing.Do(func() { close(q.stop) })
	select {
	case <-q.stopped:
	case <-ctx.Done():
		return fmt.Errorf("close the queue: %w", ctx.Err())
	}
	q.helpers.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lock == nil {
		return nil
	}
	q.vouches.Store(false)
	err := errors.Join(q.store.close(), q.lock.Close())
	if q.closeErr != nil {
		err = errors.Join(fmt.Errorf("progress could not be synced: %w", q.closeErr), err)
	}
	q.lock = nil
	return err
}

// Ping implements queue.Reporter. An idle committer goes round once a progress interval, so nothing has to be written to know
// that it lives.
func (q *engine) Ping(ctx context.Context) error {
	before := q.rounds.Load()
	tick := time.NewTicker(q.opts.ProgressInterval/10 + time.Millisecond)
	defer tick.Stop()
	for q.rounds.Load() == before {
		select {
		case <-q.stopped:
			return errClosed
		case <-ctx.Done():
			return errors.New("the queue's committer does not go round")
		case <-tick.C:
		}
	}
	return nil
}
