package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

func newTraceCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "trace ID",
		Short: "Tell what became of one delivery or signal",
		Long: "Looks up a delivery ID (the header LinuxGuard-Delivery) or a signal ID and tells when it was received, how\n" +
			"often it came again, and what became of it at every output: queued, delivered by when and at which level,\n" +
			"quarantined, filtered, dropped or lost. Events are remembered for the dedupe window. Recent requests that claimed\n" +
			"the delivery ID and were refused are listed too: what was refused was never verified.\n\n" +
			"Exit code 0: found; 1: nothing is remembered of it; 2: wrong usage.",
		Example: "  linuxguard-bridge trace 6f1c2a",
		Args:    cobra.ExactArgs(1),
	}
	flags := addControlFlags(c, g)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := flags.client().Trace(cmd.Context(), args[0])
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			if err := printJSON(g.Stdout, t); err != nil {
				return err
			}
		} else if err := printTrace(g, t); err != nil {
			return err
		}
		if len(t.Events)+len(t.Refused) == 0 {
			return fmt.Errorf("nothing is remembered of %s (a body that was in the quarantine already is kept under its first delivery ID)", display.Line(t.ID))
		}
		return nil
	}
	return c
}

func printTrace(g *globals, t admin.Trace) error {
	p := g.printer()
	for i, e := range t.Events {
		if i > 0 {
			p.printf("\n")
		}
		p.traceEvent(e)
	}
	p.refusals(t)
	return p.err
}

func (p *printer) traceEvent(e admin.TraceEvent) {
	p.printf("%s  %s\n", p.paint(bold, "delivery"), display.Line(orDash(e.DeliveryID)))
	p.printf("%s    %s\n", p.paint(bold, "signal"), display.Line(orDash(e.SignalID)))
	received := fmt.Sprintf("%s at endpoint %s", preciseStamp(e.ReceivedAt), e.Endpoint)
	if e.ReceivedBy != "" {
		received += " by bridge " + e.ReceivedBy
	}
	p.printf("%s  %s\n", p.paint(bold, "received"), display.Line(received))
	verdict := e.Verdict
	if e.Seq != 0 {
		verdict += fmt.Sprintf(" as bridge_seq %d", e.Seq)
	}
	if e.Reason != "" {
		verdict += ": " + e.Reason
	}
	if e.Duplicates > 0 {
		verdict += fmt.Sprintf("; came again %s since the bridge started", times(e.Duplicates))
	}
	p.printf("%s   %s\n", p.paint(bold, "verdict"), display.Line(verdict))
	if len(e.Outputs) == 0 {
		return
	}
	rows := make([][]cell, 0, len(e.Outputs))
	for _, o := range e.Outputs {
		at := "-"
		if !o.At.IsZero() {
			at = preciseStamp(o.At)
		}
		rows = append(rows, []cell{textCell(o.Output), outcomeCell(o.Outcome), textCell(orDash(o.Level)), {text: at}})
	}
	p.table([]string{"OUTPUT", "OUTCOME", "LEVEL", "NOT LATER THAN"}, rows)
}

// refusals lists the requests that claimed the ID and were refused.
func (p *printer) refusals(t admin.Trace) {
	if len(t.Refused) == 0 {
		return
	}
	if len(t.Events) > 0 {
		p.printf("\n")
	}
	rows := make([][]cell, 0, len(t.Refused))
	for _, r := range t.Refused {
		rows = append(rows, []cell{{text: display.Time(r.At)}, {text: fmt.Sprint(r.Status)}, textCell(r.Reason), textCell(orDash(r.Endpoint)), textCell(r.Address)})
	}
	p.table([]string{"REFUSED AT", "STATUS", "REASON", "ENDPOINT", "FROM"}, rows)
}

func outcomeCell(outcome string) cell {
	c := textCell(outcome)
	switch outcome {
	case outcomeDelivered:
		c.sgr = green
	case outcomeQueued, outcomeFiltered:
	case "lost", "unknown":
		c.sgr = red
	default:
		c.sgr = yellow
	}
	return c
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return display.Number(n) + " times"
}
