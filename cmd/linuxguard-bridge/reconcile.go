package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
)

func newReconcileCommand(g *globals) *cobra.Command {
	var outputs []string
	var first, last uint64
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "Prove that nothing is missing",
		Long: "Accounts for every sequence (bridge_seq) of a range at every output:\n\n" +
			"  received = delivered + queued + quarantined + dropped + filtered + damaged\n\n" +
			"or says which sequence is missing. What became of an event is remembered for the dedupe window; of older\n" +
			"ones, and of those from before an output existed, it says that it can't know.\n\n" +
			"Exit code 0: everything is accounted for; 1: something is missing, or --first or --last reach beyond what is\n" +
			"known; 2: wrong usage.",
		Example: "  linuxguard-bridge reconcile\n  linuxguard-bridge reconcile --output siem --first 1000 --last 2000",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.Flags().StringArrayVar(&outputs, "output", nil, "only this `output`; may be repeated")
	c.Flags().Uint64Var(&first, "first", 0, "first bridge_`seq` of the range (default: the oldest that is remembered)")
	c.Flags().Uint64Var(&last, "last", 0, "last bridge_`seq` of the range (default: the newest)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := flags.client().Reconcile(cmd.Context(), outputs, first, last)
		if err != nil {
			return explained(err)
		}
		print := printReconciliation
		if flags.asJSON {
			print = func(g *globals, all []admin.Reconciliation) error { return printJSON(g.Stdout, all) }
		}
		if err := print(g, all); err != nil {
			return err
		}
		for _, r := range all {
			if r.Missing > 0 || r.NotGiven > 0 || first != 0 && r.NotRemembered > 0 {
				return errReported
			}
		}
		return nil
	}
	return c
}

func printReconciliation(g *globals, all []admin.Reconciliation) error {
	p := g.printer()
	if len(all) == 0 {
		p.printf("there is no output\n")
		return p.err
	}
	rows := make([][]cell, 0, len(all))
	for _, r := range all {
		known := r.First + r.NotRemembered
		rows = append(rows, []cell{
			words(r.Output), {text: rangeText(admin.SeqRange{First: known, Last: min(r.Last, r.Newest)})},
			numeral(r.Received - r.NotRemembered), numeral(r.Delivered), numeral(r.Queued),
			alarming(r.Quarantined, yellow), alarming(r.Dropped, yellow), numeral(r.Filtered), alarming(r.Damaged, red), alarming(r.Missing, red),
		})
	}
	p.table([]string{"OUTPUT", "BRIDGE_SEQ", "RECEIVED", "DELIVERED", "QUEUED", "QUARANTINED", "DROPPED", "FILTERED", "DAMAGED", "MISSING"}, rows)
	p.unknownNotes(all)
	for _, r := range all {
		p.reconciliationNotes(r)
	}
	return p.err
}

// unknownNotes says once for all outputs that share it what nothing is known of.
func (p *printer) unknownNotes(all []admin.Reconciliation) {
	var ranges []admin.SeqRange
	names := map[admin.SeqRange][]string{}
	for _, r := range all {
		if r.NotRemembered == 0 {
			continue
		}
		unknown := admin.SeqRange{First: r.First, Last: r.First + r.NotRemembered - 1}
		if names[unknown] == nil {
			ranges = append(ranges, unknown)
		}
		names[unknown] = append(names[unknown], r.Output)
	}
	for _, unknown := range ranges {
		p.note(yellow, fmt.Sprintf("nothing is known of %s: older than the dedupe window, or than the output (%s)",
			rangeText(unknown), strings.Join(names[unknown], ", ")))
	}
}

func (p *printer) reconciliationNotes(r admin.Reconciliation) {
	if r.NotGiven > 0 {
		p.note(yellow, fmt.Sprintf("%s: the newest bridge_seq is %d; %s of the range are still to come", r.Output, r.Newest, grouped(r.NotGiven)))
	}
	if r.Missing == 0 {
		return
	}
	ranges := make([]string, 0, len(r.MissingRanges))
	var named uint64
	for _, m := range r.MissingRanges {
		ranges = append(ranges, rangeText(m))
		named += m.Last - m.First + 1
	}
	text := strings.Join(ranges, ", ")
	if named < r.Missing {
		text += fmt.Sprintf(" and %s more", grouped(r.Missing-named))
	}
	p.note(red, fmt.Sprintf("%s: MISSING %s", r.Output, text))
}

func rangeText(r admin.SeqRange) string {
	if r.First > r.Last {
		return "none"
	}
	if r.First == r.Last {
		return strconv.FormatUint(r.First, 10)
	}
	return fmt.Sprintf("%d..%d", r.First, r.Last)
}
