package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// maxPayload bounds what render reads, far above any webhook.
const maxPayload = 64 << 20

func newRenderCommand(g *globals) *cobra.Command {
	var only, set []string
	var rec outputs.Record
	c := &cobra.Command{
		Use:   "render [FILE]",
		Short: "Show the record that an output would emit for a webhook's body",
		Long: "Reads a webhook's body from FILE (or standard input) and prints, for every output of the configuration, the\n" +
			"record that it would emit, without framing or batching. Nothing is sent. With --set no configuration file is\n" +
			"needed: it makes up one output from the keys given.",
		Example: "  linuxguard-bridge render signal.json\n" +
			"  linuxguard-bridge render --output siem < signal.json\n" +
			"  linuxguard-bridge render --set 'type=\"syslog\"' --set 'message=\"cef\"' signal.json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			chosen, err := g.renderers(only, set)
			if err != nil {
				return err
			}
			if rec.Body, err = g.readPayload(args); err != nil {
				return err
			}
			if rec.Signal, err = signal.Decode(rec.Body); err != nil {
				return fmt.Errorf("the payload would go to the quarantine: %w", err)
			}
			if problem := rec.Signal.Problem(); problem != "" {
				_, _ = fmt.Fprintf(g.Stderr, "linuxguard-bridge: the daemon would keep this payload in the quarantine: %s\n", problem)
			}
			rec.ReceivedAt = g.Now()
			return renderAll(g.Stdout, chosen, rec)
		},
	}
	f := c.Flags()
	f.StringSliceVarP(&only, "output", "o", nil, "only the output of this `name` (may be repeated)")
	f.StringArrayVar(&set, "set", nil, "instead of the configuration's outputs, one with this `key=value` in TOML (may be repeated)")
	f.StringVar(&rec.DeliveryID, "delivery-id", "00000000-0000-4000-8000-000000000000", "the LinuxGuard-Delivery header")
	f.StringVar(&rec.Endpoint, "endpoint", "linuxguard", "the name of the endpoint that received it")
	f.StringVar(&rec.BridgeID, "bridge-id", "render", "the bridge_id")
	f.Uint64Var(&rec.Seq, "bridge-seq", 1, "the bridge_seq")
	return c
}

// namedRenderer is one output that can show its records.
type namedRenderer struct {
	name string
	outputs.Renderer
}

// renderers returns the outputs to show, in the order of their names.
func (g *globals) renderers(only, set []string) ([]namedRenderer, error) {
	loaded, err := g.renderConfig(set)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(loaded.Outputs))
	if len(only) > 0 {
		for _, name := range only {
			if !slices.Contains(names, name) {
				return nil, &usageError{fmt.Errorf("there is no output %q: the configuration has %s", name, strings.Join(names, ", "))}
			}
		}
		names = only
	}
	var all []namedRenderer
	for _, name := range names {
		o, err := loaded.Outputs[name](nil, nil)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		r, ok := o.(outputs.Renderer)
		if !ok {
			return nil, fmt.Errorf("output %s can't show its records", name)
		}
		all = append(all, namedRenderer{name, r})
	}
	return all, nil
}

// scratchConfig is the smallest valid file around an output that only renders.
const scratchConfig = `[server]
listen = ["127.0.0.1:0"]
plaintext = true
[endpoint.linuxguard]
path = "/"
secrets = ["env:LINUXGUARD_BRIDGE_RENDER"]
[output.render]
`

func (g *globals) renderConfig(set []string) (*bridge.Loaded, error) {
	l := g.loader()
	l.Secrets = secret.NewCheckResolver(g.Getenv, whileRunning, loadedFrom) // nothing is sent
	if len(set) == 0 {
		loaded, report := l.Load(g.ConfigPath)
		if loaded == nil {
			return nil, &usageError{report.Err()}
		}
		return loaded, nil
	}
	getenv := l.Getenv
	l.Getenv = func(name string) string {
		if name == "LINUXGUARD_BRIDGE_RENDER" {
			return "never used: nothing is received here"
		}
		return getenv(name)
	}
	loaded, report := l.LoadFiles([]config.File{{Name: "--set", Data: []byte(scratchConfig + strings.Join(set, "\n") + "\n")}})
	if loaded == nil {
		return nil, &usageError{report.Err()}
	}
	return loaded, nil
}

func (g *globals) readPayload(args []string) ([]byte, error) {
	in := g.Stdin
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, &usageError{err}
		}
		defer f.Close() //nolint:errcheck // read only
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxPayload+1))
	if err != nil {
		return nil, fmt.Errorf("reading the payload: %w", err)
	}
	if len(body) > maxPayload {
		return nil, fmt.Errorf("the payload is longer than %d bytes", maxPayload)
	}
	if len(body) == 0 {
		return nil, &usageError{errors.New("the payload is empty")}
	}
	return body, nil
}

// renderAll prints one record an output, each under its name when there are several.
func renderAll(w io.Writer, all []namedRenderer, rec outputs.Record) error {
	for i, r := range all {
		text, err := r.Render(rec)
		if err != nil {
			return fmt.Errorf("output %s: %w", r.name, err)
		}
		if len(all) > 1 {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			_, _ = fmt.Fprintf(w, "# %s\n", r.name)
		}
		if _, err := fmt.Fprintf(w, "%s\n", text); err != nil {
			return err
		}
	}
	return nil
}
