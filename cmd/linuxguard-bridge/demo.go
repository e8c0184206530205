package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

//go:embed demo.toml.tmpl
var demoConfig string

// demoTimeout bounds the whole demonstration; it takes about a second.
const demoTimeout = time.Minute

func newDemoCommand(g *globals) *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of a signal, on throw-away secrets",
		Long: "Starts a bridge on a free port of this host with a throw-away certificate, secret and queue, sends it signals\n" +
			"of every severity over HTTPS, one of them twice, and a forged one, and shows what became of each: the\n" +
			"receiver's answer, and the syslog and Splunk records read back from the files that the outputs wrote.\n\n" +
			"Exit code 0: all is as it should be; 1: not so.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			return g.demo(ctx, keep)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep the folder with configuration, queue, log and records")
	return c
}

// demo runs the demonstration in a temporary folder.
func (g *globals) demo(ctx context.Context, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "linuxguard-bridge-demo-")
	if err != nil {
		return err
	}
	if keep {
		defer func() { _, _ = fmt.Fprintf(g.Stdout, "\nkept: %s\n", dir) }()
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	config, err := prepareDemo(dir, g.Now())
	if err != nil {
		return fmt.Errorf("prepare the demonstration: %w", err)
	}
	demonstrator := *g
	demonstrator.ConfigPath = config
	results, err := demonstrator.demoTraffic(ctx, dir)
	if err != nil {
		return err
	}
	records, err := readDemoRecords(dir)
	if err != nil {
		return err
	}
	if err := writeDemo(g.Stdout, results, records); err != nil {
		return err
	}
	if err := judgeDemo(results, records); err != nil {
		return fmt.Errorf("not as it should be: %w", err)
	}
	_, err = fmt.Fprintln(g.Stdout, "\nAs it should be: each accepted signal once in both outputs, numbered without a gap; the duplicate and the\n"+
		"forged one added nothing.")
	return err
}

// prepareDemo writes the configuration and what it refers to, and returns its path.
func prepareDemo(dir string, now time.Time) (string, error) {
	authority, err := throwaway.NewAuthority(now)
	if err != nil {
		return "", err
	}
	pair, err := authority.Issue(now.Add(-time.Hour), now.Add(60*24*time.Hour), "localhost", "127.0.0.1")
	if err != nil {
		return "", err
	}
	if _, _, err := pair.WriteFiles(dir, "server"); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "webhook-secret"), []byte("throw-away "+uuid.NewString()), 0o600); err != nil {
		return "", err
	}
	text, err := template.New("demo").Parse(demoConfig)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := text.Execute(&b, dir); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "config.toml")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// demoTraffic starts the bridge, sends everything by send's own code, waits until the outputs have it and stops the
// bridge in good order.
func (g *globals) demoTraffic(ctx context.Context, dir string) (results []demoResult, err error) {
	stop, err := g.startDemo(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	target, err := g.target(ctx, sendOptions{})
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(g.Stdout, "A bridge at %s, on throw-away secrets in %s.\n\n", target.url, dir)
	client, err := sender.NewClient(target.url, nil, target.options(sendOptions{}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for _, one := range demoDeliveries(&sender.Signer{Secret: target.secret.Reveal(), Now: g.Now}, g.Now()) {
		s := g.postAll(ctx, client, []plannedDelivery{one.plannedDelivery})
		results = append(results, demoResult{one.label, s[0]})
	}
	for _, r := range results {
		if !r.accepted() {
			continue
		}
		if _, err := awaitOne(ctx, ctx, target.control, r.delivery.ID); err != nil {
			return nil, fmt.Errorf("wait for the outputs: %w", err)
		}
	}
	return results, nil
}

// startDemo starts the daemon's own parts in this process. They log into a file of dir.
func (g *globals) startDemo(ctx context.Context, dir string) (stop func() error, err error) {
	file, err := os.Create(filepath.Join(dir, "bridge.log")) //nolint:gosec // in our own temporary folder
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewJSONHandler(file, nil))
	l := &bridge.Loader{Version: version, Getenv: g.Getenv, Now: g.Now, Log: log}
	loaded, report := l.Load(g.ConfigPath)
	if loaded == nil {
		return nil, errors.Join(report.Err(), file.Close())
	}
	b, err := bridge.Start(ctx, bridge.Options{Loader: l, Path: g.ConfigPath, Log: log, Notifier: systemd.NewNotifier()}, loaded, report)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(b.Stop(ctx), file.Close())
	}, nil
}

// demoDelivery is one delivery with what it shows.
type demoDelivery struct {
	label string
	plannedDelivery
}

// demoResult is what became of it.
type demoResult struct {
	label string
	sent
}

// demoDeliveries is every severity once, the fourth again, and a forged one.
func demoDeliveries(signer *sender.Signer, now time.Time) []demoDelivery {
	names := []string{"info", "low", "medium", "high", "critical"}
	var all []demoDelivery
	for i, name := range names {
		d := signer.Deliver(sender.Sample(i+1, now, nil).JSON())
		all = append(all, demoDelivery{fmt.Sprintf("severity %d, %s", i+1, name), plannedDelivery{d, wantAccepted}})
	}
	forged := signer.Deliver(sender.Sample(sender.MaxSeverity, now, nil).JSON()).Forge()
	return append(all,
		demoDelivery{"severity 4 again", plannedDelivery{all[3].delivery, wantDuplicate}},
		demoDelivery{"severity 5, forged", plannedDelivery{forged, wantRefused}})
}
