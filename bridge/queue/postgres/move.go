package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Moved is what Move has copied.
type Moved struct {
	Events, Deliveries, DeadLetters uint64
	Outputs                         int
	Already                         bool // the schema had it from a move before
}

// Move copies a queue at rest into a schema that Init has made and nobody has used, with its bridge_id and numbers. Bridges refuse the
// schema until it is whole. seal(true) is called when everything but the last commit is done, to make the source refuse to be used;
// seal(false) takes that back when the commit has failed. A move that was broken off is begun anew by the next one of the same queue.
func Move(ctx context.Context, o Options, src queue.Source, seal func(bool) error) (Moved, error) {
	o.MaxConns = 2
	o.setDefaults()
	db, err := newDatabase(ctx, &o)
	if err != nil {
		return Moved{}, err
	}
	defer db.close()
	var state *stateError
	if _, err := inspect(ctx, db.pool, db.schema, o.Schema, o.ReplicatedBy); err != nil && !errors.As(err, &state) {
		return Moved{}, err
	}
	m := &mover{db: db, src: src, schema: o.Schema}
	already, err := m.begin(ctx)
	if err != nil || already {
		return Moved{Already: already, Outputs: len(src.Head().Outputs)}, err
	}
	for _, step := range []func(context.Context) error{m.events, m.deliveries, m.letters, m.outcomes} {
		if err := step(ctx); err != nil {
			return m.moved, err
		}
	}
	return m.moved, m.end(ctx, seal)
}

// mover is one move.
type mover struct {
	db     *database
	src    queue.Source
	schema string
	moved  Moved

	total, first uint64 // bytes of the events, and the first one's sequence
}

// begin marks the schema as being filled, and empties it of what a move before has left.
func (m *mover) begin(ctx context.Context) (already bool, err error) {
	id := m.src.Head().BridgeID
	err = m.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var state, bridgeID string
		var used bool
		row := tx.QueryRow(ctx, m.db.sql(`SELECT state, bridge_id, last_seq > 0 OR last_item > 0 OR EXISTS (SELECT FROM SCHEMA.bridge) FROM SCHEMA.meta FOR UPDATE`))
		if err := row.Scan(&state, &bridgeID, &used); err != nil {
			return err
		}
		already = state == stateReady && bridgeID == id
		switch {
		case already:
			return nil
		case state == stateReady && used:
			return refusal{fmt.Errorf("the schema %s is in use: a queue can be moved only into one that linuxguard-bridge queue init has just made", m.schema)}
		case state == stateMoving && bridgeID != id:
			return refusal{fmt.Errorf("the schema %s was begun to be filled from another queue; drop it and run: linuxguard-bridge queue init", m.schema)}
		}
		b := &pgx.Batch{}
		b.Queue(m.db.sql("UPDATE SCHEMA.meta SET state = $1, bridge_id = $2"), stateMoving, id)
		for _, table := range []string{"event", "seen", "horizon", "heard", "quarantine", "resent", "output", "outcome", "loss"} {
			b.Queue(m.db.sql("DELETE FROM SCHEMA." + table))
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return false, fmt.Errorf("begin to fill the schema %s: %w", m.schema, err)
	}
	return already, nil
}

// copier collects rows and copies them in parts, each in a transaction of its own.
type copier struct {
	db      *database
	table   string
	columns []string
	rows    [][]any
	bytes   int
}

func (c *copier) add(ctx context.Context, bytes int, row ...any) error {
	c.rows, c.bytes = append(c.rows, row), c.bytes+bytes
	if len(c.rows) < maxBatchCount && c.bytes < maxBatch {
		return nil
	}
	return c.flush(ctx)
}

func (c *copier) flush(ctx context.Context) error {
	if len(c.rows) == 0 {
		return nil
	}
	err := c.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, c.db.table(c.table), c.columns, pgx.CopyFromRows(c.rows))
		return err
	})
	c.rows, c.bytes = nil, 0
	if err != nil {
		return fmt.Errorf("copy into the table %s: %w", c.table, err)
	}
	return nil
}

func (m *mover) copier(table string, columns ...string) *copier {
	return &copier{db: m.db, table: table, columns: columns}
}

func (m *mover) events(ctx context.Context) error {
	c := m.copier("event", "seq", "total", "size", "received_at", "envelope", "body")
	err := m.src.Events(ctx, func(e *queue.Event) error {
		if m.first == 0 {
			m.first = e.Seq
		}
		m.moved.Events++
		size := sizeOf(e)
		m.total += uint64(size)                                                                                               //nolint:gosec // positive
		return c.add(ctx, int(size), int64(e.Seq), int64(m.total), size, nanos(e.ReceivedAt), envelopeOf(e), bytesOf(e.Body)) //nolint:gosec // sequences
	})
	return errors.Join(err, c.flush(ctx))
}

func (m *mover) deliveries(ctx context.Context) error {
	c := m.copier("seen", "seq", "endpoint", "digest", "delivery_id", "signal_id", "sent_at", "received_at", "received_by")
	newest := uint64(0)
	err := m.src.Deliveries(ctx, func(d queue.Delivery) error {
		if d.Seq <= newest { // a record that recovery has found twice
			return nil
		}
		newest = d.Seq
		m.moved.Deliveries++
		return c.add(ctx, 256, int64(d.Seq), d.Endpoint, d.Digest[:], []byte(d.DeliveryID), []byte(d.SignalID), nanos(d.SentAt), nanos(d.ReceivedAt), d.ReceivedBy) //nolint:gosec // a sequence
	})
	return errors.Join(err, c.flush(ctx))
}

func (m *mover) letters(ctx context.Context) error {
	c := m.copier("quarantine", letterColumns()...)
	err := m.src.EachDeadLetter(ctx, func(item *queue.DeadLetter) error {
		m.moved.DeadLetters++
		return c.add(ctx, len(item.Event.Body), letterRow(item, queue.DigestOf(item.Event.Body))...)
	})
	return errors.Join(err, c.flush(ctx))
}

func (m *mover) outcomes(ctx context.Context) error {
	c := m.copier("outcome", "output", "first", "last", "outcome", "level", "at")
	for _, o := range m.src.Head().Outputs {
		err := m.src.NotedOutcomes(ctx, o.Name, func(r queue.OutcomeRange) error {
			return c.add(ctx, 64, o.Name, int64(r.First), int64(r.Last), int16(r.Outcome), r.Level, nanos(r.At)) //nolint:gosec // sequences
		})
		if err != nil {
			return err
		}
	}
	return c.flush(ctx)
}

// end makes the schema usable, and the source unusable, or neither.
func (m *mover) end(ctx context.Context, seal func(bool) error) error {
	if err := seal(true); err != nil {
		return errors.Join(err, seal(false))
	}
	err := m.db.retry(ctx, m.finish)
	if err == nil {
		return nil
	}
	ready, lookErr := m.isReady(context.WithoutCancel(ctx))
	switch {
	case lookErr != nil: // the commit may have happened
		return fmt.Errorf("%w; whether the last step was done can't be seen: run the command again when the database is back", err)
	case ready:
		return nil
	default:
		return errors.Join(err, seal(false))
	}
}

// isReady looks behind the lock: a commit that is still under way is waited for.
func (m *mover) isReady(ctx context.Context) (ready bool, err error) {
	err = m.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, m.db.sql("SELECT state = $1 FROM SCHEMA.meta FOR UPDATE"), stateReady).Scan(&ready)
	})
	return ready, err
}

// finish writes everything that is not rows by the thousand.
func (m *mover) finish(ctx context.Context, tx pgx.Tx) error {
	h := m.src.Head()
	m.moved.Outputs = len(h.Outputs)
	b := &pgx.Batch{}
	for _, table := range []string{"output", "horizon", "heard", "resent", "loss"} { // a try before may have been committed without an answer
		b.Queue(m.db.sql("DELETE FROM SCHEMA." + table))
	}
	for _, o := range h.Outputs {
		b.Queue(m.db.sql("INSERT INTO SCHEMA.output (name, cursor, drop_oldest) VALUES ($1, $2, $3)"), o.Name, o.Cursor, o.DropOldest)
	}
	for _, endpoint := range slices.Sorted(maps.Keys(h.EvictedUpTo)) {
		b.Queue(m.db.sql("INSERT INTO SCHEMA.horizon (endpoint, sent_at) VALUES ($1, $2)"), endpoint, nanos(h.EvictedUpTo[endpoint]))
	}
	for _, endpoint := range slices.Sorted(maps.Keys(h.LastAccepted)) {
		b.Queue(m.db.sql("INSERT INTO SCHEMA.heard (endpoint, at) VALUES ($1, $2)"), endpoint, nanos(h.LastAccepted[endpoint]))
	}
	for _, r := range h.Resent {
		b.Queue(m.db.sql("INSERT INTO SCHEMA.resent (id, seq) VALUES ($1, $2)"), r.Item, r.Seq)
	}
	m.losses(b, h)
	pruned := h.LastSeq
	if m.first != 0 {
		pruned = m.first - 1
	}
	b.Queue(m.db.sql(`UPDATE SCHEMA.meta SET state = $1, last_seq = $2, last_item = $3, total = $4, pruned_seq = $5, pruned_total = 0, evicted = 0,
		forgotten = coalesce((SELECT min(seq) - 1 FROM SCHEMA.seen), $2)`), stateReady, h.LastSeq, h.LastItem, m.total, pruned)
	return tx.SendBatch(ctx, b).Close()
}

// losses adds what is lost: also what was acknowledged, so that outputs that have still to come there are told.
func (m *mover) losses(b *pgx.Batch, h queue.Head) {
	for _, l := range h.Losses {
		b.Queue(m.db.sql("INSERT INTO SCHEMA.loss (at, what, first, last, records) VALUES ($1, $2, $3, $4, $5)"), nanos(l.At), l.What, l.First, l.Last, l.Records)
	}
	for _, g := range h.Gone {
		told := slices.ContainsFunc(h.Losses, func(l queue.Loss) bool { return l.First != 0 && l.First <= g.First && g.Last <= l.Last })
		if !told {
			b.Queue(m.db.sql("INSERT INTO SCHEMA.loss (at, what, first, last, records, acknowledged_by) VALUES (0, $1, $2, $3, $4, 'before the move')"),
				"lost before the queue was moved", g.First, g.Last, g.Last-g.First+1)
		}
	}
}
