package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
)

func newQueueBackup(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the queue of the running bridge",
		Long: "Copies the queue's folder into a new folder while the bridge runs. All that was acknowledged before is in the copy.\n" +
			"To restore it, stop the bridge, put the copy in place of queue.directory, owned by the service's user, and start the\n" +
			"bridge. It takes a new bridge_id then, because the queue that it is a copy of has gone on giving bridge_seq numbers,\n" +
			"and says so in losses list.\n\n" +
			"Exit code 0: the copy is complete; 1: it is not; 2: wrong usage.",
		Example: "  linuxguard-bridge queue backup /var/backups/linuxguard-bridge-2026-11-26",
		Args:    oneFolder,
	}
	flags := addControlFlags(c, g)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		err := flags.client().Backup(cmd.Context(), func(r io.Reader) error { return local.Restore(r, args[0]) })
		if err != nil {
			return explained(err)
		}
		_, err = fmt.Fprintf(g.Stdout, "the queue was copied to %s\n", display.Line(args[0]))
		return err
	}
	return c
}

func newQueueDump(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "dump DIR",
		Short: "Print what a queue's folder holds",
		Long: "Prints every record of a queue's folder as a line of JSON, and what can't be read as such. It only reads, asks no bridge\n" +
			"and needs no lock, so that it works when the bridge can't start. The bodies of webhooks are in its output.\n\n" +
			"Exit code 0: all that can be read was printed; 1: the folder is not a queue's, or is of another version; 2: wrong usage.",
		Example: "  linuxguard-bridge queue dump /var/lib/linuxguard-bridge | jq 'select(.kind == \"event\") | .bridge_seq'",
		Args:    oneFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			w := bufio.NewWriterSize(g.Stdout, 64<<10)
			return errors.Join(local.Dump(cmd.Context(), args[0], w), w.Flush())
		},
	}
}

func oneFolder(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &usageError{errors.New("name one folder")}
	}
	return nil
}
