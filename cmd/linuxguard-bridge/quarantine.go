package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

func newQuarantineCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "List, show, re-send or drop what could not be forwarded",
		Long: "The quarantine (dead-letter queue) keeps what was signed by LinuxGuard but could not be forwarded as it stands (not JSON, of an\n" +
			"unknown version, too old), and what a destination refused for good. Nothing in it is lost until you drop it.",
		RunE: needsSubcommand,
	}
	c.AddCommand(newQuarantineList(g), newQuarantineShow(g), newQuarantineResend(g), newQuarantineDrop(g))
	return c
}

// itemFilter selects items by where they come from.
type itemFilter struct {
	output, reason string
	onReceipt      bool
}

func (f *itemFilter) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&f.output, "output", "", "only what this `output` refused")
	c.Flags().BoolVar(&f.onReceipt, "on-receipt", false, "only what was quarantined on receipt and never reached an output")
	c.Flags().StringVar(&f.reason, "reason", "", "only items with this `reason`")
}

func (f *itemFilter) check() error {
	if f.output != "" && f.onReceipt {
		return &usageError{errors.New("--output and --on-receipt exclude each other")}
	}
	return nil
}

func (f *itemFilter) wants(it admin.QuarantineItem) bool {
	return (f.output == "" || it.Output == f.output) && (!f.onReceipt || it.Output == "") && (f.reason == "" || it.Reason == f.reason)
}

// refusedBy names where an item was quarantined.
func refusedBy(it admin.QuarantineItem) string {
	if it.Output == "" {
		return "on receipt"
	}
	return it.Output
}

// each calls do for every item that the filter wants, in order, page by page. do returns false to end.
func (f *itemFilter) each(ctx context.Context, c *admin.Client, do func(admin.QuarantineItem) bool) error {
	if err := f.check(); err != nil {
		return err
	}
	for after := uint64(0); ; {
		page, err := c.Quarantine(ctx, after)
		if err != nil {
			return explained(err)
		}
		for _, it := range page.Items {
			if f.wants(it) && !do(it) {
				return nil
			}
		}
		if after = page.Next; after == 0 {
			return nil
		}
	}
}

func newQuarantineList(g *globals) *cobra.Command {
	var filter itemFilter
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List what is in the quarantine",
		Long:    "Lists the items of the quarantine, oldest first. An item's ID is what show, resend and drop want.",
		Example: "  linuxguard-bridge quarantine list --output splunk",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	filter.addFlags(c)
	c.Flags().IntVar(&limit, "limit", 1000, "list at most so many `items`")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		items := []admin.QuarantineItem{}
		more := false
		err := filter.each(cmd.Context(), flags.client(), func(it admin.QuarantineItem) bool {
			if more = len(items) == limit; !more {
				items = append(items, it)
			}
			return !more
		})
		if err != nil {
			return err
		}
		if flags.asJSON {
			return printJSON(g.Stdout, admin.QuarantineList{Items: items})
		}
		return printItems(g, items, more)
	}
	return c
}

func printItems(g *globals, items []admin.QuarantineItem, more bool) error {
	p := g.printer()
	if len(items) == 0 {
		p.printf("nothing is in the quarantine\n")
		return p.err
	}
	rows := make([][]cell, 0, len(items))
	for _, it := range items {
		seq := cell{text: "-", right: true}
		if it.Seq != 0 {
			seq = cell{text: strconv.FormatUint(it.Seq, 10), right: true}
		}
		rows = append(rows, []cell{
			{text: strconv.FormatUint(it.ID, 10), right: true}, {text: display.Time(it.At)}, textCell(refusedBy(it)), textCell(orDash(it.Endpoint)), seq,
			textCell(orDash(it.DeliveryID)), textCell(it.Reason),
		})
	}
	p.table([]string{"ID", "SINCE", "REFUSED BY", "ENDPOINT", "BRIDGE_SEQ", "DELIVERY ID", "REASON"}, rows)
	if more {
		p.printf("there are more: raise --limit\n")
	}
	return p.err
}

func newQuarantineShow(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one item with its payload",
		Long: "Shows everything about one item and its payload as it was received. Control characters and terminal\n" +
			"escapes in it are shown as \\x1b and the like.",
		Args: cobra.ExactArgs(1),
	}
	flags := addControlFlags(c, g)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(args, "quarantine list")
		if err != nil {
			return err
		}
		it, err := flags.client().Quarantined(cmd.Context(), ids[0])
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			return printJSON(g.Stdout, it)
		}
		return printItem(g, it)
	}
	return c
}

func printItem(g *globals, it admin.QuarantineItem) error {
	p := g.printer()
	line := func(name, value string) {
		if value != "" {
			p.printf("%-12s %s\n", name, display.Line(value))
		}
	}
	number := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	line("item", number(it.ID))
	line("reason", it.Reason)
	line("damaged", it.Damaged)
	line("refused by", refusedBy(it))
	line("since", display.Time(it.At))
	line("endpoint", it.Endpoint)
	if !it.ReceivedAt.IsZero() {
		line("received", display.Time(it.ReceivedAt))
	}
	line("from", it.ClientAddr)
	line("signed with", it.SecretName)
	line("bridge_seq", number(it.Seq))
	line("re-sent from", number(it.ResendOf))
	line("delivery id", it.DeliveryID)
	line("signal id", it.SignalID)
	line("signal type", it.SignalType)
	line("bytes", strconv.Itoa(it.Size))
	for _, body := range []string{it.Body, string(it.BodyRaw), string(it.Raw)} {
		if body != "" {
			p.printf("\n%s\n", display.Lines(body))
		}
	}
	if it.Cut {
		p.printf("(cut: the payload is larger than what is shown)\n")
	}
	return p.err
}

func newQuarantineResend(g *globals) *cobra.Command {
	var batch itemBatch
	var outputs []string
	c := &cobra.Command{
		Use:   "resend ID... | --all",
		Short: "Put items back into the queue",
		Long: "Puts items back into the queue and takes them out of the quarantine, in one step. An item goes to the output\n" +
			"that refused it, one that was quarantined on receipt goes to all, and --to names others. It gets a new bridge_seq.\n\n" +
			"Exit code 0: all are queued; 1: at least one is not; 2: wrong usage. The bridge logs who did it.",
		Args:    cobra.ArbitraryArgs,
		Example: "  linuxguard-bridge quarantine resend 17\n  linuxguard-bridge quarantine resend --all --output splunk",
	}
	flags := addControlFlags(c, g)
	batch.addFlags(c)
	c.Flags().StringArrayVar(&outputs, "to", nil, "send to this `output` instead; may be repeated")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client := flags.client()
		return batch.run(cmd.Context(), flags, args, func(ctx context.Context, id uint64) (any, string, error) {
			a, err := client.Resend(ctx, id, outputs)
			return a, fmt.Sprintf("%d re-sent as bridge_seq %d", id, a.Seq), err
		})
	}
	return c
}

func newQuarantineDrop(g *globals) *cobra.Command {
	var batch itemBatch
	var yes bool
	c := &cobra.Command{
		Use:   "drop ID... | --all --yes",
		Short: "Delete items for good",
		Long: "Deletes items of the quarantine for good. The bridge logs each with who did it.\n\n" +
			"Exit code 0: all are deleted; 1: at least one is not; 2: wrong usage.",
		Args:    cobra.ArbitraryArgs,
		Example: "  linuxguard-bridge quarantine drop 17 18\n  linuxguard-bridge quarantine drop --all --reason stale --yes",
	}
	flags := addControlFlags(c, g)
	batch.addFlags(c)
	c.Flags().BoolVar(&yes, "yes", false, "with --all: really")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if batch.all && !yes {
			return &usageError{errors.New("--all deletes signed events for good: say --yes as well")}
		}
		client := flags.client()
		return batch.run(cmd.Context(), flags, args, func(ctx context.Context, id uint64) (any, string, error) {
			it, err := client.Drop(ctx, id)
			return it, fmt.Sprintf("%d dropped", id), err
		})
	}
	return c
}
