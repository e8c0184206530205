package main

import (
	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

func newConfigCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Work on the configuration",
		Long:  "Works on the configuration, which stands in one file and in conf.d/*.toml beside it.",
		RunE:  needsSubcommand,
	}
	c.AddCommand(newConfigShow(g))
	return c
}

// shownSetting is one line of config show --json.
type shownSetting struct {
	Table  string `json:"table"`
	Key    string `json:"key"`
	Value  string `json:"value"` // as TOML
	Source string `json:"source"`
}

func newConfigShow(g *globals) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show every setting and where its value comes from",
		Long: "Shows every key of the configuration with the value that a bridge with it would use, and where that comes from: a file and\n" +
			"line, or the default. What it prints is a configuration again, in one file, with what is at its default behind a \"#\".\n" +
			"Secrets are shown as their references.\n\n" +
			"What a running bridge uses can be older: see the configuration's hash and time in status.\n\n" +
			"Exit code 0: shown; 2: the configuration is not valid.",
		Example: "  linuxguard-bridge config show\n  linuxguard-bridge config show --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			g.takeFile(args)
			l := g.loader()
			l.Secrets = secret.NewCheckResolver(g.Getenv, whileRunning, loadedFrom)
			loaded, report := l.Load(g.ConfigPath)
			if loaded == nil {
				_ = report.WriteText(g.Stderr)
				return &usageError{errReported}
			}
			shown := make([]shownSetting, len(loaded.Config.Settings))
			for i, s := range loaded.Config.Settings {
				shown[i] = shownSetting(s)
			}
			if asJSON {
				return printJSON(g.Stdout, shown)
			}
			return g.printSettings(shown)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// commentColumn is where the sources stand, unless a line is longer.
const commentColumn = 56

func (g *globals) printSettings(settings []shownSetting) error {
	p, table := g.printer(), ""
	for i, s := range settings {
		if s.Table != table || i == 0 {
			if i > 0 {
				p.printf("\n")
			}
			table = s.Table
			p.printf("[%s]\n", table)
		}
		mark := ""
		if s.Source == config.DefaultSource {
			mark = "#"
		}
		p.printf("%-*s # %s\n", commentColumn, mark+s.Key+" = "+s.Value, s.Source)
	}
	return p.err
}
