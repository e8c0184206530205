package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Kind returns the kind "splunk_hec".
func Kind() outputs.Kind {
	return outputs.Kind{Name: "splunk_hec", New: func(env outputs.Env, decode func(any) error) (outputs.Output, []outputs.Warning, error) {
		o, warnings, err := newOutput(env, decode)
		if err != nil {
			return nil, warnings, err
		}
		return o, warnings, nil
	}}
}

func newOutput(env outputs.Env, decode func(any) error) (*Output, []outputs.Warning, error) {
	settings := defaults()
	if err := decode(&settings); err != nil {
		return nil, nil, err
	}
	settings.derive()
	problems, warnings := settings.check(env.Now())
	token, err := resolve(env, "token", settings.Token)
	problems = append(problems, err)
	auth, err := resolve(env, "proxy_auth", settings.ProxyAuth)
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, warnings, err
	}
	o, err := build(env, settings, token, auth)
	if err != nil {
		return nil, warnings, err
	}
	for _, w := range settings.urlWarnings() {
		o.warnings = append(o.warnings, w.Key+": "+w.Text)
	}
	return o, warnings, nil
}

func resolve(env outputs.Env, key string, ref secret.Ref) (secret.Value, error) {
	if ref == "" {
		return secret.Value{}, nil
	}
	value, err := env.Secret(ref)
	if err != nil {
		return value, &outputs.KeyError{Key: key, Err: err}
	}
	if key == "token" && strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return value, &outputs.KeyError{Key: key, Err: errors.New("the token holds blanks or characters that no token has: it is the GUID alone, without the word Splunk")}
	}
	return value, nil
}

// build makes an Output of checked settings.
func build(env outputs.Env, settings Settings, token, proxyAuth secret.Value) (*Output, error) {
	o := &Output{env: env, settings: settings, token: token, slots: make(chan struct{}, settings.MaxRequestsInFlight)}
	o.jsonType, o.gzipEncoding = []string{"application/json"}, []string{"gzip"}
	o.dial = o.dialer().DialContext
	o.buffers.keep = 2 * int(settings.BatchMaxBytes)
	o.limit.Store(int64(settings.BatchMaxBytes))
	o.expiry = tlsclient.NewExpiry(&o.settings.Settings, env.Now)
	if settings.IndexerAck {
		o.pendingSlots = make(chan struct{}, settings.MaxPendingAcks)
	}
	o.life, o.end = context.WithCancelCause(context.Background())
	o.closing, o.shut = context.WithCancel(o.life)
	var err error
	if o.proxy, err = proxyWithAuth(settings.Proxy, proxyAuth); err != nil {
		return nil, err
	}
	if o.routing, err = newRouting(&settings); err != nil {
		return nil, err
	}
	o.pool = &pool{now: env.Now, check: o.checkHealth}
	for _, text := range settings.URLs {
		base, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("urls: %w", err)
		}
		o.pool.collectors = append(o.pool.collectors, o.newCollector(base))
	}
	o.metrics = newMetrics(env.Metrics, o.pool.up)
	return o, nil
}

func (o *Output) newCollector(base *url.URL) *collector {
	services := base.String() + collectorPath
	e := &collector{base: base.String(), scheme: base.Scheme, host: base.Hostname(), event: services + "/event",
		ack: services + "/ack", healthURL: services + "/health"}
	lanes := 1
	if o.settings.IndexerAck {
		lanes = o.settings.MaxRequestsInFlight
	}
	for range lanes {
		e.free = append(e.free, &lane{out: o, collector: e})
	}
	return e
}
