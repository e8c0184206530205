package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// reading runs run in a transaction that writes nothing.
func (q *Queue) reading(ctx context.Context, run func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return unavailableUnless(q.db.transact(ctx, run))
}

// unavailableUnless keeps the errors that say what was asked for, and makes all others ErrUnavailable.
func unavailableUnless(err error) error {
	if err == nil || errors.Is(err, queue.ErrNotFound) || isRefusal(err) {
		return err
	}
	return unavailable(err)
}

// ListDeadLetters implements queue.DeadLetters.
func (q *Queue) ListDeadLetters(ctx context.Context, after uint64, limit int, brief bool) ([]queue.DeadLetter, error) {
	body := "body"
	if brief {
		body = "NULL::bytea"
	}
	var list []queue.DeadLetter
	err := q.reading(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		list, err = q.items(ctx, tx, body, "id > $1 ORDER BY id LIMIT $2", after, limit)
		return err
	})
	return list, err
}

// items reads quarantined items. body is the column's expression.
func (q *Queue) items(ctx context.Context, tx pgx.Tx, body, where string, args ...any) (list []queue.DeadLetter, err error) {
	rows, err := tx.Query(ctx, q.db.sql("SELECT id, output, seq, reason, at, received_at, envelope, "+body+" FROM SCHEMA.quarantine WHERE "+where), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var item queue.DeadLetter
		var seq uint64
		var at, received int64
		var reason, text, body []byte
		if err := rows.Scan(&item.ID, &item.Output, &seq, &reason, &at, &received, &text, &body); err != nil {
			return nil, err
		}
		e, err := eventOf(seq, received, text, body)
		if err != nil {
			return nil, refusal{err}
		}
		item.Reason, item.At, item.Event = string(reason), timeOf(at), *e
		list = append(list, item)
	}
	return list, rows.Err()
}

func notThere(id uint64) error {
	return fmt.Errorf("item %d of the quarantine: %w", id, queue.ErrNotFound)
}

// GetDeadLetter implements queue.DeadLetters.
func (q *Queue) GetDeadLetter(ctx context.Context, id uint64) (item queue.DeadLetter, err error) {
	err = q.reading(ctx, func(ctx context.Context, tx pgx.Tx) error {
		list, err := q.items(ctx, tx, "body", "id = $1", id)
		if err == nil && len(list) == 0 {
			err = notThere(id)
		}
		if err == nil {
			item = list[0]
		}
		return err
	})
	return item, err
}

// Resend implements queue.DeadLetters.
func (q *Queue) Resend(ctx context.Context, id uint64, outputs []string) (seq uint64, err error) {
	q.flushAll(ctx) // the room that it needs may be that of events whose delivery is not written yet
	err = q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		seq, err = q.resend(ctx, tx, id, outputs)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("re-send: %w", err)
	}
	q.mu.Lock()
	q.clearShares()
	q.mu.Unlock()
	return seq, q.refresh(ctx)
}

func (q *Queue) resend(ctx context.Context, tx pgx.Tx, id uint64, outputs []string) (uint64, error) {
	m, at, err := q.lockMeta(ctx, tx)
	if err != nil {
		return 0, err
	}
	var seq uint64
	err = tx.QueryRow(ctx, q.db.sql("SELECT seq FROM SCHEMA.resent WHERE id = $1"), id).Scan(&seq)
	if !errors.Is(err, pgx.ErrNoRows) {
		return seq, err
	}
	list, err := q.items(ctx, tx, "body", "id = $1", id)
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, notThere(id)
	}
	e := list[0].Event
	e.ResendOf, e.Only = e.Seq, outputs
	if len(outputs) == 0 && list[0].Output != "" {
		e.Only = []string{list[0].Output}
	}
	if err := q.allThere(ctx, tx, e.Only); err != nil {
		return 0, err
	}
	c := &commit{q: q, meta: m, at: at, limits: q.allowances(), outputs: map[string]*outputFacts{}, memory: newMemory(nil)}
	r := &request{event: &e, digest: queue.DigestOf(e.Body), resent: true}
	return c.resend(ctx, tx, r, id)
}

// allThere complains of a name that no output has.
func (q *Queue) allThere(ctx context.Context, tx pgx.Tx, outputs []string) error {
	for _, name := range outputs {
		var there bool
		if err := tx.QueryRow(ctx, q.db.sql("SELECT EXISTS (SELECT FROM SCHEMA.output WHERE name = $1)"), name).Scan(&there); err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("output %q: %w", name, queue.ErrNotFound)
		}
	}
	return nil
}

// resend puts an item into the queue as an append would, and takes it out of the quarantine.
func (c *commit) resend(ctx context.Context, tx pgx.Tx, r *request, id uint64) (uint64, error) {
	q, conn := c.q, tx.Conn()
	c.before = c.lastSeq
	rows, err := conn.Query(ctx, q.db.sql(selectOutputs))
	if err != nil {
		return 0, err
	}
	if err := c.scanOutputs(rows); err != nil {
		return 0, err
	}
	var atDone int64
	err = conn.QueryRow(ctx, q.db.sql(`SELECT coalesce((SELECT total FROM SCHEMA.event WHERE seq <= $1 ORDER BY seq DESC LIMIT 1), pruned_total) FROM SCHEMA.meta`),
		c.done).Scan(&atDone)
	if err != nil {
		return 0, err
	}
	c.used = c.total - atDone
	size := sizeOf(r.event)
	if missing := c.used + size - c.limits.MaxBytes; missing > 0 {
		refused, err := c.makeRoom(ctx, conn, missing, size)
		if err != nil || refused != nil {
			return 0, errors.Join(refused, err)
		}
	}
	c.accept(r, size)
	b := &pgx.Batch{}
	c.queueEvents(b)
	b.Queue(q.db.sql("UPDATE SCHEMA.meta SET last_seq = $1, total = $2"), c.lastSeq, c.total)
	b.Queue(q.db.sql("DELETE FROM SCHEMA.quarantine WHERE id = $1"), id)
	b.Queue(q.db.sql("INSERT INTO SCHEMA.resent VALUES ($1, $2)"), id, c.lastSeq)
	return c.lastSeq, conn.SendBatch(ctx, b).Close()
}

// DropDeadLetter implements queue.DeadLetters.
func (q *Queue) DropDeadLetter(ctx context.Context, id uint64) error {
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, q.db.sql("DELETE FROM SCHEMA.quarantine WHERE id = $1"), id)
		if err == nil && tag.RowsAffected() == 0 {
			err = notThere(id)
		}
		return err
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.clearShares()
	q.mu.Unlock()
	return q.refresh(ctx)
}

// clearShares gives every output another chance at its share of the quarantine. The caller holds mu.
func (q *Queue) clearShares() {
	for _, o := range q.known.outputs {
		o.QuarantineFull = false
	}
}
