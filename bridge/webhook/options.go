package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// Defaults of Options and Endpoint.
const (
	DefaultMaxBodyBytes  = 1 << 20
	DefaultMaxAge        = 24 * time.Hour
	DefaultClockSkew     = 5 * time.Minute
	DefaultWindow        = 72 * time.Hour
	DefaultAppendTimeout = 10 * time.Second
	DefaultFailureBurst  = 10
	DefaultFailureEvery  = 6 * time.Second
)

// Secret is one live secret of an endpoint.
type Secret struct {
	Name  string // what logs and metrics call it
	Value secret.Value
}

// Endpoint is one path that receives deliveries.
type Endpoint struct {
	Name            string
	Path            string                    // exact, begins with a slash
	Secrets         []Secret                  // any one that verifies is enough; at least one
	RequiredHeaders map[string][]secret.Value // name, in any case, to the accepted values
	Tenants         []string                  // expected tenant_ids; empty: any
	MaxAge          time.Duration             // of the signed timestamp; 0: DefaultMaxAge
	ClockSkew       time.Duration             // how far ahead it may be; 0: DefaultClockSkew
}

// Options configures a Handler. Zero values mean the defaults, but for Endpoints and Queue.
type Options struct {
	Endpoints      []Endpoint
	KeepHeaders    []string       // names of the request headers that some output's match names
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Allow          []netip.Prefix // that may deliver; empty: all
	MaxBodyBytes   int64          // 0: DefaultMaxBodyBytes
	Window         time.Duration  // how long a delivery that was answered counts as known, as in the queue; 0: DefaultWindow
	AppendTimeout  time.Duration  // the longest wait for durability before 503; 0: DefaultAppendTimeout

	// FailureBurst failed verifications of one address (an IPv6 /64) are answered 401, and then one every
	// FailureEvery; the others get 429. Negative: no limit.
	FailureBurst int
	FailureEvery time.Duration

	// The rest can't be changed while the handler runs.

	Queue  queue.Appender
	Bridge string           // this bridge's name, kept with each event
	Log    *slog.Logger     // nil: none
	Now    func() time.Time // nil: time.Now
	Tail   *tail.Hub        // nil: nobody watches
}

func (o *Options) setDefaults() {
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, DefaultMaxBodyBytes)
	o.Window = cmp.Or(o.Window, DefaultWindow)
	o.AppendTimeout = cmp.Or(o.AppendTimeout, DefaultAppendTimeout)
	o.FailureBurst = cmp.Or(o.FailureBurst, DefaultFailureBurst)
	o.FailureEvery = cmp.Or(o.FailureEvery, DefaultFailureEvery)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Endpoints = slices.Clone(o.Endpoints)
	for i := range o.Endpoints {
		o.Endpoints[i].MaxAge = cmp.Or(o.Endpoints[i].MaxAge, DefaultMaxAge)
		o.Endpoints[i].ClockSkew = cmp.Or(o.Endpoints[i].ClockSkew, DefaultClockSkew)
	}
}

// check refuses what would let a forged request in. The rest is the configuration's to check.
func (o *Options) check() error {
	var errs []error
	for i := range o.Endpoints {
		errs = append(errs, o.Endpoints[i].check())
	}
	return errors.Join(errs...)
}

func (ep *Endpoint) check() error {
	var errs []error
	report := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("endpoint %q: "+format, append([]any{ep.Name}, args...)...))
	}
	if len(ep.Secrets) == 0 {
		report("it has no secret: without one nothing could be verified")
	}
	for _, s := range ep.Secrets {
		if s.Value.IsZero() {
			report("secret %q is empty", s.Name)
		}
	}
	for name, values := range ep.RequiredHeaders {
		if len(values) == 0 {
			report("required header %q has no accepted value", name)
		}
		if slices.ContainsFunc(values, secret.Value.IsZero) {
			report("a value of required header %q is empty", name)
		}
	}
	return errors.Join(errs...)
}

func canonical(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
