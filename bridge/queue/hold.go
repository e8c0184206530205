package queue

import (
	"crypto/sha256"
	"fmt"
)

// hold puts r's event into the quarantine unless the same body is there already.
func (t *txn) hold(r *request, reason string) (Receipt, error) {
	receipt := Receipt{Outcome: Quarantined, Reason: reason}
	if t.alreadyHeld(r) {
		return receipt, nil
	}
	item := QuarantineItem{Reason: reason, Output: ReceiveQuarantine, At: t.now, Event: *r.event}
	item.Event.Seq = 0
	id, err := t.putItem(&item, r.digest, true)
	if err != nil {
		return Receipt{}, err
	}
	if t.held == nil {
		t.held = make(map[uint64]uint64)
	}
	t.held[r.digestKey] = id
	return receipt, nil
}

func (t *txn) alreadyHeld(r *request) bool {
	id, ok := t.held[r.digestKey]
	if !ok {
		id, ok = t.q.quarantined[r.digestKey]
	}
	if !ok {
		return false
	}
	key := t.key(id)
	item, digest, err := parseQuarantine(t.quarantine.Get(key), key)
	return err == nil && digest == r.digest && item.Event.Endpoint == r.event.Endpoint
}

// putItem stores a quarantine item within its allowance; bounded false lets it exceed that.
func (t *txn) putItem(item *QuarantineItem, digest [sha256.Size]byte, bounded bool) (uint64, error) {
	key := sequenceKey(t.counts.nextItem + 1)
	value := encodeQuarantine(item, digest, key)
	if limit := t.q.quarantineLimit.Load(); bounded && t.counts.quarantineBytes+int64(len(value)) > limit {
		return 0, fmt.Errorf("%w: its quarantine has used up quarantine_max_bytes (%d); re-send or delete what is in it",
			ErrFull, limit)
	}
	if err := t.put(t.quarantine, key, value); err != nil {
		return 0, err
	}
	t.counts.nextItem++
	t.counts.quarantine++
	t.counts.quarantineBytes += int64(len(value))
	t.written = true
	return t.counts.nextItem, nil
}

// removeItem deletes a quarantine item.
func (t *txn) removeItem(id uint64) error {
	key := sequenceKey(id)
	value := t.quarantine.Get(key)
	if value == nil {
		return fmt.Errorf("no item %d in the quarantine", id)
	}
	size := int64(len(value))
	item, digest, err := parseQuarantine(value, key)
	if err := t.delete(t.quarantine, key); err != nil {
		return err
	}
	t.counts.quarantine--
	t.counts.quarantineBytes -= size
	t.written = true
	if err == nil && digest != zeroDigest {
		digestKey := t.q.keys.digest([]byte(item.Event.Endpoint), digest[:])
		t.afterCommit = append(t.afterCommit, func() {
			if t.q.quarantined[digestKey] == id {
				delete(t.q.quarantined, digestKey)
			}
		})
	}
	return nil
}
