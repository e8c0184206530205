package queue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"slices"

	"go.etcd.io/bbolt"
)

// Quarantine implements Reader.
func (q *embedded) Quarantine(ctx context.Context, items []QuarantineItem) error {
	return q.do(ctx, func(t *txn) error { return t.putItems(items) })
}

// putItems stores all items or, when they don't fit, none.
func (t *txn) putItems(items []QuarantineItem) error {
	need := int64(0)
	for i := range items {
		need += int64(eventSizeHint(&items[i].Event)) + 128
	}
	if t.counts.quarantineBytes+need > t.q.quarantineLimit.Load() {
		return fmt.Errorf("%w: its quarantine has used up quarantine_max_bytes (%d); re-send or delete what is in it",
			ErrFull, t.q.quarantineLimit.Load())
	}
	for i := range items {
		item := items[i]
		if item.At.IsZero() {
			item.At = t.now
		}
		if _, err := t.putItem(&item, zeroDigest, false); err != nil {
			return err
		}
	}
	return nil
}

// quarantineDamaged moves values that fail their checksum out of the way.
func (q *embedded) quarantineDamaged(ctx context.Context, damaged []storedValue) error {
	return q.do(ctx, func(t *txn) error {
		for _, d := range damaged {
			if err := t.moveDamaged(d); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) moveDamaged(d storedValue) error {
	key := sequenceKey(d.seq)
	if t.events.Get(key) == nil {
		return nil // another reader was first
	}
	item := QuarantineItem{Reason: ReasonDamaged, Output: ReceiveQuarantine, At: t.now, Event: Event{Seq: d.seq}, Raw: d.value}
	if _, err := t.putItem(&item, zeroDigest, false); err != nil {
		return err
	}
	if err := t.delete(t.events, key); err != nil {
		return err
	}
	t.counts.events--
	t.counts.bytes = max(0, t.counts.bytes-int64(len(d.value)))
	t.afterCommit = append(t.afterCommit, func() {
		t.q.damaged.Add(1)
		t.q.opts.Log.Error("a stored event is damaged; its bytes are in the quarantine", "event", "queue_damaged", "bridge_seq", d.seq)
	})
	return nil
}

// ListQuarantine implements Operator.
func (q *embedded) ListQuarantine(ctx context.Context, after uint64, limit int, brief bool) ([]QuarantineItem, error) {
	var items []QuarantineItem
	for len(items) < limit && ctx.Err() == nil {
		part, err := q.listPart(after, min(limit-len(items), maxReadEvents), brief)
		if err != nil {
			return nil, fmt.Errorf("list the quarantine: %w", err)
		}
		if len(part) == 0 {
			break
		}
		items = append(items, part...)
		after = part[len(part)-1].ID
	}
	return items, ctx.Err()
}

// listPart reads one short transaction's worth of items.
func (q *embedded) listPart(after uint64, limit int, brief bool) ([]QuarantineItem, error) {
	var found []storedValue
	err := q.view(func(tx *bbolt.Tx) error {
		found = collect(tx.Bucket([]byte(bucketQuarantine)), after, ^uint64(0), limit, maxReadBytes).values
		return nil
	})
	items := make([]QuarantineItem, 0, len(found))
	for _, s := range found {
		item, _, parseErr := parseQuarantine(s.value, sequenceKey(s.seq))
		if parseErr != nil {
			item = &QuarantineItem{ID: s.seq, Reason: ReasonDamaged, Output: ReceiveQuarantine, Raw: s.value}
		}
		if brief {
			item.Event.Body, item.Raw = nil, nil
		} else if item.Raw == nil {
			decodeSignal(&item.Event)
		}
		items = append(items, *item)
	}
	return items, err
}

// Resend implements Operator.
func (q *embedded) Resend(ctx context.Context, id uint64, outputs []string) (uint64, error) {
	var seq uint64
	err := q.do(ctx, func(t *txn) error {
		var err error
		seq, err = t.resend(id, outputs)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("re-send item %d: %w", id, err)
	}
	return seq, nil
}

func (t *txn) resend(id uint64, outputs []string) (uint64, error) {
	key := sequenceKey(id)
	value := t.quarantine.Get(key)
	if value == nil {
		return 0, fmt.Errorf("no such item in the quarantine")
	}
	item, _, err := parseQuarantine(append([]byte(nil), value...), key)
	if err != nil {
		return 0, err
	}
	if len(item.Raw) > 0 {
		return 0, fmt.Errorf("it is a damaged value and can only be shown or deleted")
	}
	e := item.Event
	e.ResendOf, e.Seq = item.Event.Seq, 0
	e.Only = outputs
	if len(outputs) == 0 && item.Output != ReceiveQuarantine {
		e.Only = []string{item.Output}
	}
	if err := t.q.outputs.known(e.Only); err != nil {
		return 0, err
	}
	decodeSignal(&e)
	r := t.q.requestFor(&e, "")
	r.resent, r.previous = true, t.newestDelivery(r)
	if err := t.accept(r); err != nil {
		return 0, err
	}
	return r.receipt.Seq, t.removeItem(id)
}

// requestFor prepares all of an append that needs no transaction.
func (q *embedded) requestFor(e *Event, hold string) *request {
	r := &request{event: e, hold: hold, digest: sha256.Sum256(e.Body)}
	r.digestKey = q.keys.digest([]byte(e.Endpoint), r.digest[:])
	r.deliveryKey = q.keys.delivery([]byte(e.Endpoint), []byte(e.DeliveryID))
	r.buffer = q.buffers.take()
	r.value = appendEvent(newValue(slices.Grow((*r.buffer)[:0], eventSizeHint(e)), kindEvent), e)
	r.own = crc32.Checksum(r.value[4:], castagnoli)
	return r
}

// DropQuarantine implements Operator.
func (q *embedded) DropQuarantine(ctx context.Context, id uint64) error {
	return q.do(ctx, func(t *txn) error { return t.removeItem(id) })
}
