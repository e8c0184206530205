package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// tail is the last outcome that this bridge has stored for an output, which the next one may continue.
type tail struct {
	id int64
	queue.OutcomeRange
}

// flush is progress of one tenure on its way to the database.
type flush struct {
	lease   *lease
	through uint64
	extend  *queue.OutcomeRange  // the tail as it is now; nil: it stays
	fresh   []queue.OutcomeRange // behind it
	tail    tail                 // before

	cursor uint64 // as the database has it now
	lastID int64  // of the last of fresh
	fenced bool
}

// takeProgress returns what is to be written of all tenures, in the order of the outputs' names.
func (q *Queue) takeProgress() []*flush {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []*flush
	for name := range q.pending {
		if f := q.flushOf(name); f != nil {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *flush) int { return compareText(a.lease.name, b.lease.name) })
	return all
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// flushOf makes one output's flush and notes that it is under way; nil: there is nothing, or another one is. The caller holds mu.
func (q *Queue) flushOf(name string) *flush {
	l := q.leases["output/"+name]
	if l == nil { // the tenure is over: another owner goes on
		delete(q.pending, name)
		return nil
	}
	if len(q.pending[name]) == 0 || len(q.flushing[name]) > 0 {
		return nil
	}
	q.flushing[name] = q.pending[name]
	delete(q.pending, name)
	f := &flush{lease: l, tail: q.tails[name]}
	var ranges []queue.OutcomeRange
	if f.tail.id != 0 {
		ranges = append(ranges, f.tail.OutcomeRange)
	}
	for _, p := range q.flushing[name] {
		f.through = max(f.through, p.Through)
		for _, r := range p.Outcomes {
			for _, part := range queue.ClipOutcome(nil, r, 0, p.Through) {
				ranges = queue.AppendOutcome(ranges, part)
			}
		}
	}
	if f.tail.id != 0 {
		if ranges[0] != f.tail.OutcomeRange {
			f.extend = &ranges[0]
		}
		ranges = ranges[1:]
	}
	f.fresh = ranges
	return f
}

// queue adds the statement to a batch. It changes nothing when another owner has the output. What the output has given up meanwhile is not
// noted again, unless it was delivered.
func (f *flush) queue(q *Queue, b *pgx.Batch) {
	var firsts, lasts, times []int64
	var outcomes []int16
	var levels []string
	for _, r := range f.fresh {
		firsts, lasts, times = append(firsts, int64(r.First)), append(lasts, int64(r.Last)), append(times, nanos(r.At)) //nolint:gosec // sequences
		outcomes, levels = append(outcomes, int16(r.Outcome)), append(levels, r.Level)
	}
	var last, at int64
	if f.extend != nil {
		last, at = int64(f.extend.Last), nanos(f.extend.At) //nolint:gosec // a sequence
	}
	f.fenced = true
	b.Queue(q.db.sql(`WITH o AS (SELECT name, cursor FROM SCHEMA.output WHERE name = $1 AND owner = $2 AND epoch = $3 FOR UPDATE),
		u AS (UPDATE SCHEMA.outcome SET last = $6, at = $7 FROM o WHERE $6 > 0 AND outcome.id = $5),
		i AS (INSERT INTO SCHEMA.outcome (output, first, last, outcome, level, at)
			SELECT o.name, CASE WHEN r.outcome = 1 THEN r.first ELSE greatest(r.first, o.cursor + 1) END, r.last, r.outcome, r.level, r.at
			FROM o, unnest($8::bigint[], $9::bigint[], $10::smallint[], $11::text[], $12::bigint[]) WITH ORDINALITY AS r (first, last, outcome, level, at, n)
			WHERE r.outcome = 1 OR r.last > o.cursor ORDER BY r.n RETURNING id)
		UPDATE SCHEMA.output SET cursor = greatest(output.cursor, $4), beat = beat + 1 FROM o WHERE output.name = o.name
		RETURNING output.cursor, coalesce((SELECT max(id) FROM i), 0)`),
		f.lease.name, q.instance, f.lease.epoch, f.through, f.tail.id, last, at, firsts, lasts, outcomes, levels, times).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			f.fenced = false
			if err := rows.Scan(&f.cursor, &f.lastID); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// endProgress notes what has become of the progress that a commit took along.
func (q *Queue) endProgress(c *commit, written bool) {
	q.mu.Lock()
	var fenced []*lease
	for _, f := range c.progress {
		if q.endFlush(f, written) {
			fenced = append(fenced, f.lease)
		}
	}
	q.mu.Unlock()
	for _, l := range fenced {
		l.end(errFenced)
	}
}

// endFlush puts progress that was not written back in front, and reports whether its owner was found to be another one. The caller
// holds mu.
func (q *Queue) endFlush(f *flush, written bool) (fenced bool) {
	name := f.lease.name
	if !written {
		q.pending[name] = append(q.flushing[name], q.pending[name]...)
		delete(q.flushing, name)
		return false
	}
	delete(q.flushing, name)
	if f.fenced {
		return true
	}
	if f.extend != nil {
		q.tails[name] = tail{f.tail.id, *f.extend}
	}
	if n := len(f.fresh); n > 0 {
		q.tails[name] = tail{}
		if f.lastID != 0 {
			q.tails[name] = tail{f.lastID, f.fresh[n-1]}
		}
	}
	f.lease.moved(f.cursor)
	if o := q.known.outputs[name]; o != nil && o.epoch == f.lease.epoch {
		o.Cursor = max(o.Cursor, f.cursor)
	}
	return false
}
