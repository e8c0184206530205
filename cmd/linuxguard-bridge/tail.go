package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

func newTailCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "tail",
		Short: "Show what comes in and goes out now, a line each",
		Long: "Shows a line for each webhook that comes, with what became of it, and one for each event that an output has delivered,\n" +
			"could not deliver or was refused. A batch that failed is one line. It never slows the bridge: what this terminal is too\n" +
			"slow for is left out, and counted. Up to four can watch at once.\n\n" +
			"Exit code 0: ended by Ctrl-C or --count; 1: the bridge does not answer, or has stopped; 2: wrong usage.",
		Example: "  linuxguard-bridge tail\n  linuxguard-bridge tail --out --output siem --min-severity 4\n  linuxguard-bridge tail --in --json",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	var f tail.Filter
	var in, out bool
	var count int
	c.Flags().StringSliceVar(&f.Endpoints, "endpoint", nil, "only of this endpoint, by its `name` (may be repeated)")
	c.Flags().StringSliceVar(&f.Outputs, "output", nil, "only of this output, by its `name` (may be repeated)")
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
			p.printf("... %s lines left out: this terminal is too slow\n", grouped(l.LeftOut))
		}
		text := p.tailed(l)
		if flags.asJSON {
			one, err := json.Marshal(l)
			if err != nil {
				return err
			}
			text = string(one)
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
	add("from %s", l.Client, l.Client != "" && l.Status >= 400)
	add("and %d more", l.Events-1, l.Events > 1)
	add("after %d ms", l.Millis, l.Way == tail.Out)
	add("%s", l.Error, l.Error != "")
	name := cmp.Or(l.Output, l.Endpoint, "-")
	return fmt.Sprintf("%s %-3s %-12s %s  %s", preciseStamp(l.At), l.Way, logging.Clean(name), p.paint(colour, fmt.Sprintf("%-11s", logging.Clean(l.Outcome))),
		logging.Clean(strings.Join(about, "  ")))
}
