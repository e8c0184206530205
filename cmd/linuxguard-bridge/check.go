package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// loader reads configurations for commands that don't run the daemon.
func (g *globals) loader() *bridge.Loader {
	return &bridge.Loader{Version: version, Getenv: g.Getenv, Now: g.Now, Log: slog.New(slog.DiscardHandler),
		Secrets: secret.NewOutsideResolver(g.Getenv, whileRunning, loadedFrom)}
}

func newCheckCommand(g *globals) *cobra.Command {
	var asJSON, probe bool
	var limit time.Duration
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check the configuration file",
		Long: "Reads the configuration file as the daemon would and reports everything that is wrong with it, each with\n" +
			"file, line, column and what to do. Nothing is started and nothing is sent.\n\n" +
			"With --probe it also reaches out to every output, and to a shared queue's database, and says what it found; that sends\n" +
			"nothing that would stay at the receiver.\n\n" +
			"Exit code 0: valid (warnings are possible); 1: a probe failed; 2: not valid.",
		Example: "  linuxguard-bridge check\n  linuxguard-bridge check --config ./config.toml --probe\n  linuxguard-bridge check --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.takeFile(args)
			l := g.loader()
			l.Strict = true
			if roots, err := x509.SystemCertPool(); err == nil {
				l.Roots = roots
			}
			files, report := config.Read(g.ConfigPath) // as the caller, who may have a draft that is nobody else's to read
			judge := g.asService(cmd.Context(), l, !probe)
			var loaded *bridge.Loaded
			if report == nil {
				judge.unreadable(files)
				loaded, report = l.LoadFiles(files)
			}
			judge.add(report)
			result := checkResult{Report: report, JudgedAs: judge.as}
			if loaded != nil {
				result.capacity = g.capacityNote(cmd.Context(), loaded.Config)
			}
			if loaded != nil && probe {
				result.Probes = append(g.probeQueue(cmd.Context(), loaded.Config, limit), probeAll(cmd.Context(), loaded, limit)...)
			}
			if err := result.write(g.Stdout, asJSON); err != nil {
				return err
			}
			return result.verdict()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&probe, "probe", false, "reach out to every output")
	c.Flags().DurationVar(&limit, "probe-timeout", 15*time.Second, "how long the probes of one output may take")
	return c
}

// checkResult is all that check found.
type checkResult struct {
	Report   *config.Report `json:"configuration"`
	JudgedAs string         `json:"judged_as"`
	Probes   []probeResult  `json:"probes,omitempty"`

	capacity string // for people: how long dedupe.capacity lasts; empty: not known
}

// takeFile lets a command's argument name the configuration file.
func (g *globals) takeFile(args []string) {
	if len(args) > 0 {
		g.ConfigPath = args[0]
	}
}

// askTimeout bounds what check asks the running bridge.
const askTimeout = 2 * time.Second

// capacityNote says for how long the file's dedupe.capacity lasts at the rate that the running bridge sees; without one that
// answers it says nothing.
func (g *globals) capacityNote(ctx context.Context, cfg *config.Config) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := admin.NewClient(cfg.Admin.Socket, "").Status(ctx)
	if err != nil || st.Queue.CapacityLasts == 0 || st.Queue.Capacity == 0 {
		return ""
	}
	lasts := time.Duration(float64(st.Queue.CapacityLasts) * float64(cfg.Dedupe.Capacity) / float64(st.Queue.Capacity))
	text := fmt.Sprintf("dedupe.capacity: at the rate that the running bridge sees, %s deliveries are remembered for %s",
		display.Number(cfg.Dedupe.Capacity), display.Duration(lasts))
	if lasts < cfg.Dedupe.Window {
		text += fmt.Sprintf(", less than dedupe.window (%s): raise it", display.Duration(cfg.Dedupe.Window))
	}
	return text
}

// probeQueue looks whether the database of a shared queue can carry it: the way there, TLS, durability, schema and rights.
func (g *globals) probeQueue(ctx context.Context, cfg *config.Config, limit time.Duration) []probeResult {
	s := cfg.Queue.Shared
	if s == nil {
		return nil
	}
	result := probeResult{Output: "(queue)", Target: s.URL}
	connect, err := bridge.Database(s)
	var warnings []string
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		warnings, err = postgres.Inspect(ctx, connect, s.Schema, postgres.Replication(s.ReplicatedBy))
	}
	result.OK, result.Text = err == nil, strings.Join(append([]string{"the database can carry the queue"}, warnings...), "; ")
	if err != nil {
		result.Text = err.Error()
	}
	return []probeResult{result}
}

type probeResult struct {
	Output string `json:"output"`
	Target string `json:"target,omitempty"`
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
}

func (r *checkResult) verdict() error {
	if r.Report.Err() != nil {
		return &usageError{errReported}
	}
	if slices.ContainsFunc(r.Probes, func(p probeResult) bool { return !p.OK }) {
		return errReported
	}
	return nil
}

func (r *checkResult) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	if err := r.Report.WriteText(w); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, r.JudgedAs); err != nil {
		return err
	}
	if r.capacity != "" {
		if _, err := fmt.Fprintln(w, r.capacity); err != nil {
			return err
		}
	}
	for _, p := range r.Probes {
		word := "ok"
		if !p.OK {
			word = "FAILED"
		}
		// A receiver's own words may be in the text: nothing of it may reach the terminal as an escape.
		if _, err := fmt.Fprintf(w, "probe %s %s: %s: %s\n", p.Output, p.Target, word, display.Line(p.Text)); err != nil {
			return err
		}
	}
	return nil
}

// probeAll tries every output, one after the other, in the order of their names.
func probeAll(ctx context.Context, loaded *bridge.Loaded, limit time.Duration) []probeResult {
	var all []probeResult
	for _, name := range slices.Sorted(maps.Keys(loaded.Outputs)) {
		o, err := loaded.Outputs[name](nil, nil)
		if err != nil {
			all = append(all, probeResult{Output: name, Text: err.Error()})
			continue
		}
		all = append(all, probe(ctx, name, o, limit)...)
	}
	return all
}

func probe(ctx context.Context, name string, o outputs.Output, limit time.Duration) []probeResult {
	p, ok := o.(outputs.Prober)
	if !ok {
		return []probeResult{{Output: name, OK: true, Text: "this kind of output can't be probed"}}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	findings, err := p.Probe(ctx)
	var results []probeResult
	for _, f := range findings {
		results = append(results, probeResult{name, f.Target, f.OK, f.Text})
	}
	if err != nil {
		results = append(results, probeResult{Output: name, Text: err.Error()})
	}
	return results
}
