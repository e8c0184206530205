package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// errFenced is why a lease ends when its row names another owner.
var errFenced = errors.New("another bridge has taken over")

// errSilent is why a lease ends when the database has not answered for too long.
var errSilent = errors.New("the database has not answered in time, so that another bridge may have taken over")

// lease is the ownership of an output or a role, as queue.Lease.
type lease struct {
	q     *Queue
	table string // output or role
	name  string
	epoch int64

	deadline atomic.Int64 // by bootTime: from then on it counts as lost
	over     atomic.Bool
	lost     chan struct{}
	cursor   atomic.Uint64 // of an output: what it is done with
	newest   atomic.Uint64 // of an output: the newest sequence that this tenure has been shown
}

// bootTime is a clock that nobody sets and that goes on while the host sleeps.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("CLOCK_BOOTTIME: %v", err)) // every Linux has it
	}
	return time.Duration(ts.Nano())
}

// margin is how long before others may take over the owner counts itself out.
func (q *Queue) margin() time.Duration { return min(200*time.Millisecond, q.o.Takeover/5) }

func (l *lease) key() string { return l.table + "/" + l.name }

// renewed counts from the moment before the database was asked.
func (l *lease) renewed(asked time.Duration) {
	l.deadline.Store(int64(asked + l.q.o.Takeover - l.q.margin()))
}

// moved takes over the cursor that the database has.
func (l *lease) moved(cursor uint64) { raise(&l.cursor, cursor) }

// raise sets v to n unless it is higher.
func raise(v *atomic.Uint64, n uint64) {
	for {
		old := v.Load()
		if n <= old || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// Valid implements queue.Lease.
func (l *lease) Valid() bool { return !l.over.Load() && int64(bootTime()) < l.deadline.Load() }

// Lost implements queue.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// end ends the lease without giving it up. why nil: the queue is closed.
func (l *lease) end(why error) {
	if !l.over.CompareAndSwap(false, true) {
		return
	}
	close(l.lost)
	q := l.q
	q.mu.Lock()
	if q.leases[l.key()] == l && !q.closed {
		delete(q.leases, l.key())
		delete(q.pending, l.name)
		delete(q.tails, l.name)
	}
	q.notifyAll()
	q.mu.Unlock()
	if why != nil {
		q.metrics.fenced.Inc()
		q.log.Warn("this bridge no longer owns an output or a role", "event", "output_lost", l.table, l.name, "error", why)
	}
}

// Release implements queue.Lease. The row is given up in the background, behind the progress that is due.
func (l *lease) Release() {
	if !l.over.CompareAndSwap(false, true) {
		return
	}
	q := l.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.wg.Go(func() { l.giveUp() })
}

func (l *lease) giveUp() {
	q := l.q
	q.flushLease(l)
	err := q.db.retry(q.ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, q.db.sql("UPDATE SCHEMA."+l.table+" SET owner = NULL, owner_bridge = '' WHERE name = $1 AND owner = $2 AND epoch = $3"),
			l.name, q.instance, l.epoch)
		return err
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.leases[l.key()] == l {
		delete(q.leases, l.key())
		delete(q.pending, l.name)
		delete(q.tails, l.name)
	}
	if o := q.known.outputs[l.name]; o != nil && l.table == "output" && err == nil && o.epoch == l.epoch {
		o.Owner = ""
	}
	q.notifyAll()
}

// flushLease waits until the committer has written what a tenure has said.
func (q *Queue) flushLease(l *lease) {
	for l.table == "output" {
		q.mu.Lock()
		left, changed := len(q.pending[l.name])+len(q.flushing[l.name]), q.changed
		current := q.leases[l.key()] == l
		q.mu.Unlock()
		if left == 0 || !current {
			return
		}
		q.flushNow()
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		case <-q.ctx.Done():
			return
		}
	}
}

// flushAll writes the progress of all tenures that was made before the call. Workers make more meanwhile, so it ends after a few rounds.
func (q *Queue) flushAll(ctx context.Context) {
	for range 5 {
		q.mu.Lock()
		left, changed := len(q.pending)+len(q.flushing), q.changed
		q.mu.Unlock()
		if left == 0 || ctx.Err() != nil {
			return
		}
		q.flushNow()
		select { // where the committer was at it
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// flushNow has the committer write progress without waiting for its tick.
func (q *Queue) flushNow() {
	progress := q.takeProgress()
	if len(progress) == 0 {
		return
	}
	c := &commit{q: q, progress: progress, began: time.Now()}
	err := q.db.transact(q.ctx, func(ctx context.Context, tx pgx.Tx) error {
		b := &pgx.Batch{}
		for _, f := range progress {
			f.queue(q, b)
		}
		return tx.SendBatch(ctx, b).Close()
	})
	q.endProgress(c, err == nil)
	q.mu.Lock()
	q.notifyAll()
	q.mu.Unlock()
}

// leaseLoop gives a sign of life for all that this bridge owns, three times in takeover, and ends what it can't be sure of any more.
func (q *Queue) leaseLoop() {
	tick := time.NewTicker(q.o.Takeover / 3)
	check := time.NewTicker(q.margin() / 2)
	defer tick.Stop()
	defer check.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-check.C:
			for _, l := range q.owned() {
				if !l.over.Load() && !l.Valid() {
					l.end(errSilent)
				}
			}
		case <-tick.C:
			q.wg.Go(q.renewAll) // an answer that is late must not keep the deadlines from being looked at
		}
	}
}

func (q *Queue) owned() []*lease {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*lease, 0, len(q.leases))
	for _, l := range q.leases {
		all = append(all, l)
	}
	return all
}

// renewAll gives one sign of life for every lease.
func (q *Queue) renewAll() {
	ctx, cancel := context.WithTimeout(q.ctx, q.o.Takeover)
	defer cancel()
	leases := q.owned()
	asked, found := bootTime(), map[string]int64{}
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		clear(found)
		for _, table := range []string{"output", "role"} {
			if !slices.ContainsFunc(leases, func(l *lease) bool { return l.table == table }) {
				continue
			}
			rows, err := tx.Query(ctx, q.db.sql(`WITH mine AS (SELECT name FROM SCHEMA.`+table+` WHERE owner = $1 ORDER BY name FOR UPDATE)
				UPDATE SCHEMA.`+table+` t SET beat = beat + 1 FROM mine WHERE t.name = mine.name RETURNING t.name, t.epoch`), q.instance)
			if err != nil {
				return err
			}
			var name string
			var epoch int64
			if _, err := pgx.ForEachRow(rows, []any{&name, &epoch}, func() error { found[table+"/"+name] = epoch; return nil }); err != nil {
				return err
			}
		}
		return q.enter(ctx, tx)
	})
	if err != nil {
		return // the deadlines go on
	}
	for _, l := range leases {
		switch epoch, ok := found[l.key()]; {
		case ok && epoch == l.epoch:
			l.renewed(asked)
		case !l.over.Load():
			l.end(errFenced)
		}
	}
}

// standing is what a contender has seen of a row.
type standing struct {
	owner *string
	epoch int64
	beat  int64
}

func (s standing) same(other standing) bool {
	return s.epoch == other.epoch && s.beat == other.beat && (s.owner == nil) == (other.owner == nil) && (s.owner == nil || *s.owner == *other.owner)
}

// acquire waits until this bridge owns a row. look reads it; an error of look's ends the wait.
func (q *Queue) acquire(ctx context.Context, table, name string, look func(context.Context, pgx.Tx) (standing, error)) (*lease, error) {
	var seen standing
	since := bootTime()
	for first := true; ; first = false {
		q.mu.Lock()
		busy, closed, changed := q.leases[table+"/"+name] != nil, q.closed, q.changed
		q.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		if !busy || first {
			l, now, err := q.tryAcquire(ctx, table, name, look, seen, !busy, !first && bootTime()-since >= q.o.Takeover)
			if l != nil || err != nil && !passing(err) {
				return l, plain(err)
			}
			if err == nil && (first || !now.same(seen)) {
				seen, since = now, bootTime()
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.ctx.Done():
			return nil, errClosed
		case <-changed:
		case <-time.After(pollEvery):
		}
	}
}

// tryAcquire takes a row that nobody owns, that is this process's own from before, or, when stale, that has shown no life since seen.
func (q *Queue) tryAcquire(ctx context.Context, table, name string, look func(context.Context, pgx.Tx) (standing, error), seen standing, may, stale bool) (*lease, standing, error) {
	var now standing
	var taken bool
	asked := bootTime()
	l := &lease{q: q, table: table, name: name, lost: make(chan struct{})}
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		taken = false
		if now, err = look(ctx, tx); err != nil {
			return err
		}
		free := now.owner == nil || *now.owner == q.instance || stale && now.same(seen)
		if !may || !free {
			return nil
		}
		asked = bootTime()
		row := tx.QueryRow(ctx, q.db.sql(`UPDATE SCHEMA.`+table+` SET owner = $2, owner_bridge = $3, epoch = epoch + 1, beat = 0
			WHERE name = $1 AND owner IS NOT DISTINCT FROM $4 AND epoch = $5 AND beat = $6 RETURNING epoch`),
			name, q.instance, q.o.Bridge, now.owner, now.epoch, now.beat)
		err = row.Scan(&l.epoch)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // somebody was faster
		}
		taken = err == nil
		return err
	})
	if err != nil || !taken {
		return nil, now, err
	}
	l.renewed(asked)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, now, errClosed
	}
	if q.leases[l.key()] != nil { // another Claim of this process was faster; the row is that one's no more
		return nil, now, nil
	}
	q.leases[l.key()] = l
	delete(q.tails, name)
	if table == "output" && now.owner != nil && *now.owner != q.instance {
		q.metrics.takeovers.Inc()
	}
	return l, now, nil
}

// Hold implements queue.Roles.
func (q *Queue) Hold(ctx context.Context, role string) (queue.Lease, error) {
	l, err := q.acquire(ctx, "role", role, func(ctx context.Context, tx pgx.Tx) (s standing, err error) {
		if _, err := tx.Exec(ctx, q.db.sql("INSERT INTO SCHEMA.role (name) VALUES ($1) ON CONFLICT DO NOTHING"), role); err != nil {
			return s, err
		}
		err = tx.QueryRow(ctx, q.db.sql("SELECT owner, epoch, beat FROM SCHEMA.role WHERE name = $1"), role).Scan(&s.owner, &s.epoch, &s.beat)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("hold the role %s: %w", role, err)
	}
	return l, nil
}
