package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
)

func newRunCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: "Runs the daemon in the foreground until SIGTERM or SIGINT; SIGHUP reloads the configuration. Under systemd\n" +
			"it reports readiness, reloads and its state, answers the watchdog and logs to the journal.\n\n" +
			"Exit code 0: stopped in good order; 1: it failed; 2: the configuration is not valid.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.run(cmd.Context()) },
	}
}

// gcHeadroom is memory that nobody touches: it takes addresses and no RAM. The garbage collector counts it as live and so
// lets that much more garbage gather between two cycles. With a heap of a few MiB they would otherwise follow each
// other so fast that one webhook in a hundred waits for one.
const gcHeadroom = 6 << 20

// limitMemory has the garbage collector work harder before the service manager throttles the daemon (MemoryHigh=), unless the operator
// has set GOMEMLIMIT. A tenth is left for what is not on the heap.
func limitMemory(limit int64, getenv func(string) string) {
	if limit > 0 && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit - limit/10)
	}
}

// stopTimeout bounds an orderly stop as a whole; it is below TimeoutStopSec= of the unit.
const stopTimeout = 60 * time.Second

func (g *globals) run(ctx context.Context) error {
	stopProfile, err := startProfile(g.Getenv(profileVariable))
	if err != nil {
		return err
	}
	defer stopProfile()
	headroom := make([]byte, gcHeadroom)
	defer runtime.KeepAlive(headroom)
	granted := systemd.MemoryLimit(os.DirFS("/"))
	limitMemory(granted, g.Getenv)
	level := &slog.LevelVar{}
	files, report := config.Read(g.ConfigPath)
	log, err := g.logger(config.LogFormat(files), level)
	if err != nil {
		return err
	}
	l := &bridge.Loader{Version: version, Getenv: g.Getenv, Now: g.Now, Log: log, MemoryLimit: granted}
	var loaded *bridge.Loaded
	if report == nil {
		loaded, report = l.LoadFiles(files)
	}
	for _, p := range report.Problems {
		logProblem(ctx, log, p)
	}
	if loaded == nil {
		return &usageError{fmt.Errorf("%w: see linuxguard-bridge check", report.Err())}
	}
	if err := setLevel(level, loaded.Config.Log.Level); err != nil {
		return &usageError{err}
	}
	log.Info("starting", "event", "started", "version", version, "config", g.ConfigPath)
	sockets, err := systemd.Listeners()
	if err != nil {
		return err
	}
	return serve(ctx, bridge.Options{
		Loader: l, Path: g.ConfigPath, Log: log, Level: level, Notifier: systemd.NewNotifier(), Sockets: sockets,
	}, loaded, report, g.Hangups)
}

// serve runs one bridge from start to stop.
func serve(ctx context.Context, opts bridge.Options, loaded *bridge.Loaded, report *config.Report, hup <-chan os.Signal) error {
	b, err := bridge.Start(ctx, opts, loaded, report)
	if err != nil {
		return err
	}
	err = b.Run(ctx, hup)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err = errors.Join(err, b.Stop(stopCtx)); err == nil {
		opts.Log.Info("stopped", "event", "stopped")
	}
	return err
}

func logProblem(ctx context.Context, log *slog.Logger, p config.Problem) {
	level := slog.LevelError
	if p.Severity == config.Warning {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "configuration", "problem", p.String())
}

// logger makes the daemon's logger.
func (g *globals) logger(format string, level slog.Leveler) (*slog.Logger, error) {
	return logging.New(logging.Options{
		Format: format, Level: level, Stderr: g.Stderr, Getenv: g.Getenv,
		UnderJournal: systemd.StderrIsJournal(), JournalSocket: systemd.JournalSocket,
	})
}

func setLevel(v *slog.LevelVar, text string) error {
	level, err := logging.ParseLevel(text)
	if err != nil {
		return err
	}
	v.Set(level)
	return nil
}
