package admin

import (
	"context"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// maxTraced bounds the events of one answer: an ID that the sender uses again and again is still one screen.
const maxTraced = 100

// trace tells what became of a delivery or signal ID.
func trace(ctx context.Context, q queue.Operator, id string) (Trace, error) {
	t := Trace{ID: id, Events: []TraceEvent{}}
	seen, err := q.Find(ctx, id)
	if err != nil {
		return t, err
	}
	st := q.Status()
	for _, s := range seen[:min(len(seen), maxTraced)] {
		e := TraceEvent{
			Seq: s.Seq, Endpoint: s.Endpoint, DeliveryID: s.DeliveryID, SignalID: s.SignalID,
			ReceivedAt: s.ReceivedAt, Outcome: s.Outcome.String(), Reason: s.Reason, Duplicates: s.Duplicates,
		}
		if s.Seq != 0 {
			if e.Outputs, err = traceOutputs(ctx, q, st.Outputs, s.Seq); err != nil {
				return t, err
			}
		}
		t.Events = append(t.Events, e)
	}
	return t, nil
}

func traceOutputs(ctx context.Context, q queue.Operator, outputs []queue.OutputStatus, seq uint64) ([]TraceOutput, error) {
	var all []TraceOutput
	for _, o := range outputs {
		runs, err := q.Fates(ctx, o.Name, seq, seq)
		if err == nil && len(runs) == 0 && seq <= o.Cursor {
			runs, err = q.Fates(ctx, o.Name, seq, seq) // it may have been on its way to the disk just then
		}
		if err != nil {
			return nil, err
		}
		t := TraceOutput{Output: o.Name, Fate: "not remembered"}
		if seq > o.Cursor {
			t.Fate = "queued"
		}
		if len(runs) > 0 {
			t.Fate, t.Level, t.At = runs[0].Fate.String(), runs[0].Level, runs[0].At
		}
		all = append(all, t)
	}
	return all, nil
}
