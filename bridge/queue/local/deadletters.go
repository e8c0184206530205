package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// ListDeadLetters implements queue.DeadLetters.
func (q *engine) ListDeadLetters(ctx context.Context, after uint64, limit int, brief bool) ([]queue.DeadLetter, error) {
	var items []queue.DeadLetter
	for len(items) < limit && ctx.Err() == nil {
		part := q.current().letters.after(after, min(limit-len(items), 256))
		if len(part) == 0 {
			break
		}
		for i := range part {
			after = part[i].id
			item, err := q.readLetter(&part[i])
			if errors.Is(err, queue.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list the quarantine: %w", err)
			}
			if brief {
				item.Event.Body, item.Raw = nil, nil
			}
			items = append(items, item)
		}
	}
	return items, ctx.Err()
}

// GetDeadLetter implements queue.DeadLetters.
func (q *engine) GetDeadLetter(_ context.Context, id uint64) (queue.DeadLetter, error) {
	l, ok := q.current().letters.get(id)
	if !ok {
		return queue.DeadLetter{}, fmt.Errorf("dead letter %d: %w", id, queue.ErrNotFound)
	}
	return q.readLetter(&l)
}

// readLetter reads a dead letter from its file, or from the log while it has none. One whose file does not match is damaged; one
// whose file was deleted by hand is dropped.
func (q *engine) readLetter(l *letter) (queue.DeadLetter, error) {
	s := q.current()
	if !l.filed {
		if item, err := q.letterFromLog(s, l.place); err == nil {
			return *item, nil
		} else if now, ok := s.letters.get(l.id); !ok || !now.filed {
			return queue.DeadLetter{}, fmt.Errorf("dead letter %d: %w", l.id, err)
		}
	}
	item, raw, err := s.letters.readFile(l)
	switch {
	case err == nil:
		item.Event.Decode()
		return *item, nil
	case errors.Is(err, os.ErrNotExist):
		q.dropDeleted(l.id)
		return queue.DeadLetter{}, fmt.Errorf("dead letter %d: %w: its file was deleted", l.id, queue.ErrNotFound)
	case !errors.Is(err, errLetter):
		return queue.DeadLetter{}, fmt.Errorf("dead letter %d: %w: %w", l.id, queue.ErrUnavailable, err)
	}
	if item, err := q.letterFromLog(s, l.place); err == nil {
		return *item, nil
	}
	return queue.DeadLetter{ID: l.id, Output: l.output, Reason: "damaged", Damaged: err.Error(), Raw: raw, Event: queue.Event{Seq: l.seq}}, nil
}

// letterFromLog reads a dead letter's record.
func (q *engine) letterFromLog(s *store, place recordPlace) (*queue.DeadLetter, error) {
	record, err := q.recordAt(s, place)
	if err != nil {
		return nil, err
	}
	item, err := parseDeadLetter(record)
	if err != nil {
		return nil, err
	}
	item.Event.Decode()
	return item, nil
}

// recordAt reads one record of the log.
func (q *engine) recordAt(s *store, place recordPlace) ([]byte, error) {
	seg := s.log.Hold(place.Segment)
	if seg == nil {
		return nil, fmt.Errorf("%w: segment %d is no longer kept", queue.ErrUnavailable, place.Segment)
	}
	defer s.log.Release(seg)
	g, err := seg.Scanner(place.Offset, 0).Next()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	if g == nil || g.Offset != place.Offset || place.Index >= len(g.Records) ||
		len(g.Records[place.Index]) == 0 || g.Records[place.Index][0] != kindDeadLetter {
		return nil, fmt.Errorf("%w: segment %d", errRecord, place.Segment)
	}
	return append([]byte(nil), g.Records[place.Index]...), nil
}

// dropDeleted notes that a dead letter's file was deleted by hand.
func (q *engine) dropDeleted(id uint64) {
	if _, wake := q.requests.add(&request{job: func(t *txn) error { return t.drop(id) }}); wake {
		q.signal()
	}
}

// holds reports whether a body that came to an endpoint is among the letters that were quarantined on receipt.
func (q *engine) holds(s *store, endpoint string, digest queue.Digest) (bool, error) {
	for _, l := range s.letters.candidates(digest) {
		item, err := q.readLetter(&l)
		switch {
		case errors.Is(err, queue.ErrNotFound):
		case err != nil:
			return false, err
		case item.Damaged == "" && item.Event.Endpoint == endpoint && queue.DigestOf(item.Event.Body) == digest:
			return true, nil
		}
	}
	return false, nil
}

// Resend implements queue.DeadLetters.
func (q *engine) Resend(ctx context.Context, id uint64, outputs []string) (uint64, error) {
	s := q.current()
	l, ok := s.letters.get(id)
	var item queue.DeadLetter
	if ok {
		var err error
		if item, err = q.readLetter(&l); err != nil {
			return 0, fmt.Errorf("re-send: %w", err)
		}
	}
	var seq uint64
	r := q.resendRequest(&item, id, outputs)
	r.job = func(t *txn) (err error) {
		seq, err = t.resend(r, &item, id)
		return err
	}
	if err := q.submit(ctx, r); err != nil {
		return 0, fmt.Errorf("re-send item %d: %w", id, err)
	}
	return seq, nil
}

// resendRequest makes the event that a dead letter becomes.
func (q *engine) resendRequest(item *queue.DeadLetter, id uint64, outputs []string) *request {
	e := item.Event
	e.ResendOf, e.Seq, e.Only = item.Event.Seq, 0, outputs
	if len(outputs) == 0 && item.Output != "" {
		e.Only = []string{item.Output}
	}
	return q.requestFor(&e, "", id)
}

func (t *txn) resend(r *request, item *queue.DeadLetter, id uint64) (uint64, error) {
	if seq := max(t.s.state.resentAs(id), t.gone[id]); seq != 0 {
		return seq, nil
	}
	if !t.hasLetter(id) || item.ID != id {
		return 0, queue.ErrNotFound
	}
	if item.Damaged != "" {
		return 0, fmt.Errorf("it is damaged (%s) and can only be shown and dropped", item.Damaged)
	}
	for _, name := range r.event.Only {
		if t.s.state.Outputs[name] == nil {
			return 0, fmt.Errorf("output %q: %w: there are %v", name, queue.ErrNotFound, t.s.state.names())
		}
	}
	seq, err := t.accept(r)
	if err == nil {
		t.lose(id, seq)
	}
	return seq, err
}

// hasLetter reports whether a dead letter is there, and not taken away by this group.
func (t *txn) hasLetter(id uint64) bool {
	_, there := t.s.letters.get(id)
	_, gone := t.gone[id]
	return there && !gone
}

// lose notes that this group takes a dead letter away: re-sent as seq, or dropped (0).
func (t *txn) lose(id, seq uint64) {
	if t.gone == nil {
		t.gone = map[uint64]uint64{}
	}
	t.gone[id] = seq
}

// drop adds the record of a drop.
func (t *txn) drop(id uint64) error {
	if !t.hasLetter(id) {
		return queue.ErrNotFound
	}
	t.lose(id, 0)
	t.put(dropRecord(id), nil)
	return nil
}

// DropDeadLetter implements queue.DeadLetters.
func (q *engine) DropDeadLetter(ctx context.Context, id uint64) error {
	err := q.do(ctx, func(t *txn) error { return t.drop(id) })
	if err != nil {
		return fmt.Errorf("drop item %d: %w", id, err)
	}
	return nil
}
