package local

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Outcomes implements queue.History.
func (q *engine) Outcomes(ctx context.Context, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	all, err := q.outcomes(output, max(1, first), last)
	if err != nil {
		return nil, fmt.Errorf("outcomes of output %s: %w", output, err)
	}
	return all, nil
}

func (q *engine) outcomes(output string, first, last uint64) ([]queue.OutcomeRange, error) {
	cursor, ok := q.places.get(output)
	if !ok {
		return nil, queue.ErrNotFound
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	s := q.store
	last = min(last, s.state.LastSeq)
	if first > last {
		return nil, nil
	}
	o := s.state.Outputs[output]
	if o == nil {
		return nil, queue.ErrNotFound
	}
	noted, err := s.notedOf(o.outcomesKey(output), first, last)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	for _, r := range q.places.noted(output) {
		noted = queue.ClipOutcome(noted, r, first, last)
	}
	oldest := q.opts.Now().Add(-q.opts.Window) // outcomes last as long as deliveries
	noted = slices.DeleteFunc(noted, func(r queue.OutcomeRange) bool { return !r.At.IsZero() && r.At.Before(oldest) })
	return withLost(queue.MergeOutcomes(noted, cursor, first, last), s.state), nil
}

// notedOf returns what the log says of first..last at an output, in its order.
func (s *store) notedOf(key string, first, last uint64) ([]queue.OutcomeRange, error) {
	var noted []queue.OutcomeRange
	for _, x := range s.indexes {
		part, err := x.outcomesOf(key, first, last)
		if err != nil {
			return nil, err
		}
		noted = append(noted, part...)
	}
	return noted, nil
}

// withLost says of what waits, or is unknown, and is known to be lost that it is lost.
func withLost(ranges []queue.OutcomeRange, s *state) []queue.OutcomeRange {
	var all []queue.OutcomeRange
	for _, r := range ranges {
		if r.Outcome != queue.Queued && r.Outcome != queue.Unknown {
			all = append(all, r)
			continue
		}
		for at := r.First; at <= r.Last; {
			piece := r
			piece.First = at
			for _, g := range s.Gone {
				switch {
				case g.Last < at || g.First > piece.Last:
				case g.First > at:
					piece.Last = g.First - 1
				default:
					piece.Last, piece.Outcome = min(g.Last, r.Last), queue.Lost
				}
			}
			all = append(all, piece)
			at = piece.Last + 1
		}
	}
	return all
}

// Find implements queue.History. It looks at every remembered delivery.
func (q *engine) Find(ctx context.Context, id string) ([]queue.Seen, error) {
	id = shortID(id)
	var found []queue.Seen
	q.mu.RLock()
	indexes := slices.Clone(q.store.indexes)
	q.mu.RUnlock()
	for _, x := range indexes {
		part, err := q.findIn(ctx, x, id)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", id, err)
		}
		found = append(found, part...)
	}
	letters, err := q.findLetters(ctx, id)
	return append(found, letters...), err
}

// findPart is how many entries are looked at while the lock is held.
const findPart = 1024

func (q *engine) findIn(ctx context.Context, x *index, id string) ([]queue.Seen, error) {
	var found []queue.Seen
	for from := 0; ctx.Err() == nil; from += findPart {
		part, more, err := q.findSome(x, from, id)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
		if !more {
			break
		}
	}
	return found, ctx.Err()
}

func (q *engine) findSome(x *index, from int, id string) (found []queue.Seen, more bool, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for i := max(from, x.forgotten); i < min(from+findPart, x.meta.Entries); i++ {
		b, err := x.entry(i)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		}
		v, err := viewEntry(b)
		if err != nil || (string(v.deliveryID) != id && string(v.signalID) != id) {
			continue
		}
		found = append(found, queue.Seen{
			Seq: v.seq, Endpoint: string(v.endpoint), DeliveryID: string(v.deliveryID), SignalID: string(v.signalID),
			ReceivedAt: v.receivedAt, ReceivedBy: string(v.receivedBy), Verdict: queue.Accepted, Duplicates: q.duplicates.of(v.seq),
		})
	}
	return found, from+findPart < x.meta.Entries, nil
}

// findLetters looks at what was quarantined on receipt.
func (q *engine) findLetters(ctx context.Context, id string) ([]queue.Seen, error) {
	var found []queue.Seen
	for after := uint64(0); ctx.Err() == nil; {
		items, err := q.ListDeadLetters(ctx, after, findPart/8, false)
		if err != nil || len(items) == 0 {
			return found, err
		}
		for i := range items {
			after = items[i].ID
			e := &items[i].Event
			if items[i].Output != "" || (shortID(e.DeliveryID) != id && shortID(e.SignalID()) != id) {
				continue
			}
			found = append(found, queue.Seen{
				Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, SignalID: e.SignalID(),
				ReceivedAt: e.ReceivedAt, ReceivedBy: e.ReceivedBy, Verdict: queue.Quarantined, Reason: items[i].Reason,
			})
		}
	}
	return found, ctx.Err()
}

// LastAccepted implements queue.History.
func (q *engine) LastAccepted(context.Context) (map[string]time.Time, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return maps.Clone(q.store.state.LastAccepted), nil
}

// duplicates counts the answers "duplicate" by the first one's sequence, for people who ask.
type duplicates struct {
	mu    sync.Mutex
	bySeq map[uint64]int
}

// maxDuplicates bounds the sequences that are counted; beyond, the counting begins anew.
const maxDuplicates = 10_000

func (d *duplicates) count(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bySeq == nil || len(d.bySeq) >= maxDuplicates {
		d.bySeq = make(map[uint64]int)
	}
	d.bySeq[seq]++
}

func (d *duplicates) of(seq uint64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bySeq[seq]
}
