package queue

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// run is the committer: the only goroutine that writes. It ends after the last request when stop is closed. It commits one
// batch a round, so that the ticks get their turn under any load.
func (q *embedded) run() {
	defer close(q.stopped)
	tick := time.NewTicker(q.opts.CursorInterval)
	defer tick.Stop()
	for {
		due := false
		select {
		case <-q.wake:
		case <-tick.C:
			due = true
		case <-q.stop:
			q.finish()
			return
		}
		q.gather()
		if q.commitNext(); q.intake.pending() > 0 {
			q.signal()
		}
		q.mend()
		q.maintain(due)
		if due {
			q.compact()
			q.news.say(q.opts.Log, q.opts.Now(), q.opts.Capacity)
		}
		q.rounds.Add(1)
	}
}

// commitNext commits the batch that has waited longest and reports whether there was one.
func (q *embedded) commitNext() bool {
	b := q.intake.take()
	if b != nil {
		q.commit(b)
	}
	return b != nil
}

// finish commits what is there and the cursors, and refuses what comes later.
func (q *embedded) finish() {
	q.intake.close()
	for q.commitNext() {
	}
	q.maintain(true)
	for range 3 { // a failure now has no later; what is left is repeated after the next start
		if !q.outputs.dirty() {
			break
		}
		q.maintain(true)
	}
}

// commit makes one batch durable and tells its waiters.
func (q *embedded) commit(b *batch) {
	defer close(b.done)
	taken := b.requests[:0]
	for _, r := range b.requests {
		if r.state.CompareAndSwap(requestWaiting, requestTaken) {
			taken = append(taken, r)
		}
	}
	if len(taken) == 0 {
		return
	}
	q.opts.hooks.reach("append")
	began := time.Now()
	if err := q.transact(taken, false); err != nil {
		for _, r := range taken {
			r.receipt, r.err = Receipt{}, err
		}
	}
	q.pace.committed(len(taken), q.intake.pending(), time.Since(began))
}

// transact runs the requests, the cursors that are due and a share of the deletions in one transaction. An error means
// that nothing of it happened.
func (q *embedded) transact(requests []*request, flush bool) (err error) {
	if err := q.retry.refused(q.opts.Now()); err != nil {
		return q.answerKnown(requests, err)
	}
	if q.db == nil {
		return fmt.Errorf("%w: the database is not open", ErrUnavailable)
	}
	tx, err := q.db.Begin(true)
	if err != nil { // it lost its mapping
		return q.failed(err)
	}
	t := q.newTxn(tx)
	if err := t.fill(requests, flush); err != nil || !t.written {
		return q.giveUp(t, err)
	}
	q.opts.hooks.reach("filled")
	started := time.Now()
	if err := t.commit(); err != nil {
		t.discard()
		return q.failed(err)
	}
	stats := tx.Stats()
	q.metrics.committed(time.Since(started), stats.GetWriteTime(), len(t.accepted))
	q.commits.Add(1)
	q.opts.hooks.reach("committed")
	t.publish()
	q.opts.hooks.reach("published")
	return nil
}

// giveUp ends a transaction that is not to be committed: err says why, or there was nothing to write.
func (q *embedded) giveUp(t *txn, err error) error {
	q.watchFill(t.full)
	t.discard()
	if errors.Is(err, errFault) { // its locks may be in any state
		return q.failed(err)
	}
	return errors.Join(err, t.tx.Rollback())
}

// answerKnown answers what needs no write while there can be none: duplicates of what is durable. All others get cause.
func (q *embedded) answerKnown(requests []*request, cause error) error {
	if q.db == nil {
		return cause
	}
	return q.view(func(tx *bbolt.Tx) error {
		t := q.newTxn(tx)
		for _, r := range requests {
			r.receipt, r.err = Receipt{}, cause
			if r.job != nil {
				continue
			}
			if receipt, ok := t.known(r); ok {
				r.receipt, r.err = receipt, nil
			}
		}
		if len(requests) == 0 {
			return cause
		}
		return nil
	})
}

// fill runs everything of the transaction up to the commit.
func (t *txn) fill(requests []*request, flush bool) (err error) {
	defer recoverDamage(&err)()
	for _, r := range requests {
		if r.job != nil {
			r.err = r.job(t)
			continue
		}
		r.receipt, r.err = t.append(r)
	}
	if t.broken != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, t.broken)
	}
	if flush {
		if err := t.flushCursors(); err != nil {
			return err
		}
	}
	if err := t.deleteConsumed(); err != nil {
		return err
	}
	if err := t.forgetOld(flush); err != nil {
		return err
	}
	if !t.written {
		return nil
	}
	key := []byte(keyCounts)
	return t.put(t.meta, key, t.counts.encode(key))
}

func (t *txn) commit() (err error) {
	defer recoverDamage(&err)()
	if fail := t.q.opts.hooks.failCommit; fail != nil {
		if err := fail(); err != nil {
			return errors.Join(err, t.tx.Rollback())
		}
	}
	return t.tx.Commit()
}

// discard gives back what the transaction had taken out of memory.
func (t *txn) discard() {
	for _, f := range t.flushed {
		t.q.outputs.putBack(f)
	}
}

// publish makes the committed changes visible.
func (t *txn) publish() {
	q := t.q
	q.retry.succeeded()
	q.counts, q.head, q.unpruned = t.counts, t.head, t.unpruned
	for _, e := range t.forgotten {
		q.memory.forget(e)
	}
	events := make([]*Event, len(t.accepted))
	for i, r := range t.accepted {
		r.event.Seq = r.receipt.Seq
		events[i] = r.event
		q.memory.add(entry{r.digestKey, r.deliveryKey, r.receipt.Seq})
	}
	for key, id := range t.held {
		q.quarantined[key] = id
	}
	for endpoint, horizon := range t.horizons {
		q.horizons[endpoint] = horizon
	}
	for _, f := range t.flushed {
		q.outputs.committed(f)
	}
	for _, effect := range t.afterCommit {
		effect()
	}
	q.tail.push(events, q.outputs.done())
	q.publishStatus(t)
}

// maintain commits what is due without an append: cursors, and at every tick what is left to delete, until there is an
// append, whose transaction deletes a share too.
func (q *embedded) maintain(tick bool) {
	flush := (tick || q.outputs.urgent()) && q.outputs.dirty()
	for flush || (tick && q.counts.events > 0 && q.head <= q.outputs.consumed()) {
		if err := q.transact(nil, flush); err != nil || q.intake.pending() > 0 {
			return
		}
		flush = false
	}
}
