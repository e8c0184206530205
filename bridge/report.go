package bridge

import (
	"os"
	"slices"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/webhook"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Report implements admin.Source.
func (b *Bridge) Report() admin.Report {
	st := b.snapshot()
	r := admin.Report{
		Version: b.opts.Loader.Version, Host: bridgeName(st.loaded.Config), PID: os.Getpid(), StartedAt: b.started, Stopping: st.stopping, Warnings: st.warnings,
		Config: admin.ConfigReport{
			Path: st.loaded.Config.Path, Hash: st.loaded.Config.Hash, LoadedAt: st.loadedAt,
			LastReload: st.lastReload, LastReloadError: st.reloadError, RestartNeeded: st.restartNeeded,
		},
		Receiver: b.receiverReport(st.loaded.Config),
	}
	dropped, stuck := b.dropped(), b.outputs.stuck()
	for _, s := range b.outputs.list() {
		o := outputReport(s, dropped[s.Name])
		o.Stuck = slices.Contains(stuck, s.Name)
		r.Outputs = append(r.Outputs, o)
	}
	if end := b.server.CertificateNotAfter(); !end.IsZero() {
		r.Certificates = []admin.CertificateReport{{Name: "server", NotAfter: end}}
	}
	return r
}

// dropped counts what each output has lost to when_full = "drop_oldest".
func (b *Bridge) dropped() map[string]uint64 {
	all := map[string]uint64{}
	for _, o := range b.queue.Status().Outputs {
		all[o.Name] = o.Dropped
	}
	return all
}

// CachedDuplicates implements admin.Source.
func (b *Bridge) CachedDuplicates(seq uint64) int { return b.handler.CachedDuplicates(seq) }

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
		Name: e.Name, Path: e.Path, LastVerified: e.LastVerified, LastAccepted: later(e.LastAccepted, b.heard.at(e.Name)), Accepted: e.Accepted, Duplicate: e.Duplicate,
		Quarantined: e.Quarantined, Unavailable: e.Unavailable, Refused: e.Refused, SignatureMatches: map[string]uint64{},
		Overdue: b.absence.Overdue(e.Name),
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

func outputCertificates(list []outputs.Certificate) []admin.OutputCertificate {
	var all []admin.OutputCertificate
	for _, c := range list {
		all = append(all, admin.OutputCertificate(c))
	}
	return all
}

func outputReport(s forward.Status, dropped uint64) admin.OutputReport {
	r := admin.OutputReport{
		Name: s.Name, Kind: s.Kind, State: string(s.Dest.State), Peer: s.Dest.Peer,
		Warnings: s.Dest.Warnings, Certificates: outputCertificates(s.Dest.Certificates), Blocked: s.Blocked, InFlight: s.InFlight, Delivered: s.Delivered, Retried: s.Retried,
		Quarantined: s.Quarantined, Filtered: s.Filtered, Dropped: dropped, Lost: s.Lost,
		Failing: s.Failing, FailingSince: s.FailingSince, FirstError: s.FirstError, LastError: s.LastError, LastErrorAt: s.LastErrorAt, LastDelivered: s.LastSentAt, NextTry: s.NextTry,
	}
	if s.Owned { // on standby there is no destination that could say what delivered means
		r.Level = s.Dest.Level.String()
	}
	if s.Blocked {
		r.BlockedReason = s.LastError
	}
	return r
}
