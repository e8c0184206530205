package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

func newStatusCommand(g *globals) *cobra.Command {
	var watch bool
	var interval time.Duration
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running bridge does",
		Long: "Asks the running bridge over its control socket and shows receiver, queue and outputs: what came, what\n" +
			"waits and for how long, what was sent, retried and quarantined, and the last errors. Counters begin with\n" +
			"the process.\n\n" +
			"Exit code 0: the bridge is ready; 1: it is not, or doesn't answer; 2: wrong usage.",
		Example: "  linuxguard-bridge status\n  linuxguard-bridge status --watch\n  linuxguard-bridge status --json | jq .outputs",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again until interrupted")
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two looks of --watch")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if interval < 100*time.Millisecond {
			return &usageError{errors.New("--interval is at least 100ms")}
		}
		if watch {
			return flags.watchStatus(cmd.Context(), interval)
		}
		return flags.showStatus(cmd.Context())
	}
	return c
}

// showStatus prints the status once. A bridge that isn't ready is an error that the output has explained.
func (f *controlFlags) showStatus(ctx context.Context) error {
	st, err := f.client().Status(ctx)
	if err != nil {
		return explained(err)
	}
	if err := f.printStatus(st); err != nil {
		return err
	}
	if !st.Ready {
		return errReported
	}
	return nil
}

// watchStatus goes on until ctx ends, also while the bridge doesn't answer.
func (f *controlFlags) watchStatus(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	terminal := logging.IsTerminal(f.globals.Stdout)
	for {
		st, err := f.client().Status(ctx)
		if ctx.Err() != nil {
			return nil // interrupted: that is how a watch ends
		}
		if terminal {
			_, _ = fmt.Fprint(f.globals.Stdout, "\x1b[H\x1b[2J\x1b[3J") // home, clear the screen and what scrolled off
		}
		if err == nil {
			err = f.printStatus(st)
		}
		if err != nil {
			_, _ = fmt.Fprintf(f.globals.Stderr, "linuxguard-bridge: %v\n", explained(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *controlFlags) printStatus(st admin.Status) error {
	if f.asJSON {
		return printJSON(f.globals.Stdout, st)
	}
	p := f.globals.printer()
	p.statusHead(st)
	p.statusReceiver(st)
	p.statusQueue(st)
	p.statusOutputs(st)
	return p.err
}

func (p *printer) statusHead(st admin.Status) {
	state := p.paint(green, "ready")
	if !st.Ready {
		state = p.paint(red, "NOT READY")
	}
	p.printf("%s %s: %s, up %s, pid %d\n", p.paint(bold, "linuxguard-bridge"), display.Line(st.Version), state,
		display.Duration(st.At.Sub(st.StartedAt)), st.PID)
	for _, f := range st.Findings {
		p.finding(st.At, f)
	}
	c := st.Config
	p.printf("configuration %s (%.12s), loaded %s\n", display.Line(c.Path), c.Hash, display.Ago(st.At, c.LoadedAt))
}

// finding says what is wrong and since when.
func (p *printer) finding(now time.Time, f admin.Finding) {
	sgr, text := yellow, f.Text
	if f.IsProblem() {
		sgr = red
	}
	if !f.Since.IsZero() {
		text += " (since " + display.Duration(now.Sub(f.Since)) + ")"
	}
	p.note(sgr, text)
}

func (p *printer) note(sgr, text string) {
	p.printf("%s %s\n", p.paint(sgr, "!"), display.Line(text))
}

func (p *printer) statusReceiver(st admin.Status) {
	p.printf("\n%s %s, %s; counts since the start\n", p.paint(bold, "Receiver"), display.Line(strings.Join(st.Receiver.Listeners, ", ")),
		display.Count(st.Receiver.Connections, "connection"))
	rows := make([][]cell, 0, len(st.Receiver.Endpoints))
	for _, e := range st.Receiver.Endpoints {
		heard := cell{text: display.Ago(st.At, e.LastHeard())}
		if e.Overdue {
			heard = cell{text: heard.text + " (OVERDUE)", sgr: red}
		}
		rows = append(rows, []cell{
			textCell(e.Name), numberCell(e.Accepted), numberCell(e.Duplicate), alarming(e.Quarantined, yellow),
			alarming(e.Unavailable, red), heard, textCell(orDash(counts(e.Refused))),
		})
	}
	p.table([]string{"ENDPOINT", "ACCEPTED", "DUPLICATE", "QUARANTINED", "503", "LAST HEARD", "REFUSED"}, rows)
	for _, e := range st.Receiver.Endpoints {
		if len(e.SignatureMatches) > 1 {
			p.printf("  %s signed with: %s\n", display.Line(e.Name), display.Line(counts(e.SignatureMatches)))
		}
	}
}

// counts writes a map in the order of its keys: "signature 3, stale 1".
func counts(m map[string]uint64) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if m[key] > 0 {
			parts = append(parts, key+" "+display.Number(m[key]))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *printer) statusQueue(st admin.Status) {
	q := st.Queue
	state := ""
	switch {
	case !q.Healthy:
		state = " " + p.paint(red, "CAN'T WRITE")
	case q.Full:
		state = " " + p.paint(red, "FULL")
	}
	p.printf("\n%s%s\n", p.paint(bold, "Queue"), state)
	p.printf("  waiting     %s; %s of %s in use (on disk %s), newest bridge_seq %s\n", display.Count(q.Events, "event"),
		display.Size(q.Bytes), display.Size(q.MaxBytes), display.Size(q.DiskBytes), display.Number(q.LastSeq))
	p.printf("  quarantine  %s, %s of %s\n", display.Count(q.Quarantine, "item"),
		display.Size(q.QuarantineBytes), display.Size(q.QuarantineMaxBytes))
	p.printf("  dedupe      remembers %s (room for %s), the oldest %s old", display.Count(q.Remembered, "delivery"), display.Number(q.Capacity), display.Duration(q.WindowCovered))
	if q.CapacityLasts > 0 {
		p.printf("; at this rate full after %s", display.Duration(q.CapacityLasts))
	}
	p.printf("\n")
	for _, b := range q.Bridges {
		state := "runs"
		switch {
		case b.This:
			state = "this one"
		case !b.Running:
			state = p.paint(yellow, "no sign of life")
		}
		p.printf("  bridge      %s on %s, version %s, configuration %.12s: %s, seen %s\n", display.Line(b.Name), display.Line(b.Host),
			display.Line(b.Version), display.Line(b.ConfigHash), state, display.Ago(st.At, b.SeenAt))
	}
}

func (p *printer) statusOutputs(st admin.Status) {
	p.printf("\n%s, counts since the start\n", p.paint(bold, "Outputs"))
	rows := make([][]cell, 0, len(st.Outputs))
	for _, o := range st.Outputs {
		oldest := cell{text: "-", right: true}
		if o.Queued.Events > 0 && !o.Queued.Oldest.IsZero() {
			oldest.text = display.Duration(st.At.Sub(o.Queued.Oldest))
		}
		rows = append(rows, []cell{
			textCell(o.Name), stateCell(o), textCell(orDash(o.Level)), numberCell(o.Queued.Events), oldest, numberCell(o.InFlight), numberCell(o.Delivered),
			numberCell(o.Retried), alarming(o.Quarantined, yellow), alarming(o.Dropped, red), alarming(o.Lost, red),
		})
	}
	p.table([]string{"OUTPUT", "STATE", "DELIVERY LEVEL", "QUEUED", "OLDEST", "IN FLIGHT", "DELIVERED", "RETRIED", "QUARANTINED", "DROPPED", "LOST"}, rows)
	for _, o := range st.Outputs {
		p.statusOutputNotes(st.At, o)
	}
}

func (p *printer) statusOutputNotes(now time.Time, o admin.OutputReport) {
	if o.LastError != "" && !o.Failing {
		p.printf("  %s: overcome, %s: %s\n", display.Line(o.Name), display.Ago(now, o.LastErrorAt), display.Line(o.LastError))
	}
	if o.State == stateStandby && o.Queued.Owner != "" {
		p.printf("  %s is delivered to by bridge %s\n", display.Line(o.Name), display.Line(o.Queued.Owner))
	}
}

// stateStandby is what an output is at a bridge that doesn't own it.
const stateStandby = "standby"

func stateCell(o admin.OutputReport) cell {
	switch {
	case o.Blocked:
		return cell{text: "blocked", sgr: red}
	case o.Queued.QuarantineFull:
		return cell{text: "quarantine full", sgr: red}
	case o.State == "down":
		return cell{text: o.State, sgr: red}
	case o.State == "up":
		return cell{text: o.State, sgr: green}
	default:
		return textCell(o.State)
	}
}
