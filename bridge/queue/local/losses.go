package local

import (
	"context"
	"fmt"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Losses implements queue.LossLog.
func (q *engine) Losses(context.Context) ([]queue.Loss, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.store.state.openLosses(), nil
}

// Acknowledge implements queue.LossLog.
func (q *engine) Acknowledge(ctx context.Context, id uint64, who string) error {
	err := q.do(ctx, func(t *txn) error {
		for _, l := range t.s.state.openLosses() {
			if l.ID == id {
				return t.putJSON(kindAck, ackRecord{ID: id, Who: who, At: t.now})
			}
		}
		return fmt.Errorf("loss %d: %w", id, queue.ErrNotFound)
	})
	if err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// tellDamage tells that events are not where they should be, unless that is known. The whole segment is read for it, so that the
// loss has the numbers of its records and the segment is kept until somebody has taken note.
func (q *engine) tellDamage(s *store, found []damage) {
	for _, d := range found {
		if err := (verifier{q}).verifySegment(s, d.segment); err != nil {
			q.noteReadError(err)
		}
		for _, r := range d.lost {
			q.noteLoss(s, loss{Loss: queue.Loss{
				What: fmt.Sprintf("segment %d is damaged", d.segment), First: r.First, Last: r.Last, Records: r.Last - r.First + 1,
			}})
		}
	}
}

// noteLoss tells a loss of s without waiting for that to be durable: what is told again is known by its numbers.
func (q *engine) noteLoss(s *store, l loss) {
	b, wake := q.requests.add(&request{job: func(t *txn) error {
		if t.s != s || t.s.state.isKnown(&l) {
			return nil
		}
		l.ID, l.At = t.s.state.LastLoss+1+uint64(t.newLosses), t.now //nolint:gosec // a count
		t.newLosses++
		q.opts.Log.Error("something that was acknowledged is lost; see losses list", "event", "queue_damaged", "what", l.What,
			"first", l.First, "last", l.Last, "records", l.Records)
		t.after = append(t.after, func() { q.generation.Add(1) })
		return t.putJSON(kindLoss, l)
	}})
	if b != nil && wake {
		q.signal()
	}
}
