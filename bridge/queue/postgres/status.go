package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// refresh reads what Status tells and no append learns by itself.
func (q *Queue) refresh(ctx context.Context) error {
	var fresh facts
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		fresh, err = q.readFacts(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state of the shared queue: %w", unavailable(err))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	k := &q.known
	fresh.lastSeq, fresh.answered, fresh.refused = max(fresh.lastSeq, k.lastSeq), k.answered, k.refused
	fresh.status.Commits = k.status.Commits
	for name, o := range fresh.outputs {
		if old := k.outputs[name]; old != nil {
			old.update(o)
			o.epoch, o.Cursor, o.Owner, o.QuarantineFull = old.epoch, old.Cursor, old.Owner, old.QuarantineFull
		}
		q.noteCursor(o)
	}
	if k.bridgeID != "" {
		fresh.bridgeID = k.bridgeID // a change of it is the committer's to see
	}
	*k = fresh
	return nil
}

func (q *Queue) readFacts(ctx context.Context, tx pgx.Tx) (facts, error) {
	f := facts{outputs: map[string]*outputFacts{}}
	s := &f.status
	var at, oldest int64
	var forgotten, pruned, done uint64
	b := &pgx.Batch{}
	b.Queue(q.db.sql(`SELECT bridge_id, last_seq, forgotten, evicted, pruned_seq, (extract(epoch FROM clock_timestamp()) * 1e9)::bigint,
		coalesce((SELECT min(cursor) FROM SCHEMA.output), 0),
		total - coalesce((SELECT total FROM SCHEMA.event WHERE seq <= coalesce((SELECT min(cursor) FROM SCHEMA.output), 0) ORDER BY seq DESC LIMIT 1), pruned_total),
		coalesce((SELECT received_at FROM SCHEMA.seen WHERE seq > forgotten ORDER BY seq LIMIT 1), 0) FROM SCHEMA.meta`)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&f.bridgeID, &f.lastSeq, &forgotten, &s.Evicted, &pruned, &at, &done, &f.used, &oldest)
	})
	b.Queue(q.db.sql(`SELECT o.name, o.cursor, o.drop_oldest, o.dropped, o.owner_bridge, o.epoch,
		coalesce((SELECT received_at FROM SCHEMA.event e WHERE e.seq > o.cursor ORDER BY e.seq LIMIT 1), 0),
		coalesce((SELECT sum(size) FROM SCHEMA.quarantine i WHERE i.output = o.name), 0)::bigint FROM SCHEMA.output o`)).Query(func(rows pgx.Rows) error {
		return scanOutputFacts(rows, f.outputs)
	})
	b.Queue(q.db.sql(`SELECT count(*), coalesce(sum(size), 0)::bigint FROM SCHEMA.quarantine`)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.DeadLetters, &s.QuarantineBytes)
	})
	b.Queue(q.db.sql(`SELECT count(*), coalesce(sum(last - first + 1) FILTER (WHERE first > 0), 0)::bigint, coalesce(bool_or(first = 0), false)
		FROM SCHEMA.loss WHERE acknowledged_by IS NULL`)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.Losses, &s.LostEvents, &s.LostUnknown)
	})
	b.Queue(q.db.sql(`SELECT instance, name, host, version, config, seen_at FROM SCHEMA.bridge ORDER BY name, instance`)).Query(func(rows pgx.Rows) error {
		return q.scanBridges(rows, s, at)
	})
	b.Queue(q.db.sql(`SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c WHERE c.relnamespace = to_regnamespace($1)::oid AND c.relkind = 'r'`),
		q.db.schema).QueryRow(func(row pgx.Row) error { return row.Scan(&s.DiskBytes) })
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return facts{}, err
	}
	f.asOf = q.now(at)
	s.Remembered = int(f.lastSeq - forgotten) //nolint:gosec // a count
	s.FirstSeq = max(done, pruned) + 1
	if oldest != 0 {
		s.WindowCovered = max(0, f.asOf.Sub(timeOf(oldest)))
	}
	return f, nil
}

func scanOutputFacts(rows pgx.Rows, outputs map[string]*outputFacts) error {
	for rows.Next() {
		o := &outputFacts{}
		var oldest int64
		if err := rows.Scan(&o.Name, &o.Cursor, &o.dropOldest, &o.Dropped, &o.Owner, &o.epoch, &oldest, &o.QuarantineBytes); err != nil {
			return err
		}
		o.Oldest = timeOf(oldest)
		outputs[o.Name] = o
	}
	return rows.Err()
}

// staleBridge is after how long without a sign of life a bridge no longer counts as running.
const staleBridge = time.Minute

func (q *Queue) scanBridges(rows pgx.Rows, s *queue.Status, at int64) error {
	for rows.Next() {
		var b queue.BridgeStatus
		var instance string
		var seen int64
		if err := rows.Scan(&instance, &b.Name, &b.Host, &b.Version, &b.ConfigHash, &seen); err != nil {
			return err
		}
		b.SeenAt = timeOf(seen)
		b.Running = timeOf(at).Sub(b.SeenAt) < max(staleBridge, 2*q.o.Takeover)
		b.This = instance == q.instance
		s.Bridges = append(s.Bridges, b)
	}
	return rows.Err()
}

// Status implements queue.Reporter.
func (q *Queue) Status() queue.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := &q.known
	s := k.status
	s.AsOf, s.BridgeID, s.LastSeq, s.Bytes = k.asOf, k.bridgeID, k.lastSeq, k.used
	s.Healthy = q.problem == nil && !q.closed
	s.MaxBytes, s.QuarantineMaxBytes, s.Capacity = q.limits.MaxBytes, q.limits.QuarantineMaxBytes, q.o.Capacity
	done := k.lastSeq
	for name, o := range k.outputs {
		one := o.OutputStatus
		if l := q.leases["output/"+name]; l != nil {
			one.Cursor = max(one.Cursor, l.cursor.Load())
		}
		done = min(done, one.Cursor)
		one.Queued = k.lastSeq - min(k.lastSeq, one.Cursor)
		if at, ok := q.held.receivedAt(one.Cursor + 1); ok {
			one.Oldest = at
		}
		if one.Queued == 0 {
			one.Oldest = time.Time{}
		}
		s.Outputs = append(s.Outputs, one)
	}
	if len(k.outputs) == 0 {
		done = s.FirstSeq - 1
	}
	slices.SortFunc(s.Outputs, func(a, b queue.OutputStatus) int { return cmp.Compare(a.Name, b.Name) })
	s.FirstSeq = max(s.FirstSeq, done+1)
	s.Events = k.lastSeq - min(k.lastSeq, done)
	if s.Events == 0 {
		s.Bytes = 0
	}
	s.Full = k.refused > 0 && s.Bytes+k.refused > s.MaxBytes
	switch {
	case q.closed:
		s.Problem = "it is closed"
	case q.problem != nil:
		s.Problem = plain(q.problem).Error()
	case s.Full:
		s.Problem = "max_bytes is used up"
	}
	return s
}

// Ping implements queue.Reporter. A committer whose database is away gives a transaction up after attemptTime and goes on.
func (q *Queue) Ping(ctx context.Context) error {
	asked := time.Now().UnixNano()
	for q.turn.Load() < asked {
		q.nudge()
		select {
		case <-ctx.Done():
			return fmt.Errorf("the committer of the shared queue makes no progress: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}
