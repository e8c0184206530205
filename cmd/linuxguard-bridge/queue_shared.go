package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

func newQueueInit(g *globals) *cobra.Command {
	var as string
	var printSQL bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the schema of a shared queue",
		Long: "Makes the schema of a queue that bridges share (queue.kind = \"postgres\") in the database that the configuration names,\n" +
			"and gives the role in queue.url the rights that a bridge needs in it. It connects as --as, a role that may create\n" +
			"schemas; its password is asked for as libpq does: PGPASSWORD, or ~/.pgpass.\n\n" +
			"Exit code 0: it is made; 1: it is not; 2: wrong usage, or the configuration is not valid.",
		Example: "  linuxguard-bridge queue init --as postgres\n  linuxguard-bridge queue init --print-sql | psql -h db1 linuxguard_bridge",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&as, "as", "", "the `role` that makes it (default: the one in queue.url)")
	c.Flags().BoolVar(&printSQL, "print-sql", false, "print what would be run and connect to nothing")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := g.sharedConfig(true)
		if err != nil {
			return err
		}
		shared := cfg.Queue.Shared
		connect, err := bridge.Database(shared)
		if err != nil {
			return err
		}
		role, id := connect.User, uuid.NewString()
		if printSQL {
			_, err := fmt.Fprint(g.Stdout, postgres.InitSQL(shared.Schema, role, id))
			return err
		}
		if as != "" && as != role {
			connect.User, connect.Password = as, g.Getenv("PGPASSWORD")
		}
		if err := postgres.Init(cmd.Context(), connect, shared.Schema, role, id); err != nil {
			return err
		}
		_, err = fmt.Fprintf(g.Stdout, "the schema %s is made, and %s may use it\n", display.Line(shared.Schema), display.Line(cmp.Or(role, "its owner")))
		return err
	}
	return c
}

// sharedConfig reads a configuration with a shared queue. pretend: secrets may be out of reach.
func (g *globals) sharedConfig(pretend bool) (*config.Config, error) {
	l := g.loader()
	if pretend {
		l.Secrets = secret.NewCheckResolver(g.Getenv, whileRunning, loadedFrom)
	}
	loaded, report := l.Load(g.ConfigPath)
	if loaded == nil {
		_ = report.WriteText(g.Stderr)
		return nil, &usageError{errReported}
	}
	if loaded.Config.Queue.Shared == nil {
		return nil, &usageError{fmt.Errorf("%s has a queue of this host alone: set queue.kind = \"postgres\" and queue.url first", g.ConfigPath)}
	}
	return loaded.Config, nil
}

func newQueueForget(g *globals) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "forget [OUTPUT] [--bridge NAME]",
		Short: "Forget an output or a bridge that has gone for good",
		Long: "Ends an output that this bridge does not name any more, although another bridge's last declaration may name it, and\n" +
			"gives up what it had left. With --bridge it forgets a bridge of a shared queue that will not come back: outputs that\n" +
			"it alone named end ten minutes later. The bridge logs who did it.\n\n" +
			"Exit code 0: it is forgotten; 1: it failed; 2: wrong usage, or there is none of that name.",
		Example: "  linuxguard-bridge queue forget old-siem\n  linuxguard-bridge queue forget --bridge bridge-2",
		Args:    cobra.MaximumNArgs(1),
	}
	flags := addControlFlags(c, g)
	c.Flags().StringVar(&name, "bridge", "", "the `name` of a bridge")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (name != "") {
			return &usageError{errors.New("name one output, or one bridge with --bridge")}
		}
		req := admin.ForgetRequest{Bridge: name}
		if len(args) == 1 {
			req.Output = args[0]
		}
		a, err := flags.client().Forget(cmd.Context(), req)
		if err != nil {
			return explained(err)
		}
		if flags.asJSON {
			return printJSON(g.Stdout, a)
		}
		text := fmt.Sprintf("bridge %s is forgotten", display.Line(name))
		if req.Output != "" {
			text = fmt.Sprintf("output %s has ended; %s that it had left are given up", display.Line(req.Output), display.Count(a.Events, "event"))
		}
		_, err = fmt.Fprintln(g.Stdout, text)
		return err
	}
	return c
}
