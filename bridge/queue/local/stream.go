package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// stream implements queue.Stream for one tenure.
type stream struct {
	q      *engine
	output string
	lease  *lease
}

// Bounds of one read of the log.
const (
	maxReadEvents = 1024
	maxReadBytes  = 1 << 20
)

// Cursor implements queue.Stream.
func (t *stream) Cursor() uint64 {
	cursor, _ := t.q.places.get(t.output)
	return cursor
}

// Read implements queue.Stream.
func (t *stream) Read(ctx context.Context, after uint64, limit, maxBytes int) (queue.Batch, error) {
	limit = min(max(1, limit), maxReadEvents)
	delay := 20 * time.Millisecond
	for {
		b, err := t.read(after, ^uint64(0), limit, maxBytes)
		if err == nil && b.Through > after {
			return b, nil
		}
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			return queue.Batch{}, err
		}
		var retry <-chan time.Time
		news := t.q.tail.wait(after)
		if err != nil {
			retry, news, delay = time.After(delay), nil, min(2*delay, time.Second)
		} else if news == nil {
			continue
		}
		select {
		case <-news:
		case <-retry:
		case <-t.lease.lost:
			return queue.Batch{}, queue.ErrLost
		case <-ctx.Done():
			return queue.Batch{}, ctx.Err()
		}
	}
}

// Range implements queue.Stream.
func (t *stream) Range(ctx context.Context, first, last uint64, maxBytes int) (queue.Batch, error) {
	if ctx.Err() != nil {
		return queue.Batch{}, ctx.Err()
	}
	return t.read(first-1, last, maxReadEvents, maxBytes)
}

// read returns what there is above after and up to last. Through is after when there is nothing.
func (t *stream) read(after, last uint64, limit, maxBytes int) (queue.Batch, error) {
	if !t.lease.Valid() {
		return queue.Batch{}, queue.ErrLost
	}
	b := queue.Batch{Through: after}
	last, err := t.passDropped(&b, last)
	if err != nil || b.Through > after {
		return b, err
	}
	if events, ok := t.q.tail.read(after, int(min(uint64(limit), last-after)), maxBytes); ok { //nolint:gosec // at most limit
		if n := len(events); n > 0 {
			b.Events, b.Through = events, events[n-1].Seq
		}
		return b, nil
	}
	s := t.q.current()
	damage, err := t.q.readStored(s, &b, min(last, t.q.tail.first()-1), limit, maxBytes)
	t.q.noteReadError(err)
	t.q.tellDamage(s, damage)
	return b, err
}

// passDropped passes what the queue has dropped for this output: that isn't given any more, although it may still be there for
// others. It returns up to where there is something else than that.
func (t *stream) passDropped(b *queue.Batch, last uint64) (uint64, error) {
	cursor := t.Cursor()
	if b.Through >= cursor {
		return last, nil
	}
	outcomes, err := t.q.outcomes(t.output, b.Through+1, min(cursor, last))
	if err != nil {
		return last, err
	}
	for i, o := range outcomes {
		switch {
		case o.Outcome != queue.Dropped:
		case i > 0:
			return o.First - 1, nil
		default:
			addGap(b, o.Last, queue.Dropped)
			return last, nil
		}
	}
	return last, nil
}

// Advance implements queue.Stream.
func (t *stream) Advance(p queue.Progress) {
	if t.q.places.advance(t.lease, t.output, p, t.q.tail.last()) {
		t.q.signal()
	}
}

// Quarantine implements queue.Stream.
func (t *stream) Quarantine(ctx context.Context, items []queue.DeadLetter) error {
	for len(items) > 0 {
		if !t.lease.Valid() {
			return queue.ErrLost
		}
		n := refusalChunk(items, t.q.current().log.MaxGroup()/2)
		part := items[:n]
		items = items[n:]
		if err := t.q.do(ctx, func(x *txn) error { return t.refuse(x, part) }); err != nil {
			return fmt.Errorf("quarantine for output %s: %w", t.output, err)
		}
	}
	return nil
}

// refusalChunk is how many of items go into one group.
func refusalChunk(items []queue.DeadLetter, limit int64) int {
	n, size := 0, int64(0)
	for n < len(items) {
		size += int64(eventSizeHint(&items[n].Event)) + 256
		if n > 0 && size > limit {
			break
		}
		n++
	}
	return n
}

// refuse adds items, all or none.
func (t *stream) refuse(x *txn, items []queue.DeadLetter) error {
	if !t.lease.Valid() {
		return queue.ErrLost
	}
	need := int64(0)
	var wanted []queue.DeadLetter
	seen := map[uint64]bool{}
	for _, item := range items {
		seq := item.Event.Seq
		if repeated := seq != 0 && seen[seq]; !repeated && !x.s.letters.refused(t.output, seq) {
			seen[seq] = true
			wanted = append(wanted, item)
			need += max(minLetter, int64(eventSizeHint(&item.Event))+256)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := x.letterRoom(t.output, need); err != nil {
		return err
	}
	for i := range wanted {
		wanted[i].Output = t.output
		if err := x.putLetter(&wanted[i]); err != nil {
			return err // never: there is room for all
		}
	}
	return nil
}

// segmentReader reads events out of one segment.
type segmentReader struct {
	seg     *journal.Segment
	scanner *journal.Scanner
	last    uint64     // the newest event in it
	givenUp uint64     // what comes before the segment was kept up to there no longer than every output needed it
	lost    []seqRange // found on the way
}

// damage is what a reader has found missing in a segment.
type damage struct {
	segment uint64
	lost    []seqRange
}

// openReader finds the segment of s that has the event seq or the next newer one, held until it is released. ok false: there is
// none.
func (q *engine) openReader(s *store, seq uint64) (r segmentReader, ok bool) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, x := range s.indexes {
		if x.retired || x.meta.LastSeq < seq {
			continue
		}
		seg := s.log.Hold(x.meta.Number)
		if seg == nil {
			continue
		}
		offset, found := x.offsetOf(seq)
		if !found {
			offset = 0
		}
		r := segmentReader{seg: seg, scanner: seg.Scanner(offset, 0), last: x.meta.LastSeq}
		if first := x.meta.FirstSeq; first > seq {
			r.givenUp = min(first-1, s.state.consumed())
		}
		return r, true
	}
	return segmentReader{}, false
}

// readStored adds to b what the log of s has above b.Through and up to last, and says what it should have and doesn't.
func (q *engine) readStored(s *store, b *queue.Batch, last uint64, limit, maxBytes int) (found []damage, err error) {
	bytes := 0
	for b.Through < last && len(b.Events) < limit {
		if g, ok := q.goneAt(s, b.Through+1); ok {
			addGap(b, min(g.Last, last), queue.Lost)
			continue
		}
		r, ok := q.openReader(s, b.Through+1)
		if !ok {
			addGap(b, last, queue.Unknown) // it was given up: every output is past it
			return found, nil
		}
		addGap(b, min(r.givenUp, last), queue.Unknown)
		full, err := r.read(b, last, limit, maxBytes, &bytes)
		if err == nil && !full { // the segment should have had the rest
			r.lose(b, min(last, r.last))
		}
		if len(r.lost) > 0 {
			found = append(found, damage{r.seg.Number(), r.lost})
		}
		s.log.Release(r.seg)
		if err != nil {
			return found, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		}
		if full {
			return found, nil
		}
	}
	return found, nil
}

// addGap notes that everything up to last will never come.
func addGap(b *queue.Batch, last uint64, outcome queue.Outcome) {
	if last > b.Through {
		b.Gaps = append(b.Gaps, queue.Gap{First: b.Through + 1, Last: last, Outcome: outcome})
		b.Through = last
	}
}

// read adds to b what the segment has. full: b takes no more.
func (r *segmentReader) read(b *queue.Batch, last uint64, limit, maxBytes int, bytes *int) (full bool, err error) {
	for {
		g, err := r.scanner.Next()
		if err != nil || g == nil {
			return false, err
		}
		for _, record := range g.Records {
			if len(record) < timeAt || record[0] != kindEvent {
				continue
			}
			seq := sequenceOf(record)
			if seq <= b.Through {
				continue
			}
			r.lose(b, min(seq-1, last))
			if seq > last || len(b.Events) >= limit {
				return true, nil
			}
			e, err := parseEventRecord(append([]byte(nil), record...))
			if err != nil {
				r.lose(b, seq)
				continue
			}
			if *bytes += len(e.event.Body); *bytes > min(maxBytes, maxReadBytes) && len(b.Events) > 0 {
				return true, nil
			}
			e.event.Decode()
			b.Events = append(b.Events, &e.event)
			b.Through = seq
		}
	}
}

// lose notes that everything up to a sequence is not where it should be.
func (r *segmentReader) lose(b *queue.Batch, through uint64) {
	if through > b.Through {
		r.lost = append(r.lost, seqRange{b.Through + 1, through})
		addGap(b, through, queue.Lost)
	}
}

func (q *engine) goneAt(s *store, seq uint64) (seqRange, bool) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return s.state.goneAt(seq)
}

// firstSince returns the first kept event that was received at or after a time, or the one behind the newest.
func (q *engine) firstSince(ctx context.Context, s *store, since time.Time) (uint64, error) {
	q.mu.RLock()
	from, last := s.oldestEvent(), s.state.LastSeq
	q.mu.RUnlock()
	for from <= last {
		b := queue.Batch{Through: from - 1}
		damage, err := q.readStored(s, &b, last, maxReadEvents, maxReadBytes)
		q.tellDamage(s, damage)
		if err != nil {
			return 0, err
		}
		for _, e := range b.Events {
			if !e.ReceivedAt.Before(since) {
				return e.Seq, nil
			}
		}
		from = b.Through + 1
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return last + 1, nil
}
