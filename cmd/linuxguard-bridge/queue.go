package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

func newQueueCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "Work on the queue",
		Long:  "Works on the queue, where what was acknowledged stays until every output has it.",
		RunE:  needsSubcommand,
	}
	c.AddCommand(newQueueReplay(g), newQueueBackup(g), newQueueDump(g), newQueueInit(g), newQueueMove(g), newQueueForget(g))
	return c
}

func newQueueReplay(g *globals) *cobra.Command {
	var output, since string
	c := &cobra.Command{
		Use:   "replay --output NAME --since DURATION",
		Short: "Send events to an output again",
		Long: "Moves an output back, so that the events received since then are sent to it again with their bridge_seq, after a\n" +
			"mapping mistake or when an index was deleted. It gets what is still kept: set queue.keep to keep delivered events.\n" +
			"Other outputs get nothing twice. The bridge logs who did it.\n\n" +
			"Exit code 0: they are queued; 1: it failed; 2: wrong usage.",
		Example: "  linuxguard-bridge queue replay --output splunk --since 24h",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c, g)
	c.Flags().StringVar(&output, "output", "", "the `name` of the output")
	c.Flags().StringVar(&since, "since", "", "send again what was received this `duration` ago and later, e.g. 24h")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if output == "" || since == "" {
			return &usageError{errors.New("name the output and since when: --output splunk --since 24h")}
		}
		ago, err := admin.ParseAgo(since)
		if err != nil {
			return &usageError{fmt.Errorf("--since: %w", err)}
		}
		a, err := flags.client().Replay(cmd.Context(), output, ago)
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			return printJSON(g.Stdout, a)
		}
		_, err = fmt.Fprintf(g.Stdout, "%s events are sent to %s again, those received since %s\n", display.Number(a.Events), display.Line(a.Output), display.Time(a.Since))
		return err
	}
	return c
}
