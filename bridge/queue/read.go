package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Bounds of one read transaction, so that it stays short.
const (
	maxReadEvents = 1024
	maxReadBytes  = 1 << 20
)

// Read implements Reader.
func (q *embedded) Read(ctx context.Context, after uint64, limit, maxBytes int) ([]*Event, error) {
	limit = max(1, limit)
	for {
		events, ok := q.tail.read(after, limit, maxBytes)
		if len(events) > 0 {
			return events, nil
		}
		if !ok {
			var err error
			events, after, err = q.readStored(ctx, after, q.tail.first(), limit, maxBytes)
			if closed := (*closedError)(nil); errors.As(err, &closed) {
				err = q.awaitReopen(ctx, closed)
			}
			if len(events) > 0 || err != nil {
				return events, err
			}
		}
		if err := q.waitForNews(ctx, after); err != nil {
			return nil, err
		}
	}
}

func (q *embedded) waitForNews(ctx context.Context, after uint64) error {
	news := q.tail.wait(after)
	if news == nil {
		return ctx.Err()
	}
	select {
	case <-news:
		return nil
	case <-q.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Range implements Reader.
func (q *embedded) Range(ctx context.Context, first, last uint64, maxBytes int) ([]*Event, error) {
	for after := first - 1; after < last; {
		limit := int(min(last-after, maxReadEvents))
		events, ok := q.tail.read(after, limit, maxBytes)
		if ok {
			return events, nil
		}
		events, through, err := q.readStored(ctx, after, min(last+1, q.tail.first()), limit, maxBytes)
		if len(events) > 0 || err != nil {
			return events, err
		}
		after = through
	}
	return nil, ctx.Err()
}

// readStored reads what the database has above after and below end. through is the sequence up to which there is
// nothing beside the result: what was damaged on the way is in the quarantine.
func (q *embedded) readStored(ctx context.Context, after, end uint64, limit, maxBytes int) (events []*Event, through uint64, err error) {
	var found storedEvents
	err = q.view(func(tx *bbolt.Tx) error {
		found = collect(tx.Bucket([]byte(bucketEvents)), after, end, min(limit, maxReadEvents), min(maxBytes, maxReadBytes))
		return nil
	})
	if err != nil {
		return nil, after, &closedError{err}
	}
	events, damaged := found.parse()
	if len(damaged) > 0 {
		if err := q.quarantineDamaged(ctx, damaged); err != nil {
			return nil, after, fmt.Errorf("quarantine damaged events: %w", err)
		}
	}
	if len(found.values) == 0 {
		return nil, max(after, end-1), nil
	}
	return events, found.last, nil
}

// closedError says that the database can't be read now: the committer is about to reopen it.
type closedError struct{ cause error }

func (e *closedError) Error() string { return "read the queue: " + e.cause.Error() }
func (e *closedError) Unwrap() error { return e.cause }

// awaitReopen gives the committer a moment to reopen the database; the caller then reads again.
func (q *embedded) awaitReopen(ctx context.Context, cause error) error {
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-q.stop:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("%w (%w)", ctx.Err(), cause)
	case <-timer.C:
		return nil
	}
}

// storedValue is a copy of one stored event.
type storedValue struct {
	seq   uint64
	value []byte
}

// storedEvents is what one read transaction copied.
type storedEvents struct {
	values []storedValue
	last   uint64 // the newest sequence that was looked at; 0: there was none
}

// collect copies the values of the sequences above after and below end.
func collect(events *bbolt.Bucket, after, end uint64, limit, maxBytes int) storedEvents {
	var found storedEvents
	c := events.Cursor()
	bytes := 0
	for k, v := c.Seek(sequenceKey(after + 1)); k != nil; k, v = c.Next() {
		seq := keySequence(k)
		bytes += len(v)
		if seq >= end || len(found.values) >= limit || (bytes > maxBytes && len(found.values) > 0) {
			break
		}
		found.last = seq
		found.values = append(found.values, storedValue{seq: seq, value: append([]byte(nil), v...)})
	}
	return found
}

// parse decodes what was copied, and returns apart what is damaged.
func (f *storedEvents) parse() (events []*Event, damaged []storedValue) {
	for _, s := range f.values {
		e := &Event{Seq: s.seq}
		p, err := open(s.value, sequenceKey(s.seq), kindEvent)
		if err == nil {
			err = parseEvent(&p, e)
		}
		if err != nil {
			damaged = append(damaged, s)
			continue
		}
		decodeSignal(e)
		events = append(events, e)
	}
	return events, damaged
}
