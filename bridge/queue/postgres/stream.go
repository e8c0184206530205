package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// stream implements queue.Stream.
type stream struct{ *lease }

func (s *stream) errLost() error { return fmt.Errorf("output %q: %w", s.name, queue.ErrLost) }

// Cursor implements queue.Stream.
func (s *stream) Cursor() uint64 { return s.cursor.Load() }

// Advance implements queue.Stream.
func (s *stream) Advance(p queue.Progress) {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.over.Load() || q.leases[s.key()] != s.lease {
		return
	}
	p.Through = min(p.Through, max(q.known.lastSeq, s.newest.Load()))
	q.pending[s.name] = append(q.pending[s.name], p)
	s.moved(p.Through)
}

// Read implements queue.Stream.
func (s *stream) Read(ctx context.Context, after uint64, limit, maxBytes int) (queue.Batch, error) {
	for {
		if !s.Valid() {
			return queue.Batch{}, s.errLost()
		}
		s.q.mu.Lock()
		last, changed := s.q.known.lastSeq, s.q.changed
		s.q.mu.Unlock()
		if last > after {
			b, _, err := s.load(ctx, after+1, last, limit, maxBytes)
			if err != nil || b.Through > after {
				return b, err
			}
			s.q.mu.Lock()
			changed = s.q.changed
			s.q.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return queue.Batch{}, fmt.Errorf("read: %w", ctx.Err())
		case <-s.lost:
		case <-changed:
		}
	}
}

// Range implements queue.Stream.
func (s *stream) Range(ctx context.Context, first, last uint64, maxBytes int) (queue.Batch, error) {
	if !s.Valid() {
		return queue.Batch{}, s.errLost()
	}
	s.q.mu.Lock()
	last = min(last, s.q.known.lastSeq)
	s.q.mu.Unlock()
	all := queue.Batch{Through: first - 1}
	for all.Through < last {
		b, cut, err := s.load(ctx, all.Through+1, last, maxBatchCount, maxBytes)
		if err != nil {
			return all, err
		}
		if b.Through == all.Through { // the newest event is older than was thought
			break
		}
		all.Events, all.Gaps, all.Through = append(all.Events, b.Events...), append(all.Gaps, b.Gaps...), b.Through
		for _, e := range b.Events {
			maxBytes -= len(e.Body)
		}
		if cut || maxBytes <= 0 {
			break
		}
	}
	return all, nil
}

// load reads from first on, together with a sign of life: what it returns was replicated before it, and was the owner's to send.
func (s *stream) load(ctx context.Context, first, last uint64, limit, maxBytes int) (b queue.Batch, cutShort bool, err error) {
	limit = min(limit, maxBatchCount)
	to := min(last, first+uint64(limit)-1) //nolint:gosec // positive
	var events []*queue.Event
	var cursor, cut, newest uint64
	var dropped, lost []queue.Gap
	fenced := true
	asked := bootTime()
	err = s.q.db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		events, dropped, lost, fenced = nil, nil, nil, true
		b := &pgx.Batch{}
		asked = bootTime()
		b.Queue(s.q.db.sql(`UPDATE SCHEMA.output SET beat = beat + 1 WHERE name = $1 AND owner = $2 AND epoch = $3 RETURNING cursor`),
			s.name, s.q.instance, s.epoch).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&cursor}, func() error { fenced = false; return nil })
			return err
		})
		// Asked for before the events: what another server had shown, and had not kept, must not be taken for gone.
		b.Queue(s.q.db.sql("SELECT last_seq FROM SCHEMA.meta")).QueryRow(func(row pgx.Row) error { return row.Scan(&newest) })
		b.Queue(s.q.db.sql(`SELECT seq, received_at, envelope, body FROM `+upTo+` WHERE n = 1 OR bytes <= $3 ORDER BY seq`), first, to, max(0, maxBytes)).
			Query(func(rows pgx.Rows) (err error) { events, err = scanEvents(rows); return err })
		b.Queue(s.q.db.sql(`SELECT coalesce(min(seq), $2 + 1) FROM `+upTo+` WHERE n > 1 AND bytes > $3`), first, to, max(0, maxBytes)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&cut) })
		b.Queue(s.q.db.sql(`SELECT first, last FROM SCHEMA.outcome WHERE output = $1 AND outcome = $2 AND last >= $3 AND first <= $4 ORDER BY first`),
			s.name, int16(queue.Dropped), first, to).Query(scanGaps(&dropped, queue.Dropped))
		b.Queue(s.q.db.sql(`SELECT first, last FROM SCHEMA.loss WHERE last >= $1 AND first <= $2 ORDER BY first`), first, to).
			Query(scanGaps(&lost, queue.Lost))
		return tx.SendBatch(ctx, b).Close()
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return queue.Batch{}, false, fmt.Errorf("read: %w", ctx.Err())
	case err != nil:
		return queue.Batch{}, false, fmt.Errorf("read for output %q: %w", s.name, unavailable(err))
	case fenced:
		s.end(errFenced)
		return queue.Batch{}, false, s.errLost()
	}
	s.renewed(asked)
	s.moved(cursor)
	raise(&s.newest, newest)
	return batchOf(events, dropped, lost, s.Cursor(), first, min(to, cut-1, newest)), cut <= to, nil
}

// upTo is a stretch of events with the bytes of the bodies up to each.
const upTo = `(SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) AS bytes, row_number() OVER (ORDER BY seq) AS n
	FROM SCHEMA.event WHERE seq BETWEEN $1 AND $2) e`

func scanEvents(rows pgx.Rows) (events []*queue.Event, err error) {
	for rows.Next() {
		var seq uint64
		var received int64
		var text, body []byte
		if err := rows.Scan(&seq, &received, &text, &body); err != nil {
			return nil, err
		}
		e, err := eventOf(seq, received, text, body)
		if err != nil {
			return nil, refusal{err}
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

func scanGaps(gaps *[]queue.Gap, o queue.Outcome) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		g := queue.Gap{Outcome: o}
		_, err := pgx.ForEachRow(rows, []any{&g.First, &g.Last}, func() error { *gaps = append(*gaps, g); return nil })
		return err
	}
}

// batchOf puts together what there is of first..to: the events, and why others will not come. What was dropped at an output is not
// given to it any more, although others may still need it; above the cursor a replay has asked for it again.
func batchOf(events []*queue.Event, dropped, lost []queue.Gap, cursor, first, to uint64) queue.Batch {
	b := queue.Batch{Through: first - 1}
	within := func(gaps []queue.Gap, seq uint64) bool {
		return slices.ContainsFunc(gaps, func(g queue.Gap) bool { return g.First <= seq && seq <= g.Last })
	}
	for seq := first; seq <= to; seq++ {
		here := len(events) > 0 && events[0].Seq == seq
		switch {
		case within(dropped, seq) && (seq <= cursor || !here):
			b.Gaps = addGap(b.Gaps, seq, queue.Dropped)
		case here:
			b.Events = append(b.Events, events[0])
		case within(lost, seq):
			b.Gaps = addGap(b.Gaps, seq, queue.Lost)
		default:
			b.Gaps = addGap(b.Gaps, seq, queue.Unknown)
		}
		if here {
			events = events[1:]
		}
		b.Through = seq
	}
	return b
}

func addGap(gaps []queue.Gap, seq uint64, o queue.Outcome) []queue.Gap {
	if n := len(gaps); n > 0 && gaps[n-1].Last+1 == seq && gaps[n-1].Outcome == o {
		gaps[n-1].Last = seq
		return gaps
	}
	return append(gaps, queue.Gap{First: seq, Last: seq, Outcome: o})
}

// Quarantine implements queue.Stream.
func (s *stream) Quarantine(ctx context.Context, items []queue.DeadLetter) error {
	if !s.Valid() {
		return s.errLost()
	}
	err := s.q.db.retry(ctx, func(ctx context.Context, tx pgx.Tx) error { return s.quarantine(ctx, tx, items) })
	if errors.Is(err, queue.ErrLost) {
		s.end(errFenced)
	}
	s.q.noteShare(s.name, errors.Is(err, queue.ErrFull))
	if err != nil {
		return fmt.Errorf("quarantine for output %q: %w", s.name, err)
	}
	return s.q.refresh(ctx)
}

func (s *stream) quarantine(ctx context.Context, tx pgx.Tx, items []queue.DeadLetter) error {
	var lastItem uint64
	var at int64
	var share int64
	row := tx.QueryRow(ctx, s.q.db.sql(`SELECT last_item, (extract(epoch FROM clock_timestamp()) * 1e9)::bigint, (SELECT count(*) FROM SCHEMA.output)
		FROM SCHEMA.meta FOR UPDATE`))
	if err := row.Scan(&lastItem, &at, &share); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, s.q.db.sql(`UPDATE SCHEMA.output SET beat = beat + 1 WHERE name = $1 AND owner = $2 AND epoch = $3`), s.name, s.q.instance, s.epoch)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return queue.ErrLost
	}
	known, used, err := s.refused(ctx, tx, items)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	for _, item := range items {
		if known[item.Event.Seq] {
			continue
		}
		known[item.Event.Seq] = true
		lastItem++
		used += sizeOf(&item.Event)
		item.ID, item.Output = lastItem, s.name
		if item.At.IsZero() {
			item.At = s.q.now(at)
		}
		queueItem(s.q.db, b, &item, queue.DigestOf(item.Event.Body))
	}
	if b.Len() == 0 {
		return nil
	}
	if limit := s.q.allowances().QuarantineMaxBytes / 2 / max(1, share); used > limit {
		return fmt.Errorf("%w: this output's share (%d bytes) of quarantine_max_bytes is used up", queue.ErrFull, limit)
	}
	b.Queue(s.q.db.sql("UPDATE SCHEMA.meta SET last_item = $1"), lastItem)
	return tx.SendBatch(ctx, b).Close()
}

// refused returns which of items are in the quarantine already, and the bytes of all that this output has there.
func (s *stream) refused(ctx context.Context, tx pgx.Tx, items []queue.DeadLetter) (known map[uint64]bool, used int64, err error) {
	var seqs []uint64
	for i := range items {
		seqs = append(seqs, items[i].Event.Seq)
	}
	rows, err := tx.Query(ctx, s.q.db.sql("SELECT seq FROM SCHEMA.quarantine WHERE output = $1 AND seq = ANY ($2::bigint[])"), s.name, seqs)
	if err != nil {
		return nil, 0, err
	}
	known = map[uint64]bool{}
	var seq uint64
	if _, err := pgx.ForEachRow(rows, []any{&seq}, func() error { known[seq] = true; return nil }); err != nil {
		return nil, 0, err
	}
	err = tx.QueryRow(ctx, s.q.db.sql("SELECT coalesce(sum(size), 0)::bigint FROM SCHEMA.quarantine WHERE output = $1"), s.name).Scan(&used)
	return known, used, err
}

// noteShare notes whether an output's share of the quarantine is used up.
func (q *Queue) noteShare(output string, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o := q.known.outputs[output]; o != nil {
		o.QuarantineFull = full
	}
}
