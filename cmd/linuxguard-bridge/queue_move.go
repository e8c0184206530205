package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
)

func newQueueMove(g *globals) *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "move --from DIR",
		Short: "Move a queue of one host into a shared queue",
		Long: "Copies the queue in a folder into the schema that the configuration names (queue.kind = \"postgres\") and queue init has\n" +
			"just made: events, the memory of deliveries, what became of them, the outputs' places and the quarantine. It keeps\n" +
			"bridge_id and bridge_seq, so that nothing is sent again and nothing is taken twice. Stop the bridge first. In the end the\n" +
			"folder gets a mark by which no bridge uses it any more; nothing of it is deleted. When anything fails the folder can be\n" +
			"used as before, and the command can be run again. As root it works as the folder's owner.\n\n" +
			"Exit code 0: the queue is moved, or was moved before; 1: it is not; 2: wrong usage, or the configuration is not valid.",
		Example: "  systemctl stop linuxguard-bridge\n  linuxguard-bridge queue move --from /var/lib/linuxguard-bridge",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&from, "from", "", "the queue's `folder`, queue.directory until now")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if from == "" {
			return &usageError{errors.New("name the folder: --from /var/lib/linuxguard-bridge")}
		}
		cfg, err := g.sharedConfig(false)
		if err != nil {
			return err
		}
		moved, err := moveQueue(cmd.Context(), from, cfg)
		if err != nil {
			return fmt.Errorf("move the queue: %w", err)
		}
		if moved.Already {
			_, err = fmt.Fprintf(g.Stdout, "the schema %s has had this queue since an earlier move\n", display.Line(cfg.Queue.Shared.Schema))
			return err
		}
		_, err = fmt.Fprintf(g.Stdout, "moved: %s, %s remembered, %s, %s; the folder is marked and may be deleted when all is well\n",
			display.Count(moved.Events, "event"), display.Count(moved.Deliveries, "delivery"), display.Count(moved.DeadLetters, "quarantined item"),
			display.Count(uint64(moved.Outputs), "output")) //nolint:gosec // a count
		return err
	}
	return c
}

// moveQueue moves the queue in a folder to where the configuration says.
func moveQueue(ctx context.Context, dir string, cfg *config.Config) (moved postgres.Moved, err error) {
	shared := cfg.Queue.Shared
	connect, err := bridge.Database(shared) // reads files that only root may read
	if err != nil {
		return moved, err
	}
	if err := becomeOwner(dir); err != nil {
		return moved, err
	}
	src, err := local.OpenSource(ctx, local.Options{Directory: dir, Capacity: cfg.Dedupe.Capacity, Window: cfg.Dedupe.Window})
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, src.Close(context.WithoutCancel(ctx))) }()
	o := postgres.Options{Connect: connect, Schema: shared.Schema, ReplicatedBy: postgres.Replication(shared.ReplicatedBy), Pooler: shared.Pooler}
	return postgres.Move(ctx, o, src, func(on bool) error {
		if !on {
			return src.Unmark()
		}
		return src.Mark(fmt.Sprintf("the schema %s of the database %s at %s", shared.Schema, connect.Database, connect.Host))
	})
}

// becomeOwner gives up root's rights for those of a folder's owner, for good: a file of root's in it would keep the service from using
// the folder.
func becomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there", dir)
	}
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s belongs to the user with the ID %d: run this as that user or as root", dir, stat.Uid)
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(nil) }, func() error { return syscall.Setgid(int(stat.Gid)) }, func() error { return syscall.Setuid(int(stat.Uid)) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("become the owner of %s: %w", dir, err)
		}
	}
	return nil
}
