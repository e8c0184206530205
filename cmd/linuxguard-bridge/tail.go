package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

func newTailCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show what comes in and goes out now, a line each",
		Long: "Shows a line for each webhook that comes, with what became of it: accepted, duplicate, quarantined, or why it was\n" +
			"refused. And one for each event that an output has delivered, or that its destination has refused for good. A failed\n" +
			"try, which will be made again, is one line for all its events. A refused webhook has no severity: --min-severity\n" +
			"does not leave it out.\n\n" +
			"It never slows the bridge: lines that this terminal is too slow for are left out and counted, the oldest first. It\n" +
			"continues over a reload. Up to four can run at once. Texts of more than 512 bytes are cut.\n\n" +
			"With --json each line is an object: at, way (in or out), outcome, and of the following what is known: status (HTTP's),\n" +
			"error (also why it is quarantined), endpoint, output, client (its address), events (of a failed try), ms (that the\n" +
			"output took), bridge_seq, delivery_id, signal_id, signal_type, server_name, severity, left_out (lines before this one).\n\n" +
			"Exit code 0: ended by Ctrl-C or --count; 1: the bridge does not answer, or has stopped; 2: wrong usage.",
		Example: "  linuxguard-bridge tail\n  linuxguard-bridge tail --out --output siem --min-severity 4\n  linuxguard-bridge tail --in --json",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	var f tail.Filter
	var in, out bool
	var count int
	c.Flags().StringSliceVar(&f.Endpoints, "endpoint", nil, "only of this endpoint, by its `name` (may be repeated)")
	c.Flags().StringSliceVar(&f.Outputs, "output", nil, "only what goes to this output, by its `name` (may be repeated)")
	c.Flags().IntVar(&f.MinSeverity, "min-severity", 0, "only signals from this `severity` on, 1 (info) to 5 (critical)")
	c.Flags().BoolVar(&in, "in", false, "only what comes in")
	c.Flags().BoolVar(&out, "out", false, "only what goes out")
	c.Flags().IntVarP(&count, "count", "n", 0, "end after so many lines")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case in && !out:
			f.Way = tail.In
		case out && !in:
			f.Way = tail.Out
		}
		if f.Way == tail.In && len(f.Outputs) > 0 {
			return &usageError{errors.New("--in leaves out what --output asks for: give one of the two")}
		}
		if cmd.Flags().Changed("count") && count < 1 {
			return &usageError{errors.New("--count is at least 1")}
		}
		return g.tail(cmd.Context(), flags, f, count)
	}
	return c
}

// errEnough ends a tail after --count lines.
var errEnough = errors.New("enough")

func (g *globals) tail(ctx context.Context, flags *controlFlags, f tail.Filter, count int) error {
	shown := 0
	p := g.printer()
	err := flags.client().Tail(ctx, f, func(l tail.Line) error {
		if l.LeftOut > 0 && !flags.asJSON {
			p.printf("... %s left out: this terminal is too slow\n", display.Count(l.LeftOut, "line"))
		}
		text := p.tailed(l)
		if flags.asJSON {
			one, err := json.Marshal(l)
			if err != nil {
				return err
			}
			text = escaped(string(one))
		}
		p.printf("%s\n", text)
		if shown++; p.err == nil && count > 0 && shown >= count {
			return errEnough
		}
		return p.err
	})
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return explained(err)
}

// tailed is one line for people: when, which way, where, what became of it, and what it is about.
func (p *printer) tailed(l tail.Line) string {
	colour := green
	switch l.Outcome {
	case "accepted", "delivered":
	case "duplicate":
		colour = ""
	case "quarantined":
		colour = yellow
	default:
		colour = red
	}
	var about []string
	add := func(format string, value any, there bool) {
		if there {
			about = append(about, fmt.Sprintf(format, value))
		}
	}
	add("%d", l.Status, l.Status >= 400)
	add("severity %d", l.Severity, l.Severity > 0)
	add("%s", l.SignalType, l.SignalType != "")
	add("on %s", l.ServerName, l.ServerName != "")
	add("seq %d", l.Seq, l.Seq > 0)
	add("delivery %s", l.DeliveryID, l.DeliveryID != "")
	add("signal %s", l.SignalID, l.SignalID != "")
	add("from %s", l.Client, l.Client != "" && l.Status >= 400)
	add("and %d more", l.Events-1, l.Events > 1)
	add("after %d ms", l.Millis, l.Way == tail.Out)
	add("%s", l.Error, l.Error != "")
	name := cmp.Or(l.Output, l.Endpoint, "-")
	return fmt.Sprintf("%s %-3s %-12s %s  %s", preciseStamp(l.At), l.Way, display.Line(name), p.paint(colour, fmt.Sprintf("%-11s", display.Line(l.Outcome))),
		display.Line(strings.Join(about, "  ")))
}
