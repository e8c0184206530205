package local

import (
	"errors"
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// committer is the one goroutine that writes the log, and what it alone uses.
type committer struct {
	*engine
	pacer       pacer
	judging     *judging
	records     [][]byte // the memory of one group after the other
	known       []*request
	faults      faults
	evictionLog logThrottle
	warned      int   // levels of fillLevels that were warned of
	fullNeed    int64 // the bytes for which the last append that was refused found no room
}

func newCommitter(q *engine) *committer { return &committer{engine: q, judging: newJudging(q)} }

// run writes what comes, one batch a round, so that the ticks get their turn under any load. It ends after the last request
// when stop is closed.
func (q *committer) run() {
	defer close(q.stopped)
	tick := time.NewTicker(q.opts.ProgressInterval)
	defer tick.Stop()
	for {
		ticked := false
		select {
		case <-q.wake:
		case <-tick.C:
			ticked = true
		case s := <-q.sidecars:
			q.takeSidecar(s)
		case <-q.stop:
			q.finish()
			return
		}
		q.coalesce()
		if !q.commitNext() && q.places.due(ticked) {
			_ = q.commit(nil) // a failure is in the status, and progress stays due
		}
		if q.requests.pending() > 0 {
			q.signal()
		}
		if ticked {
			q.runBackgroundWork()
		}
		q.recoverFromFault()
		q.rounds.Add(1)
	}
}

// runBackgroundWork is what a tick does beside progress.
func (q *committer) runBackgroundWork() {
	q.checkFolder()
	q.forget(4096)
	q.retire()
	q.sealByAge()
	q.publishStatus()
	q.evictionLog.say(q.opts.Log, q.opts.Now(), q.opts.Capacity)
}

// commitNext writes the batch that has waited longest, and reports whether there was one.
func (q *committer) commitNext() bool {
	b := q.requests.take()
	if b == nil {
		return false
	}
	defer close(b.done)
	taken := b.requests[:0]
	for _, r := range b.requests {
		if r.state.CompareAndSwap(requestWaiting, requestTaken) {
			taken = append(taken, r)
		}
	}
	_ = q.commit(taken) // each request has its own outcome
	for _, r := range taken {
		q.buffers.giveBack(r)
	}
	return true
}

// finish writes what is there and the progress, and refuses what comes later.
func (q *committer) finish() {
	q.requests.close()
	q.tenures.endAll() // what is advanced from now on would be lost
	for q.commitNext() {
	}
	for range 4 { // a failure now has no later; what is left is repeated after the next start
		if !q.places.due(true) {
			return
		}
		q.closeErr = q.commit(nil)
	}
}

// commit runs the requests and writes what they say in as many groups as it takes, progress with each. Without requests it
// writes progress. The error is that of the last group.
func (q *committer) commit(requests []*request) error {
	for {
		began, commits := time.Now(), q.commits.Load()
		n, err := q.commitGroup(requests)
		if q.commits.Load() > commits { // one that wrote nothing says nothing about the disk
			q.pacer.wrote(n, q.requests.pending(), began, time.Now())
		}
		if n == len(requests) {
			return err
		}
		requests = requests[n:]
	}
}

// commitGroup takes as many requests as fit into one group and writes it. On an error each of them has it, but those that are
// answered all the same.
func (q *committer) commitGroup(requests []*request) (taken int, err error) {
	if err := q.faults.refused(); err != nil {
		q.answerKnown(requests, err)
		return len(requests), err
	}
	t := q.newTxn()
	defer q.keepMemory(t)
	t.flush()
	limit := q.store.log.MaxGroup() - largestSnapshot
	for taken < len(requests) {
		r := requests[taken]
		if next := journal.GroupSize(t.size + journal.RecordSize(len(r.record))); next > limit && len(t.records) > 0 {
			break
		}
		if q.tooLarge(r, limit) {
			taken++
			continue
		}
		t.add(r)
		taken++
	}
	q.watchFill(t.full)
	q.noteFull(t.full, t.fullNeed)
	if len(t.records) == 0 {
		for _, effect := range t.after {
			effect()
		}
		return taken, nil
	}
	if err := q.write(t); err != nil {
		t.discard()
		err = q.failed(err)
		q.answerKnown(requests[:taken], err)
		return taken, err
	}
	return taken, nil
}

// keepMemory lets the next group use t's slices.
func (q *committer) keepMemory(t *txn) {
	clear(t.records)
	clear(t.known)
	q.records, q.known = t.records[:0], t.known[:0]
}

// tooLarge answers a request that fits into no segment, and asks for larger ones.
func (q *committer) tooLarge(r *request, limit int64) bool {
	size := journal.GroupSize(journal.RecordSize(len(r.record)))
	if size <= limit {
		return false
	}
	if most := q.opts.limits.get().MaxBytes; size > most {
		r.err = fmt.Errorf("%w: an event of %d bytes is larger than max_bytes (%d)", queue.ErrFull, size, most)
		return true
	}
	q.store.log.Want(size + 2*largestSnapshot)
	r.err = fmt.Errorf("%w: %w", queue.ErrUnavailable, errTooLarge)
	return true
}

// answerKnown answers what needs no write while there can be none: duplicates of what is durable. All others get cause.
func (q *committer) answerKnown(requests []*request, cause error) {
	q.judging.s = q.store
	q.judging.reset()
	for _, r := range requests {
		r.receipt, r.err = queue.Receipt{}, cause
		if r.job != nil || q.faults.replaced { // what was durable may not be at the path
			continue
		}
		j, err := queue.Judge(q.judging, r.event, r.digest, r.reason, q.opts.Now(), q.opts.Window)
		if err == nil && j.Known {
			r.receipt, r.err = j.Receipt, nil
			r.receipt.Generation = q.generation.Load()
		}
	}
}

// prepareSegment makes sure that a group of size bytes goes into the active segment.
func (q *committer) prepareSegment(size int64) error {
	err := q.store.roll(size)
	if cause := q.prepareErr.Load(); errors.Is(err, journal.ErrNoSegment) && cause != nil {
		return *cause
	}
	return err
}

// write makes t durable and takes it over.
func (q *committer) write(t *txn) error {
	if err := q.prepareSegment(t.size); err != nil {
		return err
	}
	x, snapshot, err := q.beginGroup(t.s)
	if err != nil {
		return err
	}
	records, known := t.records, t.known
	if snapshot != nil {
		records = append([][]byte{snapshot}, records...)
		known = append([]*request{nil}, known...)
		q.sealSoon()
	}
	if len(records) == 0 {
		return nil
	}
	first, began := t.s.log.Next(), time.Now()
	offset, err := t.s.log.Write(records, journal.Marks{t.lastSeq, t.lastItem})
	if err != nil {
		return err
	}
	q.commits.Add(1)
	accepted := q.apply(x, records, known, first, offset, t.now)
	q.metrics.Committed(time.Since(began), len(accepted))
	q.publish(t, accepted)
	return nil
}

// beginGroup returns the active segment's index, and a snapshot when the segment is new.
func (q *committer) beginGroup(s *store) (x *index, snapshot []byte, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.begin(q.opts.Now().UTC())
}

// apply takes the group's records over and returns the events that it accepted.
func (q *committer) apply(x *index, records [][]byte, known []*request, first uint64, offset int64, now time.Time) []*queue.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.store
	x.meta.Bytes = s.log.Active().Used()
	var accepted []*queue.Event
	for i, record := range records {
		at := s.newest(x, first, offset, i)
		r := known[i]
		if r == nil {
			if err := s.apply(record, at); err != nil { // never: it was made just now
				q.opts.Log.Error("a record of this process can't be understood", "error", err)
			}
			continue
		}
		r.event.Seq = r.receipt.Seq
		if r.event.Signal == nil {
			r.event.Decode()
		}
		x.meta.LastRecord = at.number
		s.applyEvent(&eventRecord{event: *r.event, at: now, item: r.item}, r.digest, at)
		accepted = append(accepted, r.event)
	}
	if err := s.forgetOld(now, 2*len(accepted)+64); err != nil {
		q.noteReadError(err)
	}
	return accepted
}

// publish makes the group visible to readers.
func (q *committer) publish(t *txn, accepted []*queue.Event) {
	for _, m := range t.moves {
		q.places.written(m)
	}
	for _, effect := range t.after {
		effect()
	}
	q.tail.push(accepted, q.places.done())
	q.faults.succeeded()
	q.publishStatus()
	q.evictionLog.note(t, q.store.evicted)
}

// forget lets go of old deliveries while no append does.
func (q *committer) forget(limit int) {
	q.mu.Lock()
	err := q.store.forgetOld(q.opts.Now(), limit)
	q.mu.Unlock()
	q.noteReadError(err)
}

// retire gives up segments that nobody needs.
func (q *committer) retire() {
	l := q.opts.limits.get()
	q.mu.Lock()
	err := q.store.retire(l.Keep, l.MaxBytes, q.opts.Now())
	q.mu.Unlock()
	if err != nil {
		q.opts.Log.Warn("the queue could not delete what it no longer needs; it will try again", "error", err)
	}
}

// maxSegmentAge is when a segment is sealed although it isn't full, so that little traffic doesn't keep bodies for years.
const maxSegmentAge = 24 * time.Hour

func (q *committer) sealByAge() {
	s := q.store
	if s.state.Began.IsZero() || q.opts.Now().Sub(s.state.Began) < maxSegmentAge || q.faults.cause != nil {
		return
	}
	if s.log.Roll() != nil {
		return // the next one is not prepared yet
	}
	t := q.newTxn()
	if err := q.write(t); err != nil {
		t.discard()
		_ = q.failed(err)
	}
}
