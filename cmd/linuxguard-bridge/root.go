package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // wrong arguments or a bad configuration: trying again will not help
)

// globals is what every command gets from the outside world, so that tests can stand in for it.
type globals struct {
	ConfigPath string
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	Getenv     func(string) string
	Now        func() time.Time
	Host       *host            // what check asks of the machine; nil: nothing
	Hangups    <-chan os.Signal // SIGHUP, which asks a daemon to reload; one during the start is served after it
}

// errReported says that a command has already told the user what went wrong; only the exit code is left to set.
var errReported = errors.New("reported already")

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, g *globals, args []string) int {
	root := newRootCommand(g) //nolint:contextcheck // commands get theirs from ExecuteContext
	root.SetArgs(args)
	err := permission.Explain(root.ExecuteContext(ctx))
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		_, _ = fmt.Fprintf(g.Stderr, "linuxguard-bridge: %v\n", err)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// newRootCommand builds the whole tree of commands; man pages and completions are generated from the same tree.
func newRootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "linuxguard-bridge",
		Short: "Receives LinuxGuard's signed webhooks and forwards them to syslog and Splunk",
		Long: "linuxguard-bridge receives LinuxGuard's signed security webhooks over HTTPS, verifies and deduplicates\n" +
			"them, makes them durable before it answers, and forwards each signal to syslog, Splunk HEC and files.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		RunE:          needsSubcommand,
	}
	root.SetIn(g.Stdin)
	root.SetOut(g.Stdout)
	root.SetErr(g.Stderr)
	root.SetVersionTemplate(versionLine())
	root.SetHelpCommand(newHelpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true // the packages install them
	root.PersistentFlags().StringVarP(&g.ConfigPath, "config", "c", config.DefaultPath, "configuration `file`")
	root.AddCommand(commands(g)...)
	ownWords(root)
	return root
}

// commands is the literal list of the subcommands, one file each.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(g),
		newCheckCommand(g),
		newConfigCommand(g),
		newReloadCommand(g),
		newStatusCommand(g),
		newTailCommand(g),
		newTraceCommand(g),
		newAuditCommand(g),
		newQuarantineCommand(g),
		newLossesCommand(g),
		newQueueCommand(g),
		newSendCommand(g),
		newRenderCommand(g),
		newDemoCommand(g),
		newVersionCommand(g),
	}
}
