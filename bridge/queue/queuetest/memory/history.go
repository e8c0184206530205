package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Outcomes implements queue.History.
func (q *Queue) Outcomes(_ context.Context, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	c := &change{state: q.w.live.clone(), q: q, now: q.o.Now(), wrong: q.w.wrong}
	for _, p := range q.pending {
		c.progress(p)
	}
	o := c.outputs[output]
	if o == nil {
		return nil, fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
	}
	if c.wrong == roundsDown {
		for i := range o.noted {
			o.noted[i].At = o.noted[i].At.Truncate(time.Minute)
		}
	}
	return queue.MergeOutcomes(o.noted, o.cursor, max(1, first), min(last, c.lastSeq)), nil
}

// Find implements queue.History.
func (q *Queue) Find(_ context.Context, id string) ([]queue.Seen, error) {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	var found []queue.Seen
	for _, r := range q.w.live.seen {
		if r.DeliveryID == id || r.SignalID == id {
			s := r.Seen
			s.Duplicates = q.duplicates[s.Seq]
			found = append(found, s)
		}
	}
	for _, item := range q.w.live.items {
		e := &item.Event
		if item.Output == "" && (e.DeliveryID == id || e.SignalID() == id) {
			found = append(found, queue.Seen{
				Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, SignalID: e.SignalID(), ReceivedAt: e.ReceivedAt,
				ReceivedBy: e.ReceivedBy, Verdict: queue.Quarantined, Reason: item.Reason,
			})
		}
	}
	slices.SortStableFunc(found, func(a, b queue.Seen) int {
		return cmp.Or(a.ReceivedAt.Compare(b.ReceivedAt), cmp.Compare(a.Seq, b.Seq))
	})
	return found, nil
}

// LastAccepted implements queue.History.
func (q *Queue) LastAccepted(context.Context) (map[string]time.Time, error) {
	return maps.Clone(q.state().lastAccepted), nil
}

// Status implements queue.Reporter.
func (q *Queue) Status() queue.Status {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	live := q.w.live
	s := queue.Status{
		AsOf: q.o.Now(), BridgeID: live.bridgeID, Healthy: q.problem == nil && !q.ended(), LastSeq: live.lastSeq,
		MaxBytes: q.limits.MaxBytes, DeadLetters: len(live.items), QuarantineMaxBytes: q.limits.QuarantineMaxBytes,
		QuarantineBytes: live.quarantined(func(*queue.DeadLetter) bool { return true }),
		Remembered:      len(live.seen), Capacity: q.o.Capacity, Evicted: live.evicted, Commits: live.commits,
	}
	done := live.lastSeq
	for name := range live.outputs {
		s.Outputs = append(s.Outputs, q.outputStatus(live, name))
		done = min(done, q.cursor(name))
	}
	if len(live.outputs) == 0 {
		done = 0
	}
	slices.SortFunc(s.Outputs, func(a, b queue.OutputStatus) int { return cmp.Compare(a.Name, b.Name) })
	s.FirstSeq = max(done+1, live.first())
	s.Events, s.Bytes = live.needed(done)
	s.DiskBytes = s.Bytes + s.QuarantineBytes
	s.Full = q.refused > 0 && s.Bytes+q.refused > s.MaxBytes
	if q.problem != nil {
		s.Problem = q.problem.Error()
	} else if s.Full {
		s.Problem = "max_bytes is used up"
	}
	if len(live.seen) > 0 {
		s.WindowCovered = s.AsOf.Sub(live.seen[0].ReceivedAt)
	}
	return s
}

// outputStatus is one output's. The caller holds mu.
func (q *Queue) outputStatus(live *state, name string) queue.OutputStatus {
	o := live.outputs[name]
	s := queue.OutputStatus{Name: name, Cursor: q.cursor(name), Dropped: o.dropped}
	s.Queued = live.lastSeq - s.Cursor
	if e := live.event(s.Cursor + 1); e != nil {
		s.Oldest = e.ReceivedAt
	}
	s.QuarantineBytes = live.quarantined(func(item *queue.DeadLetter) bool { return item.Output == name })
	s.QuarantineFull = q.shareFull[name]
	if l := q.w.owners["output/"+name]; l != nil {
		s.Owner = l.q.o.Bridge
	}
	return s
}

// Ping implements queue.Reporter.
func (q *Queue) Ping(ctx context.Context) error {
	select {
	case q.w.turn <- struct{}{}:
		<-q.w.turn
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a change is under way and doesn't end: %w", ctx.Err())
	}
}
