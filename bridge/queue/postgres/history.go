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

// Outcomes implements queue.History.
func (q *Queue) Outcomes(ctx context.Context, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	var noted []queue.OutcomeRange
	var cursor, newest uint64
	found := false
	untold := q.untold(output)
	err := q.reading(ctx, func(ctx context.Context, tx pgx.Tx) error {
		noted, found = nil, false
		b := &pgx.Batch{}
		b.Queue(q.db.sql(`SELECT o.cursor, m.last_seq, m.forgotten, (extract(epoch FROM clock_timestamp()) * 1e9)::bigint FROM SCHEMA.output o, SCHEMA.meta m WHERE o.name = $1`),
			output).Query(func(rows pgx.Rows) error {
			var forgotten, at int64
			_, err := pgx.ForEachRow(rows, []any{&cursor, &newest, &forgotten, &at}, func() error { found = true; return nil })
			return err
		})
		b.Queue(q.db.sql(`SELECT first, last, outcome, level, at FROM SCHEMA.outcome WHERE output = $1 AND last >= $2 AND first <= $3 ORDER BY id`),
			output, first, int64(min(last, 1<<62))).Query(func(rows pgx.Rows) error {
			var r queue.OutcomeRange
			var outcome int16
			var at int64
			_, err := pgx.ForEachRow(rows, []any{&r.First, &r.Last, &outcome, &r.Level, &at}, func() error {
				r.Outcome, r.At = queue.Outcome(outcome), timeOf(at) //nolint:gosec // stored by this package
				noted = append(noted, r)
				return nil
			})
			return err
		})
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
	}
	for _, p := range untold {
		for _, r := range p.Outcomes {
			noted = queue.ClipOutcome(noted, r, 0, p.Through)
		}
		cursor = max(cursor, p.Through)
	}
	return queue.MergeOutcomes(noted, cursor, max(1, first), min(last, newest)), nil
}

// untold is the progress of an output that is not written yet.
func (q *Queue) untold(output string) []queue.Progress {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Concat(q.flushing[output], q.pending[output])
}

// Find implements queue.History.
func (q *Queue) Find(ctx context.Context, id string) ([]queue.Seen, error) {
	var found []queue.Seen
	err := q.reading(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found = nil
		rows, err := tx.Query(ctx, q.db.sql(`SELECT seq, endpoint, delivery_id, signal_id, received_at, received_by FROM SCHEMA.seen
			WHERE (delivery_id = $1 OR signal_id = $1) AND seq > (SELECT forgotten FROM SCHEMA.meta) ORDER BY seq`), []byte(id))
		if err != nil {
			return err
		}
		s := queue.Seen{Verdict: queue.Accepted}
		var delivery, signal []byte
		var at int64
		_, err = pgx.ForEachRow(rows, []any{&s.Seq, &s.Endpoint, &delivery, &signal, &at, &s.ReceivedBy}, func() error {
			s.DeliveryID, s.SignalID, s.ReceivedAt = string(delivery), string(signal), timeOf(at)
			found = append(found, s)
			return nil
		})
		if err != nil {
			return err
		}
		items, err := q.items(ctx, tx, "NULL::bytea", "output = '' AND (delivery_id = $1 OR signal_id = $1) ORDER BY id", []byte(id))
		if err != nil {
			return err
		}
		return q.seenItems(ctx, tx, items, &found)
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range found {
		found[i].Duplicates = q.duplicates[found[i].Seq]
	}
	slices.SortStableFunc(found, func(a, b queue.Seen) int {
		return cmp.Or(a.ReceivedAt.Compare(b.ReceivedAt), cmp.Compare(a.Seq, b.Seq))
	})
	return found, nil
}

// seenItems adds what was quarantined on receipt.
func (q *Queue) seenItems(ctx context.Context, tx pgx.Tx, items []queue.DeadLetter, found *[]queue.Seen) error {
	for i := range items {
		e := &items[i].Event
		var signal []byte
		if err := tx.QueryRow(ctx, q.db.sql("SELECT signal_id FROM SCHEMA.quarantine WHERE id = $1"), items[i].ID).Scan(&signal); err != nil {
			return err
		}
		*found = append(*found, queue.Seen{Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, SignalID: string(signal), ReceivedAt: e.ReceivedAt,
			ReceivedBy: e.ReceivedBy, Verdict: queue.Quarantined, Reason: items[i].Reason})
	}
	return nil
}

// LastAccepted implements queue.History.
func (q *Queue) LastAccepted(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	err := q.reading(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, q.db.sql("SELECT endpoint, at FROM SCHEMA.heard"))
		if err != nil {
			return err
		}
		var endpoint string
		var at int64
		_, err = pgx.ForEachRow(rows, []any{&endpoint, &at}, func() error { all[endpoint] = timeOf(at); return nil })
		return err
	})
	return all, err
}

// Losses implements queue.LossLedger.
func (q *Queue) Losses(ctx context.Context) (losses []queue.Loss, err error) {
	err = q.reading(ctx, func(ctx context.Context, tx pgx.Tx) error {
		losses = nil
		rows, err := tx.Query(ctx, q.db.sql("SELECT id, at, what, first, last, records FROM SCHEMA.loss WHERE acknowledged_by IS NULL ORDER BY id"))
		if err != nil {
			return err
		}
		var l queue.Loss
		var at int64
		_, err = pgx.ForEachRow(rows, []any{&l.ID, &at, &l.What, &l.First, &l.Last, &l.Records}, func() error {
			l.At = timeOf(at)
			losses = append(losses, l)
			return nil
		})
		return err
	})
	return losses, err
}

// Acknowledge implements queue.LossLedger.
func (q *Queue) Acknowledge(ctx context.Context, id uint64, who string) error {
	err := q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, q.db.sql("UPDATE SCHEMA.loss SET acknowledged_by = $2 WHERE id = $1 AND acknowledged_by IS NULL"), id, who)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("loss %d: %w", id, queue.ErrNotFound)
		}
		return err
	})
	if err != nil {
		return err
	}
	return q.refresh(ctx)
}
