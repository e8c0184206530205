package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

func newAuditCommand(g *globals) *cobra.Command {
	var req admin.AuditRequest
	c := &cobra.Command{
		Use:   "audit",
		Short: "Account for every event, to prove that nothing is missing",
		Long: "Accounts for every sequence (bridge_seq) of a range at every output:\n\n" +
			"  received = delivered + filtered + quarantined + dropped + lost + queued + unknown\n\n" +
			"What became of an event is remembered for the dedupe window; of older ones, and of those from before an output\n" +
			"existed, it says that it is unknown. Without --first and --since the range begins with the oldest event of\n" +
			"which something is known. With --since it begins no later than the first event received since then: what no\n" +
			"output was done with at that time is counted too.\n\n" +
			"Exit code 0: everything is accounted for; 1: something is lost, unknown within the range, or --last reaches beyond\n" +
			"the newest event; 2: wrong usage.",
		Example: "  linuxguard-bridge audit\n  linuxguard-bridge audit --since 24h --json > audit.json\n" +
			"  linuxguard-bridge audit --output siem --first 1000 --last 2000",
		Args: cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.Flags().StringArrayVar(&req.Outputs, "output", nil, "only this `output`; may be repeated")
	c.Flags().Uint64Var(&req.First, "first", 0, "first bridge_`seq` of the range (default: the oldest of which something is known)")
	c.Flags().Uint64Var(&req.Last, "last", 0, "last bridge_`seq` of the range (default: the newest)")
	since := c.Flags().String("since", "", "instead of --first: from what was received this `duration` ago, e.g. 24h")
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *since != "" && req.First != 0 {
			return &usageError{errors.New("--first and --since exclude each other")}
		}
		if *since != "" {
			if req.Since, err = admin.ParseAgo(*since); err != nil {
				return &usageError{fmt.Errorf("--since: %w", err)}
			}
		}
		a, err := flags.client().Audit(cmd.Context(), req)
		if err != nil {
			return explained(err)
		}
		return flags.showAudit(a)
	}
	return c
}

// showAudit prints an account; one with something that isn't accounted for is an error that the output has explained.
func (f *controlFlags) showAudit(a admin.Audit) error {
	show := printAudit
	if f.asJSON {
		show = func(g *globals, a admin.Audit) error { return printJSON(g.Stdout, a) }
	}
	err := show(f.globals, a)
	if err == nil && slices.ContainsFunc(a.Outputs, func(o admin.OutputAudit) bool { return !o.AccountedFor }) {
		err = errReported
	}
	return err
}

func printAudit(g *globals, a admin.Audit) error {
	if len(a.Outputs) == 0 {
		_, err := fmt.Fprintln(g.Stdout, "there is no output")
		return err
	}
	p := g.printer()
	p.printf("%s of bridge_id %s at %s, linuxguard-bridge %s\n", p.paint(bold, "Audit"), display.Line(a.BridgeID), display.Time(a.At), display.Line(a.Version))
	if !a.Since.IsZero() {
		p.printf("of what was received since %s (and what waited then)\n", display.Time(a.Since))
	}
	p.printf("\n")
	p.auditTable(a)
	p.printf("\n")
	p.deliveredTable(a)
	for _, o := range a.Outputs {
		p.auditNotes(o, a.Newest)
	}
	if a.DeadLetters > 0 {
		p.note(yellow, fmt.Sprintf("the quarantine holds %s; what was quarantined on receipt has no bridge_seq and is not in this account: linuxguard-bridge quarantine list",
			display.Count(a.DeadLetters, "item")))
	}
	p.auditVerdict(a)
	return p.err
}

func (p *printer) auditTable(a admin.Audit) {
	rows := make([][]cell, 0, len(a.Outputs))
	for _, o := range a.Outputs {
		rows = append(rows, []cell{
			textCell(o.Output), {text: rangeText(admin.SeqRange{First: o.First, Last: min(o.Last, a.Newest)})},
			numberCell(o.Received), numberCell(o.Delivered), numberCell(o.Filtered), alarming(o.Quarantined, yellow), alarming(o.Dropped, yellow),
			alarming(o.Lost, red), numberCell(o.Queued), alarming(o.Unknown, red),
		})
	}
	p.table([]string{"OUTPUT", "BRIDGE_SEQ", "RECEIVED", "DELIVERED", "FILTERED", "QUARANTINED", "DROPPED", "LOST", "QUEUED", "UNKNOWN"}, rows)
}

// deliveredTable says what "delivered" means, and of how many.
func (p *printer) deliveredTable(a admin.Audit) {
	var rows [][]cell
	for _, o := range a.Outputs {
		for _, level := range slices.Sorted(maps.Keys(o.DeliveredByLevel)) {
			rows = append(rows, []cell{textCell(o.Output), textCell(level), numberCell(o.DeliveredByLevel[level])})
		}
	}
	if len(rows) > 0 {
		p.table([]string{"OUTPUT", "DELIVERED MEANS", "DELIVERED"}, rows)
		p.printf("\n")
	}
}

func (p *printer) auditNotes(o admin.OutputAudit, newest uint64) {
	if o.Lost > 0 {
		p.note(red, fmt.Sprintf("%s: LOST %s: see linuxguard-bridge losses list", o.Output, rangesText(o.LostRanges, o.Lost)))
	}
	if o.Unknown > 0 {
		p.note(red, fmt.Sprintf("%s: nothing is known of %s: older than the dedupe window, or than the output", o.Output, rangesText(o.UnknownRanges, o.Unknown)))
	}
	if o.NotGiven > 0 {
		p.note(yellow, fmt.Sprintf("%s: the newest bridge_seq is %d, so %s of the range are still to come", o.Output, newest, display.Number(o.NotGiven)))
	}
}

func (p *printer) auditVerdict(a admin.Audit) {
	var open []string
	for _, o := range a.Outputs {
		if !o.AccountedFor {
			open = append(open, o.Output)
		}
	}
	if len(open) > 0 {
		p.printf("%s at %s\n", p.paint(red, "NOT all is accounted for"), display.Line(strings.Join(open, ", ")))
		return
	}
	p.printf("%s\n", p.paint(green, "everything is accounted for"))
}

// rangesText lists ranges that hold total sequences, or some of them.
func rangesText(ranges []admin.SeqRange, total uint64) string {
	parts := make([]string, 0, len(ranges))
	for _, r := range ranges {
		parts = append(parts, rangeText(r))
		total -= r.Last - r.First + 1
	}
	text := strings.Join(parts, ", ")
	if total > 0 {
		text += fmt.Sprintf(" and %s more", display.Number(total))
	}
	return text
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
