package bridge

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/webhook"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/all"
)

// Loader reads configuration files and makes the outputs that they name. The commands that look at a configuration
// without running it (check, render, status) use it too.
type Loader struct {
	Version string
	Getenv  func(string) string
	Now     func() time.Time
	Log     *slog.Logger
	Strict  bool // see config.Options
	// Secrets look references up; nil: those of this process, as systemd has started it.
	Secrets *secret.Resolver
	// Service, Unmanaged, Roots, MemoryLimit and SocketUnit: see config.Options.
	Service     config.Service
	Unmanaged   bool
	Roots       *x509.CertPool
	MemoryLimit int64
	SocketUnit  string
}

// Loaded is a configuration with the way to its outputs.
type Loaded struct {
	Config *config.Config
	// Outputs make an output by its name; it has not connected to anything. A worker makes one for each tenure, with
	// valid as its outputs.Env.Valid; nil: always valid.
	Outputs map[string]forward.OpenFunc
}

// Load reads the file at path. Loaded is nil when the report has an error.
func (l *Loader) Load(path string) (*Loaded, *config.Report) {
	loaded := newLoaded()
	var report *config.Report
	if loaded.Config, report = config.Load(path, l.options(loaded)); loaded.Config == nil {
		return nil, report
	}
	return loaded, report
}

// LoadFiles is Load for files in memory.
func (l *Loader) LoadFiles(files []config.File) (*Loaded, *config.Report) {
	loaded := newLoaded()
	var report *config.Report
	if loaded.Config, report = config.LoadFiles(files, l.options(loaded)); loaded.Config == nil {
		return nil, report
	}
	return loaded, report
}

func newLoaded() *Loaded {
	return &Loaded{Outputs: map[string]forward.OpenFunc{}}
}

func (l *Loader) options(loaded *Loaded) config.Options {
	resolver := l.Secrets
	if resolver == nil {
		resolver = secret.NewResolver(l.Getenv)
	}
	return config.Options{
		Resolver: resolver, Getenv: l.Getenv, Now: l.Now, Strict: l.Strict,
		Service: l.Service, Unmanaged: l.Unmanaged, Roots: l.Roots, MemoryLimit: l.MemoryLimit, SocketUnit: l.SocketUnit,
		// What is made here shows whether it can be, and nothing more: it holds nothing that had to be closed.
		Construct: func(o *config.Output) ([]config.OutputWarning, error) {
			_, warnings, err := l.construct(o, resolver, nil, nil)
			own := *o
			loaded.Outputs[o.Name] = func(valid func() bool, metrics prometheus.Registerer) (outputs.Output, error) {
				out, _, err := l.construct(&own, resolver, valid, metrics)
				return out, err
			}
			converted := make([]config.OutputWarning, len(warnings))
			for i, w := range warnings {
				converted[i] = config.OutputWarning(w)
			}
			return converted, err
		},
	}
}

func (l *Loader) construct(o *config.Output, resolver *secret.Resolver, valid func() bool, metrics prometheus.Registerer) (outputs.Output, []outputs.Warning, error) {
	kind, ok := all.Find(o.Type)
	if !ok {
		return nil, nil, &outputs.KeyError{Key: "type", Err: fmt.Errorf("unknown type %q: there are %s", o.Type, all.Names())}
	}
	return kind.New(outputs.Env{
		Name: o.Name, Log: l.Log.With("output", o.Name), Secret: resolver.Resolve, Now: l.Now, Version: l.Version, Hostname: hostname(),
		Valid: valid, Metrics: metrics,
	}, o.Decode)
}

// hostname is this host's name, as records carry it.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// endpoints translates the configuration's endpoints for the webhook handler.
func endpoints(cfg *config.Config) []webhook.Endpoint {
	result := make([]webhook.Endpoint, len(cfg.Endpoints))
	for i, e := range cfg.Endpoints {
		headers := make(map[string][]secret.Value, len(e.RequiredHeaders))
		for name, values := range e.RequiredHeaders {
			for _, v := range values {
				headers[name] = append(headers[name], v.Value)
			}
		}
		secrets := make([]webhook.Secret, len(e.Secrets))
		for j, s := range e.Secrets {
			secrets[j] = webhook.Secret(s)
		}
		result[i] = webhook.Endpoint{
			Name: e.Name, Path: e.Path, Secrets: secrets, RequiredHeaders: headers, Tenants: e.Tenants,
			MaxAge: e.MaxAge, ClockSkew: e.ClockSkew,
		}
	}
	return result
}

// keptHeaders are the request headers that some output routes by.
func keptHeaders(cfg *config.Config) []string {
	names := map[string]bool{}
	for _, o := range cfg.Outputs {
		for name := range o.Match.Header {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// restartNeeded names what differs between two configurations and can't be changed while running, beside what the
// listener says of itself.
func restartNeeded(old, next *config.Config) []string {
	var what []string
	differs := func(key string, same bool) {
		if !same {
			what = append(what, key)
		}
	}
	differs("queue.directory", old.Queue.Directory == next.Queue.Directory)
	differs("queue.kind or what its database needs", sameShared(old.Queue.Shared, next.Queue.Shared))
	differs("server.http2", old.Server.HTTP2 == next.Server.HTTP2)
	differs("dedupe.capacity", old.Dedupe.Capacity == next.Dedupe.Capacity)
	differs("dedupe.window", old.Dedupe.Window == next.Dedupe.Window)
	differs("admin.listen", old.Admin.Listen == next.Admin.Listen)
	differs("admin.socket", old.Admin.Socket == next.Admin.Socket)
	differs("admin.tls_cert and tls_key", old.Admin.TLSCert == next.Admin.TLSCert && old.Admin.TLSKey == next.Admin.TLSKey)
	differs("log.format", old.Log.Format == next.Log.Format)
	return what
}

// errNotLoaded is the reason of a reload that failed in the file.
var errNotLoaded = errors.New("the new configuration is not valid")
