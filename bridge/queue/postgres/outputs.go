package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// lockMeta takes the lock that every append takes, and returns the row.
func (q *Queue) lockMeta(ctx context.Context, tx pgx.Tx) (m meta, at time.Time, err error) {
	var standbys string
	var nanos int64
	row := tx.QueryRow(ctx, q.db.sql(selectMeta))
	err = row.Scan(&m.bridgeID, &m.lastSeq, &m.total, &m.prunedSeq, &m.prunedTotal, &m.lastItem, &m.floor, &m.evicted, &standbys, &nanos)
	return m, q.now(nanos), err
}

// Declare implements queue.Outputs. An output ends EndDelay after the last bridge that named it has declared a set without it.
func (q *Queue) Declare(ctx context.Context, specs []queue.OutputSpec) (map[string]uint64, error) {
	var left map[string]uint64
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		m, at, err := q.lockMeta(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, q.db.sql("DELETE FROM SCHEMA.declared WHERE bridge = $1"), q.o.Bridge); err != nil {
			return err
		}
		for _, spec := range specs {
			if err := q.declare(ctx, tx, m, spec); err != nil {
				return err
			}
		}
		left, err = q.endUnnamed(ctx, tx, m, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("declare the outputs: %w", err)
	}
	q.endLeasesBut(specs)
	return left, q.refresh(ctx)
}

func (q *Queue) declare(ctx context.Context, tx pgx.Tx, m meta, spec queue.OutputSpec) error {
	cursor := m.lastSeq
	if spec.StartAtOldest {
		cursor = m.prunedSeq
	}
	b := &pgx.Batch{}
	b.Queue(q.db.sql(`INSERT INTO SCHEMA.output (name, cursor, drop_oldest) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET drop_oldest = excluded.drop_oldest, unnamed_at = 0`), spec.Name, cursor, spec.DropOldest)
	b.Queue(q.db.sql("INSERT INTO SCHEMA.declared (bridge, output) VALUES ($1, $2)"), q.o.Bridge, spec.Name)
	return tx.SendBatch(ctx, b).Close()
}

// endUnnamed ends the outputs that no bridge has named for EndDelay, and returns how many events each had left.
func (q *Queue) endUnnamed(ctx context.Context, tx pgx.Tx, m meta, at time.Time) (map[string]uint64, error) {
	_, err := tx.Exec(ctx, q.db.sql(`UPDATE SCHEMA.output SET unnamed_at = $1
		WHERE unnamed_at = 0 AND NOT EXISTS (SELECT FROM SCHEMA.declared d WHERE d.output = output.name)`), nanos(at))
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, q.db.sql("DELETE FROM SCHEMA.output WHERE unnamed_at > 0 AND unnamed_at <= $1 RETURNING name, cursor"),
		nanos(at.Add(-q.o.EndDelay)))
	if err != nil {
		return nil, err
	}
	left := map[string]uint64{}
	var name string
	var cursor uint64
	_, err = pgx.ForEachRow(rows, []any{&name, &cursor}, func() error { left[name] = m.lastSeq - cursor; return nil })
	return left, err
}

// endLeasesBut ends the tenures of outputs that this bridge no longer names, and gives them up.
func (q *Queue) endLeasesBut(specs []queue.OutputSpec) {
	named := map[string]bool{}
	for _, spec := range specs {
		named[spec.Name] = true
	}
	for _, l := range q.owned() {
		if l.table == "output" && !named[l.name] && l.over.CompareAndSwap(false, true) {
			close(l.lost)
			l.giveUp()
		}
	}
}

// Claim implements queue.Outputs.
func (q *Queue) Claim(ctx context.Context, output string) (*queue.Tenure, error) {
	var cursor, last uint64
	var bridgeID string
	l, err := q.acquire(ctx, "output", output, func(ctx context.Context, tx pgx.Tx) (s standing, err error) {
		var owner string
		row := tx.QueryRow(ctx, q.db.sql(`SELECT o.owner, o.owner_bridge, o.epoch, o.beat, o.cursor, m.bridge_id, m.last_seq FROM SCHEMA.output o, SCHEMA.meta m
			WHERE o.name = $1 AND EXISTS (SELECT FROM SCHEMA.declared d WHERE d.bridge = $2 AND d.output = o.name)`), output, q.o.Bridge)
		err = row.Scan(&s.owner, &owner, &s.epoch, &s.beat, &cursor, &bridgeID, &last)
		if errors.Is(err, pgx.ErrNoRows) {
			return s, queue.ErrNotFound
		}
		q.noteOwner(&outputFacts{OutputStatus: queue.OutputStatus{Name: output, Owner: owner, Cursor: cursor}, epoch: s.epoch}, last)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim output %q: %w", output, err)
	}
	l.moved(cursor)
	raise(&l.newest, last)
	q.noteOwner(&outputFacts{OutputStatus: queue.OutputStatus{Name: output, Owner: q.o.Bridge, Cursor: cursor}, epoch: l.epoch}, last)
	q.log.Info("this bridge owns the output", "event", "output_claimed", "output", output)
	return &queue.Tenure{Output: output, BridgeID: bridgeID, Lease: l, Stream: &stream{l}}, nil
}

func (q *Queue) noteOwner(read *outputFacts, last uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.known.lastSeq = max(q.known.lastSeq, last)
	if o := q.known.outputs[read.Name]; o != nil {
		o.update(read)
	}
}

// Wanted implements queue.Outputs.
func (q *Queue) Wanted(ctx context.Context, output string) bool {
	wanted := false
	err := q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		row := tx.QueryRow(ctx, q.db.sql(`SELECT EXISTS (SELECT FROM SCHEMA.declared d JOIN SCHEMA.bridge b ON b.name = d.bridge
			WHERE d.output = $1 AND b.name <> $2 AND b.seen_at > (extract(epoch FROM clock_timestamp()) * 1e9)::bigint - $3)`),
			output, q.o.Bridge, int64(2*q.o.Takeover))
		return row.Scan(&wanted)
	})
	return err == nil && wanted
}

// Forget implements queue.Outputs.
func (q *Queue) Forget(ctx context.Context, output string) (uint64, error) {
	var left uint64
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		m, _, err := q.lockMeta(ctx, tx)
		if err != nil {
			return err
		}
		var cursor uint64
		var ours bool
		row := tx.QueryRow(ctx, q.db.sql(`SELECT cursor, EXISTS (SELECT FROM SCHEMA.declared WHERE bridge = $2 AND output = $1) FROM SCHEMA.output WHERE name = $1`),
			output, q.o.Bridge)
		switch err := row.Scan(&cursor, &ours); {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
		case err != nil:
			return err
		case ours:
			return refusal{fmt.Errorf("output %q is declared by this bridge", output)}
		}
		left = m.lastSeq - cursor
		return q.deleteOutput(ctx, tx, output)
	})
	if err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	return left, q.refresh(ctx)
}

func (q *Queue) deleteOutput(ctx context.Context, tx pgx.Tx, output string) error {
	b := &pgx.Batch{}
	b.Queue(q.db.sql("DELETE FROM SCHEMA.output WHERE name = $1"), output)
	b.Queue(q.db.sql("DELETE FROM SCHEMA.declared WHERE output = $1"), output)
	b.Queue(q.db.sql("DELETE FROM SCHEMA.outcome WHERE output = $1"), output)
	return tx.SendBatch(ctx, b).Close()
}

// ForgetBridge takes back what a bridge has declared last, so that outputs that it alone named end after EndDelay. ErrNotFound: it has
// declared nothing.
func (q *Queue) ForgetBridge(ctx context.Context, name string) error {
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, _, err := q.lockMeta(ctx, tx); err != nil {
			return err
		}
		declared, err := tx.Exec(ctx, q.db.sql("DELETE FROM SCHEMA.declared WHERE bridge = $1"), name)
		if err != nil {
			return err
		}
		entered, err := tx.Exec(ctx, q.db.sql("DELETE FROM SCHEMA.bridge WHERE name = $1"), name)
		if err == nil && declared.RowsAffected()+entered.RowsAffected() == 0 {
			err = fmt.Errorf("bridge %q: %w", name, queue.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return q.refresh(ctx)
}

// Replay implements queue.Outputs.
func (q *Queue) Replay(ctx context.Context, output string, since time.Time) (uint64, error) {
	var events uint64
	for _, l := range q.owned() {
		if l.key() == "output/"+output {
			q.flushLease(l)
		}
	}
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		m, _, err := q.lockMeta(ctx, tx)
		if err != nil {
			return err
		}
		var cursor uint64
		err = tx.QueryRow(ctx, q.db.sql(`UPDATE SCHEMA.output SET owner = NULL, owner_bridge = '', epoch = epoch + 1,
			cursor = least(cursor, coalesce((SELECT min(seq) - 1 FROM SCHEMA.event WHERE received_at >= $2), cursor))
			WHERE name = $1 RETURNING cursor`), output, nanos(since)).Scan(&cursor)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
		}
		events = m.lastSeq - cursor
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	for _, l := range q.owned() {
		if l.table == "output" && l.name == output {
			l.end(errReplayed)
		}
	}
	return events, q.refresh(ctx)
}

var errReplayed = errors.New("an operator has events sent again")
