package queue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// publishStatus takes over what a committed transaction changed.
func (q *embedded) publishStatus(t *txn) {
	q.evicted.Add(t.evictions)
	q.statusMu.Lock()
	q.committed, q.firstSeq = t.counts, t.head
	if !t.oldestSeen.IsZero() || t.counts.seen == 0 {
		q.oldestSeen = t.oldestSeen
	}
	q.statusMu.Unlock()
	q.setHealth(health{ok: true})
	q.watchFill(t.full)
	q.news.note(t)
}

// Status implements Operator.
func (q *embedded) Status() Status {
	q.statusMu.Lock()
	s := Status{
		BridgeID: q.bridgeID, Healthy: q.health.ok, Problem: q.health.problem,
		FirstSeq: q.firstSeq, LastSeq: q.committed.lastSeq, Events: q.committed.events,
		Bytes: q.committed.bytes, MaxBytes: q.limit.Load(),
		Quarantine: q.committed.quarantine, QuarantineBytes: q.committed.quarantineBytes,
		QuarantineMaxBytes: q.quarantineLimit.Load(),
		Remembered:         q.committed.seen, Capacity: q.opts.Capacity,
		Evicted: q.evicted.Load(), Damaged: q.damaged.Load(),
	}
	if !q.oldestSeen.IsZero() {
		s.WindowCovered = q.opts.Now().Sub(q.oldestSeen)
	}
	q.statusMu.Unlock()
	s.Commits = q.commits.Load()
	s.Syncs = 2 * s.Commits // bbolt syncs the pages, then the page that makes them valid
	if info, err := os.Stat(q.path); err == nil {
		s.FileBytes = info.Size()
	}
	if s.Problem == "" {
		s.Problem = q.asideProblem()
	}
	q.outputStatus(&s)
	return s
}

// asideProblem reminds of damaged databases for as long as their files are there.
func (q *embedded) asideProblem() string {
	files, err := filepath.Glob(q.path + ".damaged-*")
	if err != nil || len(files) == 0 {
		return ""
	}
	return fmt.Sprintf("a damaged database was set aside as %s and salvaged; remove the file to end this notice", files[len(files)-1])
}

func (q *embedded) outputStatus(s *Status) {
	q.outputs.mu.Lock()
	for _, name := range q.outputs.names() {
		o := q.outputs.byName[name]
		s.Outputs = append(s.Outputs, OutputStatus{
			Name: name, Cursor: o.cursor, Dropped: o.dropped,
			Queued: queuedAbove(o.cursor, s.FirstSeq, s.LastSeq),
		})
	}
	q.outputs.mu.Unlock()
	for i := range s.Outputs {
		if s.Outputs[i].Queued > 0 {
			s.Outputs[i].Oldest = q.receivedAt(s.Outputs[i].Cursor)
		}
	}
}

// receivedAt is when the first live event above a cursor was received; zero when it can't be read.
func (q *embedded) receivedAt(cursor uint64) time.Time {
	if events, ok := q.tail.read(cursor, 1, 0); ok && len(events) > 0 {
		return events[0].ReceivedAt
	}
	var at time.Time
	_ = q.view(func(tx *bbolt.Tx) error {
		k, v := tx.Bucket([]byte(bucketEvents)).Cursor().Seek(sequenceKey(cursor + 1))
		if k == nil {
			return nil
		}
		p, err := open(v, k, kindEvent)
		if err == nil {
			at = p.time()
		}
		return err
	})
	return at
}

// Find implements Operator. It looks at every remembered delivery, in short transactions.
func (q *embedded) Find(ctx context.Context, id string) ([]Seen, error) {
	var found []Seen
	for after := uint64(0); ; {
		last, part, err := q.findPart(after, id)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
		if last == 0 || ctx.Err() != nil {
			break
		}
		after = last
	}
	held, err := q.findHeld(ctx, id)
	if err != nil {
		return nil, err
	}
	return append(found, held...), ctx.Err()
}

// findPart looks at the next part of the remembered deliveries; last is 0 when there were none.
func (q *embedded) findPart(after uint64, id string) (last uint64, found []Seen, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketSeen)).Cursor()
		n := 0
		for k, v := c.Seek(sequenceKey(after + 1)); k != nil && n < 4*maxReadEvents; k, v = c.Next() {
			n++
			last = keySequence(k)
			seen, err := viewSeen(v, k)
			if err != nil || (string(seen.deliveryID) != id && string(seen.signalID) != id) {
				continue
			}
			found = append(found, Seen{
				Seq: last, Endpoint: string(seen.endpoint), DeliveryID: string(seen.deliveryID), SignalID: string(seen.signalID),
				ReceivedAt: seen.receivedAt, Outcome: Accepted, Duplicates: q.duplicates.of(last),
			})
		}
		return nil
	})
	return last, found, err
}

// findHeld looks at what was quarantined on receipt.
func (q *embedded) findHeld(ctx context.Context, id string) ([]Seen, error) {
	var found []Seen
	for after := uint64(0); ctx.Err() == nil; {
		items, err := q.listPart(after, maxReadEvents, false)
		if err != nil || len(items) == 0 {
			return found, err
		}
		for _, item := range items {
			after = item.ID
			e := &item.Event
			if item.Output != ReceiveQuarantine || (e.DeliveryID != id && signalID(e) != id) {
				continue
			}
			found = append(found, Seen{
				Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, SignalID: signalID(e),
				ReceivedAt: e.ReceivedAt, Outcome: Quarantined, Reason: item.Reason,
			})
		}
	}
	return found, nil
}
