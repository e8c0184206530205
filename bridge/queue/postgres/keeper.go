package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// watchLoop polls, for readers that wait for what another bridge has appended.
func (q *Queue) watchLoop() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-q.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(q.ctx, attemptTime)
		if n%10 == 9 {
			_ = q.refresh(ctx) // the committer tells what is wrong
		} else {
			q.watch(ctx)
		}
		cancel()
	}
}

// watch looks for newer sequences and another bridge_id.
func (q *Queue) watch(ctx context.Context) {
	var last uint64
	var bridgeID string
	if q.db.wrap != nil && q.db.wrap(ctx) != nil {
		return
	}
	if err := q.db.pool.QueryRow(ctx, q.db.sql("SELECT last_seq, bridge_id FROM SCHEMA.meta")).Scan(&last, &bridgeID); err != nil {
		if passing(err) && q.ctx.Err() == nil {
			q.failed(err)
			q.nudge()
		}
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if bridgeID != q.known.bridgeID || last < q.known.answered {
		q.probing = true
		q.nudge()
		return
	}
	last = max(last, q.known.answered) // a commit may have been faster than this answer
	more := last > q.known.lastSeq
	q.known.lastSeq = last // it goes back when a server that had shown more is gone
	if more {
		q.notifyAll()
	}
}

// keeperRole is the role of the bridge that deletes.
const keeperRole = "pruning"

// keepLoop has one bridge delete what nobody needs any more.
func (q *Queue) keepLoop() {
	for q.ctx.Err() == nil {
		role, err := q.Hold(q.ctx, keeperRole)
		if err != nil {
			continue
		}
		q.keep(role.Lost())
	}
}

// keepEvery is how often the keeper looks for what can go.
const keepEvery = time.Second

func (q *Queue) keep(lost <-chan struct{}) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-lost:
			return
		case <-tick.C:
		}
		q.endOutputs(q.ctx)
		for more := true; more && q.ctx.Err() == nil; {
			more = q.prune(q.ctx)
		}
	}
}

// endOutputs ends the outputs that no bridge has named for long enough.
func (q *Queue) endOutputs(ctx context.Context) {
	due := false
	var left map[string]uint64
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, q.db.sql("SELECT EXISTS (SELECT FROM SCHEMA.output o WHERE NOT EXISTS (SELECT FROM SCHEMA.declared d WHERE d.output = o.name))")).Scan(&due)
		if err != nil || !due {
			return err
		}
		m, at, err := q.lockMeta(ctx, tx)
		if err != nil {
			return err
		}
		left, err = q.endUnnamed(ctx, tx, m, at)
		return err
	})
	if err != nil {
		return // the next tick tries again
	}
	for name, events := range left {
		q.log.Warn("an output that is no longer in any bridge's configuration was removed", "event", "output_removed", "output", name, "events", events)
	}
}

// pruneRows is how many rows of a table one transaction deletes at the most.
const pruneRows = 500

// prune deletes some of what nobody needs any more and reports whether there is more. What is deleted first is counted last, so that
// the row that every append needs is locked for a moment only.
func (q *Queue) prune(ctx context.Context) (more bool) {
	limits := q.allowances()
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		more = false
		var at int64
		var floor uint64
		if err := tx.QueryRow(ctx, q.db.sql("SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::bigint, forgotten FROM SCHEMA.meta")).Scan(&at, &floor); err != nil {
			return err
		}
		now := q.now(at)
		expired := nanos(now.Add(-q.o.Window))
		events, err := q.pruneEvents(ctx, tx, now.Add(-limits.Keep), limits.MaxBytes)
		if err != nil {
			return err
		}
		more = events
		for _, d := range []struct {
			sql  string
			args []any
		}{
			{"DELETE FROM SCHEMA.seen WHERE seq IN (SELECT seq FROM SCHEMA.seen WHERE seq <= $1 ORDER BY seq LIMIT $2)", []any{floor, pruneRows}},
			{"DELETE FROM SCHEMA.resent WHERE seq IN (SELECT seq FROM SCHEMA.resent ORDER BY seq DESC OFFSET $1 LIMIT $2)", []any{queue.MaxResent, pruneRows}},
			{"DELETE FROM SCHEMA.outcome WHERE id IN (SELECT id FROM (SELECT id, at FROM SCHEMA.outcome ORDER BY id LIMIT $2) o WHERE at < $1)", []any{expired, pruneRows}},
			{"DELETE FROM SCHEMA.bridge WHERE seen_at < $1", []any{at - int64(24*time.Hour)}},
			{`DELETE FROM SCHEMA.bridge b WHERE seen_at < $1 AND EXISTS (SELECT FROM SCHEMA.bridge o WHERE o.name = b.name AND o.seen_at > b.seen_at)`,
				[]any{at - int64(max(staleBridge, 2*q.o.Takeover))}},
		} {
			tag, err := tx.Exec(ctx, q.db.sql(d.sql), d.args...)
			if err != nil {
				return err
			}
			more = more || tag.RowsAffected() == pruneRows
		}
		return nil
	})
	return err == nil && more
}

// pruneEvents deletes events that every output is past and that are old enough, or too many beside those that are needed: from the oldest
// on and without leaving one out, whatever the clock was when each was received, since pruned_seq and pruned_total count on it.
func (q *Queue) pruneEvents(ctx context.Context, tx pgx.Tx, before time.Time, maxBytes int64) (more bool, err error) {
	var through *uint64
	var total *int64
	err = tx.QueryRow(ctx, q.db.sql(`WITH gone AS (DELETE FROM SCHEMA.event WHERE seq IN (
		SELECT seq FROM (SELECT seq, bool_and(received_at <= $1 OR total <= (SELECT total FROM SCHEMA.meta) - $2) OVER (ORDER BY seq) AS due
			FROM (SELECT seq, received_at, total FROM SCHEMA.event WHERE seq <= (SELECT min(cursor) FROM SCHEMA.output) ORDER BY seq LIMIT $3) e) p
		WHERE due) RETURNING seq, total)
		SELECT max(seq), max(total) FROM gone`), nanos(before), maxBytes, pruneRows).Scan(&through, &total)
	if err != nil || through == nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, q.db.sql("UPDATE SCHEMA.meta SET pruned_seq = greatest(pruned_seq, $1), pruned_total = greatest(pruned_total, $2)"), *through, *total)
	return tag.RowsAffected() > 0, err
}
