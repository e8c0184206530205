package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// sendOptions are the flags of `send`.
type sendOptions struct {
	URL, Secret, Endpoint string
	Severity              string
	Count                 int
	Header                []string
	DeliveryID            string
	Forge, Duplicate      bool
	File                  string
	CAFile, ServerName    string
	Insecure, HTTP1       bool
	Timeout               time.Duration
	Wait                  bool
	WaitTimeout           time.Duration
}

func newSendCommand(g *globals) *cobra.Command {
	var o sendOptions
	c := &cobra.Command{
		Use:   "send",
		Short: "Send signed test signals, as LinuxGuard would",
		Long: "Posts signed test signals to a webhook receiver and says what it answered. Without --url they go to the bridge\n" +
			"that runs on this host with the configuration file, through its own listener, signed with its endpoint's\n" +
			"secret; with --url to any receiver, signed with --secret, which is a reference like those of the\n" +
			"configuration (\"file:/path\", \"env:NAME\"), never the secret itself.\n\n" +
			"Every signal has IDs of its own that begin with sig_test_, and environment \"test\". With --wait the command\n" +
			"returns when every output of the bridge is done with them, and says how long each took.\n\n" +
			"Exit code 0: every answer was the expected one (200; a duplicate for the second of --duplicate; 401 for\n" +
			"--forge) and, with --wait, everything was delivered; 1: not so; 2: wrong arguments or configuration.",
		Example: "  linuxguard-bridge send --wait\n" +
			"  linuxguard-bridge send --severity all --count 100 --wait\n" +
			"  linuxguard-bridge send --url https://hooks.example.com/webhooks/linuxguard --secret file:/root/webhook-secret\n" +
			"  linuxguard-bridge send --forge\n" +
			"  linuxguard-bridge send --file signal.json --delivery-id 7f3c0f52-6d0f-4d8f-9f5c-3a1f6f1f0b11",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return g.send(cmd.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.URL, "url", "", "the receiver's `URL`; default: the bridge of the configuration file")
	f.StringVar(&o.Secret, "secret", "", "`reference` to the secret; default: the endpoint's first one")
	f.StringVar(&o.Endpoint, "endpoint", "", "without --url: the `name` of the endpoint; default: the first one")
	f.StringVar(&o.Severity, "severity", "3", "`level`: 1 (info) to 5 (critical), or all, one after the other")
	f.IntVarP(&o.Count, "count", "n", 1, "how many signals, one after the other")
	f.StringArrayVarP(&o.Header, "header", "H", nil, "one more header, `\"Name: value\"` (may be repeated)")
	f.StringVar(&o.DeliveryID, "delivery-id", "", "the LinuxGuard-Delivery `ID`; default: a random UUID for each")
	f.BoolVar(&o.Forge, "forge", false, "sign with a wrong secret; 401 is then the expected answer")
	f.BoolVar(&o.Duplicate, "duplicate", false, "send each signal twice; duplicate is then the expected second answer")
	f.StringVar(&o.File, "file", "", "send the bytes of this `file` (- is standard input) instead of a test signal")
	f.StringVar(&o.CAFile, "ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
	f.StringVar(&o.ServerName, "server-name", "", "`name` expected in the certificate; default: the URL's host")
	f.BoolVar(&o.Insecure, "insecure", false, "don't verify the receiver's certificate")
	f.BoolVar(&o.HTTP1, "http1", false, "use HTTP/1.1 only")
	f.DurationVar(&o.Timeout, "timeout", sender.DefaultTimeout, "how long one answer may take")
	f.BoolVar(&o.Wait, "wait", false, "wait until every output of the bridge is done with what was accepted")
	f.DurationVar(&o.WaitTimeout, "wait-timeout", time.Minute, "how long --wait waits")
	return c
}

// send is the whole command.
func (g *globals) send(ctx context.Context, o sendOptions) error {
	if err := o.check(); err != nil {
		return &usageError{err}
	}
	bodies, err := g.bodies(o)
	if err != nil {
		return err
	}
	target, err := g.target(ctx, o)
	if err != nil {
		return err
	}
	client, err := sender.NewClient(target.url, target.header, target.options(o))
	if err != nil {
		return &usageError{err}
	}
	defer client.Close()
	results := g.postAll(ctx, client, plan(&sender.Signer{Secret: target.secret.Reveal(), Now: g.Now}, bodies, o))
	if err := writeResults(g.Stdout, results); err != nil {
		return err
	}
	if o.Wait {
		err = g.awaitOutputs(ctx, target.control, results, o.WaitTimeout)
	}
	return errors.Join(err, unexpected(results))
}

func (o sendOptions) check() error {
	switch {
	case o.Count < 1:
		return errors.New("--count is at least 1")
	case o.DeliveryID != "" && o.Count > 1:
		return errors.New("--delivery-id is for a single signal: it is what tells two of them apart")
	case o.File != "" && o.Count > 1:
		return errors.New("--file is sent once: the same body again would be a duplicate (see --duplicate)")
	case o.Forge && o.Wait:
		return errors.New("--wait has nothing to wait for: what is forged is never forwarded")
	case o.URL != "" && o.Secret == "":
		return errors.New("--url needs --secret, a reference such as file:/path")
	case o.URL != "" && !strings.HasPrefix(o.URL, "https://") && !strings.HasPrefix(o.URL, "http://"):
		return errors.New("--url begins with https:// or http://")
	}
	_, err := severities(o.Severity)
	return err
}

// severities reads --severity.
func severities(text string) ([]int, error) {
	if text == "all" {
		return []int{1, 2, 3, 4, 5}, nil
	}
	for s := sender.MinSeverity; s <= sender.MaxSeverity; s++ {
		if text == fmt.Sprint(s) {
			return []int{s}, nil
		}
	}
	return nil, fmt.Errorf("--severity is 1 to 5 or all, not %q", text)
}

// bodies makes what is to be sent, without signatures.
func (g *globals) bodies(o sendOptions) ([][]byte, error) {
	if o.File != "" {
		body, err := g.readPayload([]string{o.File})
		return [][]byte{body}, err
	}
	levels, err := severities(o.Severity)
	if err != nil {
		return nil, err
	}
	if len(levels) > 1 && o.Count == 1 {
		o.Count = len(levels)
	}
	all := make([][]byte, o.Count)
	for i := range all {
		all[i] = sender.Sample(levels[i%len(levels)], g.Now(), nil).JSON()
	}
	return all, nil
}

// parseHeaders reads --header.
func parseHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("--header %q is not of the form \"Name: value\"", line)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

// clearSecret resolves --secret.
func (g *globals) clearSecret(ref string) (secret.Value, error) {
	return secret.NewResolver(g.Getenv).Resolve(secret.Ref(ref))
}
