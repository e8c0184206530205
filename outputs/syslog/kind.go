package syslog

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/time/rate"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Kind returns the kind "syslog" for outputs/all.
func Kind() outputs.Kind { return outputs.Kind{Name: "syslog", New: New} }

// New implements outputs.Kind's New.
func New(env outputs.Env, decode func(settings any) error) (outputs.Output, []outputs.Warning, error) {
	settings := &Settings{}
	if err := decode(settings); err != nil {
		return nil, nil, err
	}
	addresses, problems, warnings := settings.check(env)
	encoder, err := newEncoder(env, settings)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, warnings, errors.Join(problems...)
	}
	renderer, err := newEncoder(env, settings) // rendering must not use up sequenceIds
	if err != nil {
		return nil, warnings, err
	}
	return newOutput(env, settings, addresses, encoder, renderer), warnings, nil
}

func newOutput(env outputs.Env, s *Settings, addresses []address, e, renderer encoder) *Output {
	o := &Output{env: env, log: env.Log, settings: s, addresses: addresses, renderer: renderer,
		expiry: tlsclient.NewExpiry(&s.Settings, env.Now), counts: newCounters(env.Metrics), refusals: newRefusals(),
		pace: rate.NewLimiter(rate.Limit(s.MaxRate), datagramBatch)}
	o.encoder = &counting{inner: e, cut: o.counts.cut}
	o.closing, o.abandon = context.WithCancel(context.Background())
	o.connector = &connector{settings: s, expiry: o.expiry, now: env.Now, owner: env.CheckOwner}
	o.status = outputs.Status{State: outputs.StateIdle, Peer: addresses[0].String()}
	return o
}

// wrap gives a connection its protocol.
func (o *Output) wrap(ctx context.Context, d *dialed) (link, error) {
	switch {
	case d.addr.relp():
		return o.openRELP(ctx, d)
	case isDatagram(d.meter):
		return newDatagram(d, o.encoder, o.settings.AckTimeout, o.counts, o.pace), nil
	default:
		return newStream(d, o.framer(d.addr), o.settings, o.counts), nil
	}
}

func (o *Output) framer(a address) framer {
	if o.framing(a) == framingNewline {
		return &newlined{o.encoder}
	}
	return &octetCounted{encoder: o.encoder}
}

// framing is the one that is configured, or the usual one of an address.
func (o *Output) framing(a address) string { return cmp.Or(o.settings.Framing, usualFraming(a.scheme)) }

func usualFraming(scheme string) string {
	if scheme == "unix" {
		return framingNewline
	}
	return framingOctets
}

// usualFraming is that of all addresses, "" when they differ.
func (s *Settings) usualFraming() (framing string) {
	for i, text := range s.Addresses {
		a, err := parseAddress(text)
		usual := usualFraming(a.scheme)
		if err != nil || i > 0 && usual != framing {
			return ""
		}
		framing = usual
	}
	return framing
}
