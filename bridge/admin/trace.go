package admin

import (
	"context"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// maxTraced bounds the events of one answer: an ID that the sender uses again and again is still one screen.
const maxTraced = 100

// trace tells what became of a delivery or signal ID.
func (s *Server) trace(ctx context.Context, id string) (Trace, error) {
	t := Trace{ID: id, Events: []TraceEvent{}, Refused: s.opts.Source.Refusals(id)}
	seen, err := s.opts.Queue.Find(ctx, id)
	if err != nil {
		return t, err
	}
	st := s.opts.Queue.Status()
	for _, found := range seen[:min(len(seen), maxTraced)] {
		e := traceEvent(found)
		if found.Seq != 0 {
			e.Duplicates += s.opts.Source.CachedDuplicates(found.Seq)
			if e.Outputs, err = traceOutputs(ctx, s.opts.Queue, outputNames(st), found); err != nil {
				return t, err
			}
		}
		t.Events = append(t.Events, e)
	}
	return t, nil
}

func traceEvent(s queue.Seen) TraceEvent {
	return TraceEvent{
		Seq: s.Seq, Endpoint: s.Endpoint, DeliveryID: s.DeliveryID, SignalID: s.SignalID,
		ReceivedAt: s.ReceivedAt, ReceivedBy: s.ReceivedBy, Verdict: s.Verdict.String(), Reason: s.Reason, Duplicates: s.Duplicates,
	}
}

func traceOutputs(ctx context.Context, q queue.History, names []string, s queue.Seen) ([]TraceOutput, error) {
	var all []TraceOutput
	for _, name := range names {
		ranges, err := outcomes(ctx, q, name, s.Seq, s.Seq)
		if err != nil {
			return nil, err
		}
		r := ranges[0]
		all = append(all, TraceOutput{Output: name, Outcome: r.Outcome.String(), Level: r.Level, At: notBefore(roundUp(r.At), s.ReceivedAt)})
	}
	return all, nil
}

// roundUp returns t in whole milliseconds, never earlier than t.
func roundUp(t time.Time) time.Time {
	down := t.Truncate(time.Millisecond)
	if down.Equal(t) || t.IsZero() {
		return t
	}
	return down.Add(time.Millisecond)
}

// notBefore returns t, or earliest where a clock that was set back would put t before it.
func notBefore(t, earliest time.Time) time.Time {
	if !t.IsZero() && t.Before(earliest) {
		return roundUp(earliest)
	}
	return t
}
