package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// request is one Append that waits for its answer.
type request struct {
	ctx    context.Context
	event  *queue.Event // the queue's own copy
	digest queue.Digest
	reason string
	done   chan result // has room for the one answer

	resent  bool          // an operator's, out of the quarantine
	receipt queue.Receipt // once it is judged
	err     error
	item    *queue.DeadLetter
}

type result struct {
	receipt queue.Receipt
	err     error
}

func (r *request) answer(receipt queue.Receipt, err error) { r.done <- result{receipt, err} }

// Append implements queue.Appender.
func (q *Queue) Append(ctx context.Context, e *queue.Event, reason string) (queue.Receipt, error) {
	if ctx.Err() != nil {
		return queue.Receipt{}, fmt.Errorf("append: %w: %w", queue.ErrUnavailable, ctx.Err())
	}
	own := *e
	if own.Signal == nil {
		own.Decode()
	}
	r := &request{ctx: ctx, event: &own, digest: queue.DigestOf(e.Body), reason: reason, done: make(chan result, 1)}
	if err := q.enqueue(r); err != nil {
		return queue.Receipt{}, fmt.Errorf("append: %w", err)
	}
	select {
	case answer := <-r.done:
		if answer.err != nil {
			return queue.Receipt{}, fmt.Errorf("append: %w", answer.err)
		}
		return answer.receipt, nil
	case <-ctx.Done():
		return queue.Receipt{}, fmt.Errorf("append: %w: the database has not answered in time: %w", queue.ErrUnavailable, ctx.Err())
	}
}

func (q *Queue) enqueue(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	if size := int64(len(r.event.Body)); len(q.waiting) > 0 && q.bytes+size > maxWaiting {
		return fmt.Errorf("%w: more than %d bytes wait for the database", queue.ErrUnavailable, maxWaiting)
	}
	q.bytes += int64(len(r.event.Body))
	q.waiting = append(q.waiting, r)
	q.nudge()
	return nil
}

// take returns what the next transaction carries. Who has given up is left out.
func (q *Queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []*request
	size, n := 0, 0
	for _, r := range q.waiting {
		if len(batch) == maxBatchCount || len(batch) > 0 && size+len(r.event.Body) > maxBatch {
			break
		}
		n++
		q.bytes -= int64(len(r.event.Body))
		if r.ctx.Err() != nil {
			r.answer(queue.Receipt{}, r.ctx.Err())
			continue
		}
		size += len(r.event.Body)
		batch = append(batch, r)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// putBack has requests wait again, in front of all others.
func (q *Queue) putBack(batch []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed && q.ctx.Err() != nil {
		for _, r := range batch {
			r.answer(queue.Receipt{}, errClosed)
		}
		return
	}
	for _, r := range batch {
		q.bytes += int64(len(r.event.Body))
	}
	q.waiting = append(batch, q.waiting...)
	if len(q.waiting) > 0 {
		q.nudge()
	}
}

// commitLoop is the committer: one transaction at a time, until Close.
func (q *Queue) commitLoop() {
	tick := time.NewTicker(q.o.ProgressInterval)
	defer tick.Stop()
	delay := time.Duration(0)
	for {
		q.turn.Store(time.Now().UnixNano())
		due := false
		if delay > 0 { // nothing else wakes a committer whose database is away
			due = true
			select {
			case <-q.ctx.Done():
				return
			case <-time.After(delay):
			}
		} else {
			select {
			case <-q.ctx.Done():
				return
			case <-q.wake:
			case <-tick.C:
				due = true
			}
		}
		if err := q.commitNext(due); err != nil {
			delay = min(max(20*time.Millisecond, 2*delay), time.Second)
			continue
		}
		delay = 0
	}
}

// commitNext writes what waits. due says that progress is written also when nothing else waits.
func (q *Queue) commitNext(due bool) error {
	batch := q.take()
	q.mu.Lock()
	probe := q.problem != nil || q.probing
	q.probing = false
	idle := len(batch) == 0 && !probe && (len(q.pending) == 0 || !due && !q.closed)
	q.mu.Unlock()
	if idle {
		return nil
	}
	c := &commit{q: q, batch: batch, began: time.Now()}
	c.progress = q.takeProgress()
	err := c.run()
	q.endProgress(c, err == nil)
	switch {
	case err == nil:
		q.succeeded()
		c.finish()
		return nil
	case passing(err) && q.ctx.Err() == nil:
		q.failed(err)
		q.putBack(batch)
		return err
	default:
		q.failed(err)
		for _, r := range batch {
			r.answer(queue.Receipt{}, unavailable(err))
		}
		return err
	}
}

// commit is one transaction of the committer.
type commit struct {
	q        *Queue
	batch    []*request
	began    time.Time
	progress []*flush

	meta
	at         time.Time // what the transaction takes for now
	used       int64     // bytes that some output needs
	done       uint64    // what every output is past
	outputs    map[string]*outputFacts
	memory     *dedupeIndex
	forgotten  []forgotten // the oldest deliveries that are remembered
	items      int64       // bytes of the receiver's quarantine; negative: not known yet
	limits     queue.Limits
	accepted   []*request
	leftOver   []*request
	forget     int // how many of forgotten are
	rolledBack bool
	lost       [2]uint64 // first and last of the sequences that the database has lost; zeros: none
	refused    int64
}

// meta is the row whose lock gives the sequences.
type meta struct {
	bridgeID                                             string
	lastSeq, prunedSeq, lastItem, floor, evicted, before uint64 // floor: every delivery up to it is forgotten; before: lastSeq as it was
	total, prunedTotal                                   int64
}

// run runs the transaction in two round trips.
func (c *commit) run() error {
	ctx, cancel := context.WithTimeout(c.q.ctx, attemptTime)
	defer cancel()
	if c.q.db.wrap != nil {
		if err := c.q.db.wrap(ctx); err != nil {
			return err
		}
	}
	conn, err := c.q.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // a connection that is left in a transaction is closed
	if err := c.lookUp(ctx, conn.Conn()); err != nil {
		return err
	}
	if err := c.judge(ctx, conn.Conn()); err != nil {
		return err
	}
	_ = c.q.db.warned(conn.Conn().PgConn()) // of a statement before
	err = c.write(ctx, conn.Conn())
	return errors.Join(err, c.q.db.warned(conn.Conn().PgConn()))
}

const selectMeta = `SELECT bridge_id, last_seq, total, pruned_seq, pruned_total, last_item, forgotten, evicted,
	current_setting('synchronous_standby_names'), (extract(epoch FROM clock_timestamp()) * 1e9)::bigint FROM SCHEMA.meta FOR UPDATE`

// lookUp is the first round trip: the lock, and behind it, as statements of their own that see what was committed before the lock was
// given, all that judging needs.
func (c *commit) lookUp(ctx context.Context, conn *pgx.Conn) error {
	q := c.q
	c.limits, c.items, c.refused = q.allowances(), -1, -1
	c.accepted, c.leftOver, c.forget, c.rolledBack, c.lost = nil, nil, 0, false, [2]uint64{}
	c.memory = newMemory(c.batch)
	c.outputs = map[string]*outputFacts{}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(settings)
	b.Queue(q.db.sql(selectMeta)).QueryRow(c.scanMeta)
	for _, f := range c.progress {
		f.queue(q, b)
	}
	b.Queue(q.db.sql(selectOutputs)).Query(c.scanOutputs)
	b.Queue(q.db.sql(`SELECT coalesce((SELECT total FROM SCHEMA.event WHERE seq <= (SELECT coalesce(min(cursor), 0) FROM SCHEMA.output)
		ORDER BY seq DESC LIMIT 1), pruned_total) FROM SCHEMA.meta`)).QueryRow(func(row pgx.Row) error {
		var atDone int64
		err := row.Scan(&atDone)
		c.used = c.total - atDone
		return err
	})
	b.Queue(q.db.sql(`SELECT endpoint, sent_at FROM SCHEMA.horizon`)).Query(c.memory.scanEvictedUpTo)
	b.Queue(q.db.sql(`SELECT seq, endpoint, sent_at, received_at FROM SCHEMA.seen WHERE seq > (SELECT forgotten FROM SCHEMA.meta) ORDER BY seq
		LIMIT greatest($1, least(1000, (SELECT last_seq - forgotten FROM SCHEMA.meta) - $2 + $1))`), 2*len(c.batch)+16, q.o.Capacity).Query(c.scanOldest)
	c.memory.queue(q.db, b)
	return conn.SendBatch(ctx, b).Close()
}

func (c *commit) scanMeta(row pgx.Row) error {
	var standbys string
	var at int64
	if err := row.Scan(&c.bridgeID, &c.lastSeq, &c.total, &c.prunedSeq, &c.prunedTotal, &c.lastItem, &c.floor, &c.evicted, &standbys, &at); err != nil {
		return err
	}
	if c.q.o.ReplicatedBy == ByStandby && standbys == "" {
		return errNotReplicated
	}
	c.before = c.lastSeq
	c.at = c.q.now(at)
	return nil
}

// selectOutputs is what scanOutputs reads.
const selectOutputs = "SELECT name, cursor, drop_oldest, dropped, owner_bridge, epoch FROM SCHEMA.output ORDER BY name"

func (c *commit) scanOutputs(rows pgx.Rows) error {
	c.done = 0
	first := true
	for rows.Next() {
		o := &outputFacts{}
		var dropped int64
		if err := rows.Scan(&o.Name, &o.Cursor, &o.dropOldest, &dropped, &o.Owner, &o.epoch); err != nil {
			return err
		}
		o.Dropped = uint64(dropped) //nolint:gosec // a count
		c.outputs[o.Name] = o
		if first || o.Cursor < c.done {
			c.done, first = o.Cursor, false
		}
	}
	return rows.Err()
}

// forgotten is a delivery that may have to be forgotten.
type forgotten struct {
	seq        uint64
	endpoint   string
	sentAt     int64
	receivedAt time.Time
}

func (c *commit) scanOldest(rows pgx.Rows) error {
	c.forgotten = nil
	for rows.Next() {
		var f forgotten
		var received int64
		if err := rows.Scan(&f.seq, &f.endpoint, &f.sentAt, &received); err != nil {
			return err
		}
		f.receivedAt = timeOf(received)
		c.forgotten = append(c.forgotten, f)
	}
	return rows.Err()
}

// judge decides what becomes of each request.
func (c *commit) judge(ctx context.Context, conn *pgx.Conn) error {
	c.foldBack()
	for i, r := range c.batch {
		r.receipt, r.err, r.item = queue.Receipt{}, nil, nil
		j, err := queue.Judge(c.memory, r.event, r.digest, r.reason, c.at, c.q.o.Window)
		if err != nil {
			return err
		}
		r.receipt = j.Receipt
		switch {
		case j.Known:
		case j.Verdict == queue.Quarantined:
			if r.err, err = c.quarantine(ctx, conn, r); err != nil {
				return err
			}
		default:
			size := sizeOf(r.event)
			if missing := c.used + size - c.limits.MaxBytes; missing > 0 {
				if len(c.accepted) > 0 { // room is made for one at a time
					c.leftOver, c.batch = c.batch[i:], c.batch[:i]
					return nil
				}
				if r.err, err = c.makeRoom(ctx, conn, missing, size); err != nil {
					return err
				}
				if r.err != nil {
					continue
				}
			}
			c.accept(r, size)
		}
	}
	return nil
}

func (c *commit) accept(r *request, size int64) {
	c.lastSeq++
	c.total += size
	c.used += size
	c.refused = 0
	r.event.Seq, r.receipt.Seq = c.lastSeq, c.lastSeq
	c.memory.add(r, c.at)
	c.accepted = append(c.accepted, r)
	c.forgetOldest()
}

// forgetOldest forgets what is too old, and what is too much. What is forgotten raises its endpoint's
// evicted-up-to time, also when it was old: the clock may have been ahead.
func (c *commit) forgetOldest() {
	for c.forget < len(c.forgotten) {
		f := c.forgotten[c.forget]
		old := c.at.Sub(f.receivedAt) > c.q.o.Window
		if over := c.lastSeq-f.seq >= uint64(c.q.o.Capacity); !old && !over { //nolint:gosec // positive
			return
		}
		if !old {
			c.evicted++
		}
		c.forget++
		c.floor = f.seq
		c.memory.forget(f)
	}
}

// makeRoom has drop_oldest outputs give up what is oldest, if that is enough for an event. The first error is the event's, the second one
// the transaction's.
func (c *commit) makeRoom(ctx context.Context, conn *pgx.Conn, missing, size int64) (refused, err error) {
	refused = fmt.Errorf("%w: max_bytes (%d) is used up", queue.ErrFull, c.limits.MaxBytes)
	c.refused = size
	droppable, through := c.droppable(), uint64(0)
	if droppable <= c.done {
		return refused, nil
	}
	var atDone, total int64
	row := conn.QueryRow(ctx, c.q.db.sql(`SELECT e.seq, e.total, d.total FROM SCHEMA.event e, (SELECT coalesce((SELECT total FROM SCHEMA.event
		WHERE seq <= $1 ORDER BY seq DESC LIMIT 1), pruned_total) AS total FROM SCHEMA.meta) d
		WHERE e.seq > $1 AND e.seq <= $2 AND e.total >= d.total + $3 ORDER BY e.seq LIMIT 1`), c.done, droppable, missing)
	if err := row.Scan(&through, &total, &atDone); errors.Is(err, pgx.ErrNoRows) {
		return refused, nil
	} else if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, c.q.db.sql(`WITH o AS (SELECT name, cursor FROM SCHEMA.output WHERE cursor < $1 ORDER BY name FOR UPDATE),
		i AS (INSERT INTO SCHEMA.outcome (output, first, last, outcome, level, at) SELECT name, cursor + 1, $1, $2, '', $3 FROM o)
		UPDATE SCHEMA.output SET dropped = dropped + $1 - o.cursor, cursor = $1 FROM o WHERE output.name = o.name`),
		through, int16(queue.Dropped), nanos(c.at))
	if err != nil {
		return nil, err
	}
	for _, o := range c.outputs {
		if o.Cursor < through {
			o.Dropped += through - o.Cursor
			o.Cursor = through
		}
	}
	c.used -= total - atDone
	c.done = through
	return nil, nil
}

// droppable is the sequence up to which only drop_oldest outputs need events.
func (c *commit) droppable() uint64 {
	droppable, any := c.before, false
	for _, o := range c.outputs {
		if o.dropOldest {
			any = true
		} else {
			droppable = min(droppable, o.Cursor)
		}
	}
	if !any {
		return 0
	}
	return droppable
}

// quarantine judges the room for what is to be quarantined on receipt.
func (c *commit) quarantine(ctx context.Context, conn *pgx.Conn, r *request) (refused, err error) {
	if c.items < 0 {
		row := conn.QueryRow(ctx, c.q.db.sql("SELECT coalesce(sum(size), 0)::bigint FROM SCHEMA.quarantine WHERE output = ''"))
		if err := row.Scan(&c.items); err != nil {
			return nil, err
		}
	}
	size := sizeOf(r.event)
	if c.items+size > c.limits.QuarantineMaxBytes/2 {
		return fmt.Errorf("%w: quarantine_max_bytes (%d) is used up", queue.ErrFull, c.limits.QuarantineMaxBytes), nil
	}
	c.items += size
	c.lastItem++
	item := *r.event
	item.Seq = 0
	r.item = &queue.DeadLetter{ID: c.lastItem, Reason: r.receipt.Reason, At: c.at, Event: item}
	c.memory.addItem(r)
	return nil, nil
}

// write is the second round trip: what is new, and the COMMIT.
func (c *commit) write(ctx context.Context, conn *pgx.Conn) error {
	q := c.q
	b := &pgx.Batch{}
	if len(c.accepted) > 0 {
		c.queueEvents(b)
	}
	for _, r := range c.batch {
		if r.item != nil {
			queueItem(q.db, b, r.item, r.digest)
		}
	}
	for endpoint, at := range c.memory.raised {
		b.Queue(q.db.sql(`INSERT INTO SCHEMA.horizon VALUES ($1, $2) ON CONFLICT (endpoint) DO UPDATE SET sent_at = greatest(horizon.sent_at, excluded.sent_at)`),
			endpoint, at)
	}
	c.tellLoss(b)
	b.Queue(q.db.sql(`UPDATE SCHEMA.meta SET bridge_id = $1, last_seq = $2, total = $3, last_item = $4, forgotten = $5, evicted = $6`),
		c.bridgeID, c.lastSeq, c.total, c.lastItem, c.floor, c.evicted)
	return sendCommit(ctx, conn, b)
}

// sendCommit sends b with a COMMIT behind it. The COMMIT of a transaction that has failed says ROLLBACK and is no error.
func sendCommit(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	n := b.Len()
	b.Queue("COMMIT")
	results := conn.SendBatch(ctx, b)
	for range n {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return err
		}
	}
	tag, err := results.Exec()
	if err == nil && tag.String() != "COMMIT" {
		err = fmt.Errorf("the transaction was rolled back (%s)", tag)
	}
	return errors.Join(err, results.Close())
}

func (c *commit) queueEvents(b *pgx.Batch) {
	var rows eventRows
	total := c.total
	for _, r := range slices.Backward(c.accepted) {
		rows.add(r, total, c.at)
		total -= sizeOf(r.event)
	}
	rows.queue(c.q.db, b)
}

// finish answers everybody, once the transaction is durable.
func (c *commit) finish() {
	q := c.q
	q.metrics.committed(time.Since(c.began), len(c.accepted))
	q.mu.Lock()
	q.learn(c)
	generation := q.generation
	if len(q.duplicates) > maxDuplicates {
		clear(q.duplicates)
	}
	for _, r := range c.batch {
		if r.err == nil && r.receipt.Verdict == queue.Duplicate {
			q.duplicates[r.receipt.Seq]++
		}
	}
	for _, r := range c.accepted {
		q.held.add(r.event)
	}
	q.notifyAll()
	q.mu.Unlock()
	for _, r := range c.batch {
		q.metrics.appended(r.receipt, r.err)
		if r.err != nil {
			r.answer(queue.Receipt{}, r.err)
			continue
		}
		r.receipt.Generation = generation
		r.answer(r.receipt, nil)
	}
	if len(c.leftOver) > 0 {
		q.putBack(c.leftOver)
	}
	if c.rolledBack {
		q.appendAgain(c)
	}
}

// learn takes over what a commit has made sure of. The caller holds mu.
func (q *Queue) learn(c *commit) {
	k := &q.known
	k.asOf, k.lastSeq, k.answered, k.used = c.at, max(c.lastSeq, k.lastSeq), c.lastSeq, c.used
	if c.refused >= 0 {
		k.refused = c.refused
	}
	k.status.Commits++
	k.status.Evicted = c.evicted
	k.status.Remembered = int(c.lastSeq - c.floor) //nolint:gosec // a count
	for name, o := range c.outputs {
		if old := k.outputs[name]; old != nil {
			old.Dropped = o.Dropped
			old.update(o)
		}
		q.noteCursor(o)
	}
	for _, r := range c.batch {
		if r.item != nil {
			k.status.DeadLetters++
			k.status.QuarantineBytes += sizeOf(r.event)
		}
	}
}
