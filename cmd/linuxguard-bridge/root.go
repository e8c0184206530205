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
	Hangups    <-chan os.Signal // SIGHUP, which asks a daemon to reload; one during the start is served after it
}

// usageError marks an error as the caller's: exit code 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errReported says that a command has already told the user what went wrong; only the exit code is left to set.
var errReported = errors.New("reported already")

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, g *globals, args []string) int {
	root := newRootCommand(g) //nolint:contextcheck // commands get theirs from ExecuteContext
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
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
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return &usageError{errors.New("name a command")}
		},
	}
	root.SetIn(g.Stdin)
	root.SetOut(g.Stdout)
	root.SetErr(g.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVarP(&g.ConfigPath, "config", "c", config.DefaultPath, "configuration `file`")
	root.AddCommand(commands(g)...)
	for _, c := range root.Commands() {
		asUsageErrors(c)
	}
	return root
}

// asUsageErrors gives wrong arguments of c and of its subcommands exit code 2.
func asUsageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUsageErrors(sub)
	}
}

// commands is the literal list of the subcommands, one file each.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(g),
		newCheckCommand(g),
		newStatusCommand(g),
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
