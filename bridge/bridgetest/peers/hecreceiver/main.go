package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/ackextension"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
)

type options struct {
	listen                    string
	ack, passToken            bool
	tlsCert, tlsKey, clientCA string
	out                       string
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` to listen on")
	flag.BoolVar(&o.ack, "ack", false, "with the acknowledgement extension")
	flag.BoolVar(&o.passToken, "pass-token", false, "write each event's token too")
	flag.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file`; with -tls-key, serve HTTPS")
	flag.StringVar(&o.tlsKey, "tls-key", "", "PEM `file`")
	flag.StringVar(&o.clientCA, "client-ca", "", "PEM `file`: ask for client certificates and verify them")
	flag.StringVar(&o.out, "out", "-", "`file` for the received events, - is standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "hecreceiver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	w := io.Writer(os.Stdout)
	if o.out != "-" {
		f, err := os.OpenFile(o.out, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		w = f
	}
	s := &sink{w: w}
	host, err := newHost(ctx, o.ack)
	if err != nil {
		return err
	}
	r, err := newReceiver(ctx, o, s)
	if err != nil {
		return err
	}
	if err := r.Start(ctx, host); err != nil {
		return err
	}
	if err := announce(o.tlsCert != ""); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	<-ctx.Done()
	return r.Shutdown(context.Background())
}

// host is what the receiver asks for its extensions.
type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }

func newHost(ctx context.Context, ack bool) (*host, error) {
	h := &host{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{}}
	if !ack {
		return h, nil
	}
	factory := ackextension.NewFactory()
	id := component.NewID(factory.Type())
	// The default bound is a million; the table for it is allocated for each channel at once.
	cfg := factory.CreateDefaultConfig().(*ackextension.Config)
	cfg.MaxNumPartition, cfg.MaxNumPendingAcksPerPartition = 1000, 100_000
	settings := extension.Settings{ID: id, TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	ext, err := factory.Create(ctx, settings, cfg)
	if err != nil {
		return nil, err
	}
	h.extensions[id] = ext
	return h, ext.Start(ctx, h)
}

func newReceiver(ctx context.Context, o options, next consumer.Logs) (receiver.Logs, error) {
	factory := splunkhecreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*splunkhecreceiver.Config)
	cfg.NetAddr.Endpoint = o.listen
	cfg.AccessTokenPassthrough = o.passToken
	if o.ack {
		id := component.NewID(ackextension.NewFactory().Type())
		cfg.Extension = &id
	}
	if o.tlsCert != "" {
		server := configtls.ServerConfig{ClientCAFile: o.clientCA}
		server.CertFile, server.KeyFile = o.tlsCert, o.tlsKey
		cfg.TLS = configoptional.Some(server)
	}
	settings := receiver.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}
	return factory.CreateLogs(ctx, settings, cfg, next)
}

// announce prints where the receiver listens. The receiver binds by itself and doesn't tell, so the process looks at
// its own sockets for the one that listens.
func announce(tls bool) error {
	address, err := listeningAddress()
	if err != nil {
		return err
	}
	scheme := "http"
	if tls {
		scheme = "https"
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{
		"receiver": "splunkhecreceiver", "version": version("/receiver/splunkhecreceiver"), "url": scheme + "://" + address,
	})
}

func version(suffix string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if strings.HasSuffix(dep.Path, suffix) {
			return dep.Version
		}
	}
	return "unknown"
}

// sink writes every received event as one line before the receiver answers, those of a request with one write. A
// SIGKILL can end that write between two pages and leave a torn last line; the package counterparts ends it before it
// starts the receiver again.
type sink struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				if err := enc.Encode(line(resource.Resource().Attributes(), record)); err != nil {
					return err
				}
			}
		}
	}
	_, err := s.w.Write(lines.Bytes())
	return err
}

// event is one output line: the HEC envelope as the receiver understood it.
type event struct {
	Time       float64        `json:"time"`
	Host       any            `json:"host,omitempty"`
	Source     any            `json:"source,omitempty"`
	SourceType any            `json:"sourcetype,omitempty"`
	Index      any            `json:"index,omitempty"`
	Event      any            `json:"event"`
	Fields     map[string]any `json:"fields,omitempty"`
	Token      any            `json:"token,omitempty"`
}

// line puts the envelope together again: the receiver keeps its metadata as attributes of the resource.
func line(resource pcommon.Map, record plog.LogRecord) event {
	attr := func(name string) any {
		if v, ok := resource.Get(name); ok {
			return v.AsRaw()
		}
		return nil
	}
	return event{
		Time:       float64(record.Timestamp()) / 1e9,
		Host:       attr("host.name"),
		Source:     attr("com.splunk.source"),
		SourceType: attr("com.splunk.sourcetype"),
		Index:      attr("com.splunk.index"),
		Token:      attr("com.splunk.hec.access_token"),
		Event:      record.Body().AsRaw(),
		Fields:     record.Attributes().AsRaw(),
	}
}
