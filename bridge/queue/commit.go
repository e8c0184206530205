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
		ticked := false
		select {
		case <-q.wake:
		case <-tick.C:
			ticked = true
		case <-q.stop:
			q.finish()
			return
		}
		q.gather()
		flush := q.outputs.due(ticked)
		if !q.commitNext(flush) && flush {
			_ = q.transact(nil, true) // a failure is in the status, and the cursors stay due
		}
		if q.intake.pending() > 0 {
			q.signal()
		}
		q.mend()
		if ticked {
			q.tidy()
			q.compact()
			q.news.say(q.opts.Log, q.opts.Now(), q.opts.Capacity)
		}
		q.rounds.Add(1)
	}
}

// commitNext commits the batch that has waited longest, with the cursors where flush asks for them, and reports whether
// there was one.
func (q *embedded) commitNext(flush bool) bool {
	b := q.intake.take()
	if b != nil {
		q.commit(b, flush)
	}
	return b != nil
}

// finish commits what is there and the cursors, and refuses what comes later.
func (q *embedded) finish() {
	q.intake.close()
	for q.commitNext(false) {
	}
	for range 4 { // a failure now has no later; what is left is repeated after the next start
		if !q.outputs.due(true) {
			break
		}
		_ = q.transact(nil, true)
	}
	q.tidy()
}

// commit makes one batch durable and tells its waiters.
func (q *embedded) commit(b *batch, flush bool) {
	defer close(b.done)
	taken := b.requests[:0]
	for _, r := range b.requests {
		if r.state.CompareAndSwap(requestWaiting, requestTaken) {
			taken = append(taken, r)
		}
	}
	if len(taken) == 0 && !flush {
		return
	}
	q.opts.hooks.reach("append")
	began, commits := time.Now(), q.commits.Load()
	err := q.transact(taken, flush)
	for _, r := range taken {
		if err != nil {
			r.receipt, r.err = Receipt{}, err
		}
		q.buffers.giveBack(r)
	}
	if q.commits.Load() > commits { // one that wrote nothing says nothing about the disk
		q.pace.committed(len(taken), q.intake.pending(), began, time.Now())
	}
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
	events := make([]*Event, len(t.accepted))
	for i, r := range t.accepted {
		r.event.Seq = r.receipt.Seq
		events[i] = r.event
		q.memory.add(entry{r.digestKey, r.deliveryKey, r.receipt.Seq})
	}
	for _, e := range t.forgotten { // some of them may be of this very transaction
		q.memory.forget(e)
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

// tidy deletes what every output is past, until there is an append, whose transaction deletes a share too, and for no
// longer than until the next tick.
func (q *embedded) tidy() {
	began := time.Now()
	for q.counts.events > 0 && q.head <= q.outputs.consumed() && time.Since(began) < q.opts.CursorInterval {
		if err := q.transact(nil, false); err != nil || q.intake.pending() > 0 {
			return
		}
	}
}
