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

func newLossesCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "losses",
		Short: "List and acknowledge what the queue has lost",
		Long: "A loss is something that was acknowledged to LinuxGuard and is gone, because the disk has damaged or lost it. It\n" +
			"stays in status, metrics and alerts until it is acknowledged here.",
		RunE: needsSubcommand,
	}
	c.AddCommand(newLossesList(g), newLossesAcknowledge(g))
	return c
}

func newLossesList(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the losses that are not acknowledged",
		Long: "Lists the losses that are not acknowledged, oldest first: what was lost, and between which bridge_seq. Audit\n" +
			"says which events of an output they are.",
		Example: "  linuxguard-bridge losses list",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := flags.client().Losses(cmd.Context())
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			return printJSON(g.Stdout, list)
		}
		return printLosses(g, list.Losses)
	}
	return c
}

func printLosses(g *globals, losses []admin.Loss) error {
	p := g.printer()
	if len(losses) == 0 {
		p.printf("no loss waits to be acknowledged\n")
		return p.err
	}
	rows := make([][]cell, 0, len(losses))
	for _, l := range losses {
		span, records := cell{text: "unknown"}, cell{text: "unknown", right: true}
		if l.First != 0 {
			span.text = rangeText(admin.SeqRange{First: l.First, Last: l.Last})
		}
		if l.Records != 0 {
			records.text = display.Number(l.Records)
		}
		rows = append(rows, []cell{{text: strconv.FormatUint(l.ID, 10), right: true}, {text: display.Time(l.At)}, span, records, textCell(l.What)})
	}
	p.table([]string{"ID", "FOUND", "BRIDGE_SEQ", "RECORDS AT MOST", "WHAT"}, rows)
	return p.err
}

func newLossesAcknowledge(g *globals) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "acknowledge ID... | --all",
		Short: "Say that you know of a loss",
		Long: "Takes losses out of status, metrics and alerts. What is lost stays lost, and audit still shows it. The bridge\n" +
			"stores and logs who did it.\n\n" +
			"Exit code 0: all are acknowledged; 1: at least one is not; 2: wrong usage.",
		Example: "  linuxguard-bridge losses acknowledge 3\n  linuxguard-bridge losses acknowledge --all",
		Args:    cobra.ArbitraryArgs,
	}
	flags := addControlFlags(c, g)
	c.Flags().BoolVar(&all, "all", false, "every loss that is listed")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client := flags.client()
		ids, err := chooseLosses(cmd.Context(), client, all, args)
		if err != nil {
			return err
		}
		return flags.forEach(cmd.Context(), ids, func(ctx context.Context, id uint64) (any, string, error) {
			l, err := client.AcknowledgeLoss(ctx, id)
			return l, fmt.Sprintf("%d acknowledged", id), err
		})
	}
	return c
}

func chooseLosses(ctx context.Context, client *admin.Client, all bool, args []string) ([]uint64, error) {
	if all == (len(args) > 0) {
		return nil, &usageError{errors.New("name losses by their ID (losses list), or say --all")}
	}
	if !all {
		return parseIDs(args, "losses list")
	}
	list, err := client.Losses(ctx)
	if err != nil {
		return nil, explained(err)
	}
	ids := make([]uint64, 0, len(list.Losses))
	for _, l := range list.Losses {
		ids = append(ids, l.ID)
	}
	return ids, nil
}
