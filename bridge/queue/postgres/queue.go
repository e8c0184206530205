package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Queue is one bridge's hold of the shared queue.
type Queue struct {
	o        Options
	db       *database
	log      *slog.Logger
	instance string // random for each Open: the owner in the tables
	metrics  *metrics

	ctx    context.Context // ends with Close; for what goes on in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // something waits for the committer
	turn   atomic.Int64  // when the committer last showed that it goes on, Unix nanoseconds

	mu         sync.Mutex
	closed     bool
	limits     queue.Limits
	generation uint64
	problem    error // of the last transaction; nil: it worked
	probing    bool  // the committer is to look at the database also when nothing waits
	known      facts
	waiting    []*request
	bytes      int64 // of the bodies that wait
	leases     map[string]*lease
	pending    map[string][]queue.Progress // by output, not written yet
	flushing   map[string][]queue.Progress // being written
	tails      map[string]tail             // the last outcome that this bridge has written, by output
	duplicates map[uint64]int              // by sequence, answered since the start
	held       held
	changed    chan struct{} // closed when something has changed
}

// facts are what the last transactions have shown. Status is made of them.
type facts struct {
	asOf     time.Time
	bridgeID string
	lastSeq  uint64 // the newest that anybody has seen
	answered uint64 // the newest that a commit of this bridge has made sure of
	used     int64  // bytes of the events that some output needs
	refused  int64  // the size of the event that found no room last; 0: there has been room since

	status  queue.Status // what only a refresh tells
	outputs map[string]*outputFacts
}

type outputFacts struct {
	queue.OutputStatus
	dropOldest bool
	epoch      int64 // of the owner that the cursor belongs to
}

// update takes over what was read of the output, unless it is older than what is known: answers of the database can arrive in another order
// than it gave them. An epoch begins with each owner and each replay, which moves the cursor back; within one it only moves on.
func (o *outputFacts) update(read *outputFacts) {
	if read.epoch < o.epoch {
		return
	}
	if read.epoch > o.epoch {
		o.Cursor = 0
	}
	o.epoch, o.Cursor, o.Owner = read.epoch, max(o.Cursor, read.Cursor), read.Owner
}

// noteCursor tells the tenure of the output what was read of its cursor. The caller holds mu.
func (q *Queue) noteCursor(read *outputFacts) {
	if l := q.leases["output/"+read.Name]; l != nil && l.epoch == read.epoch {
		l.moved(read.Cursor)
	}
}

// Open opens the queue of a schema that Init has made.
func Open(ctx context.Context, o Options) (*Queue, error) {
	o.setDefaults()
	db, err := newDatabase(ctx, &o)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		o: o, db: db, log: o.Log, instance: randomID(), limits: o.Limits, generation: 1, wake: make(chan struct{}, 1),
		leases: map[string]*lease{}, pending: map[string][]queue.Progress{}, flushing: map[string][]queue.Progress{}, tails: map[string]tail{},
		duplicates: map[uint64]int{}, changed: make(chan struct{}), known: facts{outputs: map[string]*outputFacts{}},
	}
	q.held.limit = heldBytes
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.metrics = newMetrics(q.o.Metrics, q)
	if err := q.begin(ctx); err != nil {
		q.cancel()
		db.close()
		return nil, fmt.Errorf("open the shared queue: %w", err)
	}
	for _, run := range []func(){q.commitLoop, q.watchLoop, q.leaseLoop, q.keepLoop} {
		q.wg.Go(run)
	}
	return q, nil
}

var _ queue.Queue = (*Queue)(nil)

// begin looks at the server and enters this bridge.
func (q *Queue) begin(ctx context.Context) error {
	warnings, err := inspect(ctx, q.db.pool, q.db.schema, q.o.Schema, q.o.ReplicatedBy)
	if errors.Is(err, errNotReplicated) { // nothing is acknowledged, but what is there can be delivered
		q.failed(err)
		warnings, err = inspect(ctx, q.db.pool, q.db.schema, q.o.Schema, ByStorage)
	}
	if err != nil {
		return err
	}
	for _, w := range warnings {
		q.log.Warn("the shared queue is less safe than it could be", "problem", w)
	}
	var generation [4]byte
	_, _ = rand.Read(generation[:])
	q.generation = uint64(generation[0])<<40 | uint64(generation[1])<<32 | uint64(generation[2])<<24 | uint64(generation[3])<<16 | 1
	if err := q.db.retry(ctx, q.enterFirst); err != nil {
		return err
	}
	return q.refresh(ctx)
}

// enterFirst enters this bridge unless a move is under way, which looks for bridges behind the same lock.
func (q *Queue) enterFirst(ctx context.Context, tx pgx.Tx) error {
	var state string
	if err := tx.QueryRow(ctx, q.db.sql("SELECT state FROM SCHEMA.meta FOR SHARE")).Scan(&state); err != nil {
		return err
	}
	if state != stateReady {
		return refusal{&stateError{q.o.Schema}}
	}
	return q.enter(ctx, tx)
}

// enter notes that this bridge runs. Another process of the same name that has shown no life since is over.
func (q *Queue) enter(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, q.db.sql(`INSERT INTO SCHEMA.bridge (instance, name, host, version, config, seen_at)
		VALUES ($1, $2, $3, $4, $5, (extract(epoch FROM clock_timestamp()) * 1e9)::bigint)
		ON CONFLICT (instance) DO UPDATE SET seen_at = excluded.seen_at, config = excluded.config`),
		q.instance, q.o.Bridge, q.o.Host, q.o.Version, q.o.ConfigHash)
	return err
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// Close implements queue.Queue. While the database is away it gives up soon: other bridges take over after takeover, and send again what
// this one could not say was delivered.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	leases := make([]*lease, 0, len(q.leases))
	for _, l := range q.leases {
		leases = append(leases, l)
	}
	q.mu.Unlock()
	for _, l := range leases {
		l.end(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	err := q.drain(ctx)
	if err == nil {
		err = q.db.retry(ctx, q.leave)
	}
	q.stop()
	if err != nil {
		return fmt.Errorf("close the shared queue: %w", err)
	}
	return nil
}

// drain waits until the committer has answered what waits and has written all progress.
func (q *Queue) drain(ctx context.Context) error {
	for {
		q.mu.Lock()
		left, problem, changed := len(q.waiting)+len(q.pending)+len(q.flushing), q.problem, q.changed
		q.mu.Unlock()
		if left == 0 {
			return nil
		}
		q.nudge()
		select {
		case <-changed:
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), plain(problem))
		}
	}
}

// leave gives up all that this bridge owns, and says that it has ended.
func (q *Queue) leave(ctx context.Context, tx pgx.Tx) error {
	for _, statement := range []string{
		"UPDATE SCHEMA.output SET owner = NULL, owner_bridge = '' WHERE owner = $1",
		"UPDATE SCHEMA.role SET owner = NULL, owner_bridge = '' WHERE owner = $1",
		"DELETE FROM SCHEMA.bridge WHERE instance = $1",
	} {
		if _, err := tx.Exec(ctx, q.db.sql(statement), q.instance); err != nil {
			return err
		}
	}
	return nil
}

// stop ends everything that runs in the background.
func (q *Queue) stop() {
	q.cancel()
	q.mu.Lock()
	q.closed = true
	for _, r := range q.waiting {
		r.answer(queue.Receipt{}, errClosed)
	}
	q.waiting = nil
	leases := q.leases
	q.leases = map[string]*lease{}
	q.mu.Unlock()
	for _, l := range leases {
		l.end(nil)
	}
	q.wg.Wait()
	q.db.close()
}

var errClosed = fmt.Errorf("%w: it is closed", queue.ErrUnavailable)

// nudge wakes the committer.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// notifyAll wakes everybody who waits for something to change. The caller holds mu.
func (q *Queue) notifyAll() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Generation implements queue.Appender.
func (q *Queue) Generation() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.problem != nil {
		return 0
	}
	return q.generation
}

// failed notes that the database can't be used.
func (q *Queue) failed(err error) {
	q.metrics.retried(err)
	q.mu.Lock()
	first := q.problem == nil && !q.closed
	q.problem = err
	q.notifyAll()
	q.mu.Unlock()
	if first {
		event := "queue_unavailable"
		if errors.Is(err, errNotReplicated) {
			event = "queue_not_replicated"
		}
		q.log.Error("the shared queue can't be used; trying again, webhooks wait and then get 503", "event", event, "error", plain(err))
	}
}

// succeeded notes that a transaction was committed. After a failure what was answered before counts no more.
func (q *Queue) succeeded() {
	q.mu.Lock()
	again := q.problem != nil
	if again {
		q.problem = nil
		q.generation++
		q.notifyAll()
	}
	q.mu.Unlock()
	if again {
		q.log.Info("the shared queue can be used again", "event", "queue_recovered")
	}
}

// SetLimits implements queue.Limiter.
func (q *Queue) SetLimits(limits queue.Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for value, limit := range map[*int64]int64{
		&q.limits.MaxBytes: limits.MaxBytes, &q.limits.QuarantineMaxBytes: limits.QuarantineMaxBytes, &q.limits.MaxEventBytes: limits.MaxEventBytes,
	} {
		if limit > 0 {
			*value = limit
		}
	}
	if limits.Keep > 0 {
		q.limits.Keep = limits.Keep
	}
}

func (q *Queue) allowances() queue.Limits {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limits
}

// now is the clock for ages: the database's unless a test has brought one. at is what the database said.
func (q *Queue) now(at int64) time.Time {
	if q.o.Now != nil {
		return q.o.Now()
	}
	return timeOf(at)
}
