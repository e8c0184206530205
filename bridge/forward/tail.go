package forward

import (
	"errors"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// watched returns what shows those who watch the fate of records, nil when nobody does. What it needs of them is copied: they are the output's.
func (d *dispatcher) watched(records []outputs.Record) func(error) {
	hub := d.w.opts.Tail
	if !hub.Watched() {
		return nil
	}
	began := d.w.opts.Now()
	lines := make([]tail.Line, len(records))
	for i := range records {
		r := &records[i]
		lines[i] = tail.Line{
			Way: tail.Out, Output: d.w.opts.Name, Endpoint: r.Endpoint, Seq: r.Seq, DeliveryID: r.DeliveryID, SignalID: r.Signal.SignalID,
			SignalType: r.Signal.SignalType, ServerName: r.Signal.ServerName, Severity: int(r.Signal.Severity),
		}
	}
	return func(err error) {
		now := d.w.opts.Now()
		for i := range lines {
			lines[i].At, lines[i].Millis = now, now.Sub(began).Milliseconds()
		}
		tellResult(hub, lines, err)
	}
}

// tellResult shows a line for each event that was delivered or refused, and one for all of them that failed.
func tellResult(hub *tail.Hub, lines []tail.Line, err error) {
	var partial *outputs.PartialError
	if errors.As(err, &partial) {
		err = partial.Rest
		for _, rej := range partial.Rejected {
			if rej.Index < 0 || rej.Index >= len(lines) {
				continue
			}
			l := &lines[rej.Index]
			l.Outcome, l.Error = "refused", display.Error(rej.Err)
			hub.Tell(l)
		}
	}
	var failed []tail.Line
	said := ""
	if err != nil {
		said = display.Error(err)
	}
	for i := range lines {
		l := &lines[i]
		switch {
		case l.Outcome != "":
		case err == nil:
			l.Outcome = "delivered"
			hub.Tell(l)
		default:
			l.Outcome, l.Error = "failed", said
			failed = append(failed, *l)
		}
	}
	hub.TellBatch(failed)
}
