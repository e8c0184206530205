package bridge

import (
	"fmt"
	"os"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/webhook"
)

// Report implements admin.Source.
func (b *Bridge) Report() admin.Report {
	st := b.snapshot()
	r := admin.Report{
		Version: b.opts.Loader.Version, PID: os.Getpid(), StartedAt: b.started, Warnings: st.warnings,
		Config: admin.ConfigReport{
			Path: st.loaded.Config.Path, Hash: st.loaded.Config.Hash, LoadedAt: st.loadedAt,
			LastReload: st.lastReload, LastReloadError: st.reloadError, RestartNeeded: st.restartNeeded,
		},
		Receiver: b.receiverReport(st.loaded.Config),
	}
	dropped := map[string]uint64{}
	for _, o := range b.queue.Status().Outputs {
		dropped[o.Name] = o.Dropped
	}
	for _, s := range b.fleet.list() {
		r.Outputs = append(r.Outputs, outputReport(s, dropped[s.Name]))
		if s.Held {
			r.NotReady = append(r.NotReady, fmt.Sprintf("output %s is refused until it is mended: %s", s.Name, s.LastError))
		}
	}
	if st.stopping {
		r.NotReady = append(r.NotReady, "stopping")
	}
	for _, name := range b.fleet.stuck() {
		r.Unhealthy = append(r.Unhealthy, "the worker of output "+name+" does not go on")
	}
	if end := b.server.CertificateNotAfter(); !end.IsZero() {
		r.Certificates = []admin.CertificateReport{{Name: "server", NotAfter: end}}
	}
	return r
}

// Refusals implements admin.Source.
func (b *Bridge) Refusals(id string) []admin.TraceRefusal {
	var all []admin.TraceRefusal
	for _, r := range b.handler.Refused(id) {
		all = append(all, admin.TraceRefusal{At: r.At, Status: r.Status, Reason: r.Reason, Endpoint: r.Endpoint, Address: r.Address})
	}
	return all
}

func (b *Bridge) receiverReport(cfg *config.Config) admin.ReceiverReport {
	r := admin.ReceiverReport{Connections: b.server.Connections()}
	for _, a := range b.server.Addrs() {
		r.Listeners = append(r.Listeners, a.String())
	}
	for _, e := range b.handler.EndpointStatus() {
		r.Endpoints = append(r.Endpoints, b.endpointReport(e, cfg))
	}
	return r
}

func (b *Bridge) endpointReport(e webhook.EndpointStatus, cfg *config.Config) admin.EndpointReport {
	r := admin.EndpointReport{
		Name: e.Name, Path: e.Path, LastVerified: e.LastVerified, Accepted: e.Accepted, Duplicate: e.Duplicate,
		Quarantined: e.Quarantined, Unavailable: e.Unavailable, Refused: e.Refused, SignatureMatches: map[string]uint64{},
		Silent: b.silence.Silent(e.Name),
	}
	for _, s := range e.Secrets {
		r.SignatureMatches[s.Name] += s.Matches
	}
	for _, c := range cfg.Endpoints {
		if c.Name == e.Name {
			r.ExpectEvery = c.ExpectEvery
		}
	}
	return r
}

func outputReport(s forward.Status, dropped uint64) admin.OutputReport {
	r := admin.OutputReport{
		Name: s.Name, Kind: s.Kind, State: string(s.Dest.State), Level: s.Dest.Level.String(), Peer: s.Dest.Peer,
		Warnings: s.Dest.Warnings, Held: s.Held, InFlight: s.InFlight, Sent: s.Sent, Retried: s.Retried,
		Quarantined: s.Quarantined, Filtered: s.Filtered, Dropped: dropped,
		LastError: s.LastError, LastErrorAt: s.LastErrorAt, LastDelivered: s.LastSentAt,
	}
	if s.Held {
		r.HoldReason = s.LastError
	}
	return r
}
