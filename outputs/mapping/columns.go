package mapping

import (
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// column is one field that the bridge emits: its name and value in every format. One of text, number and instant is set.
// An empty text, a zero number and a zero time are left out of the record.
type column struct {
	name string // in structured data, HEC's native event and JSON
	id   bool   // never left out when a record is too long

	text    func(*outputs.Record) string
	number  func(*outputs.Record) uint64
	instant func(*outputs.Record) time.Time

	cim      string // in HEC's CIM layout; empty: name
	cef      string // extension key; empty: only in the header
	cefLabel string // what the custom key is called, for cs1..cs6 and cn1..cn3
	leef     string // attribute key; empty: only in the header
	ocsf     string // path in an OCSF Detection Finding; empty: unmapped, under name
	doc      string
}

// description is cut before anything else, first its copy in the structured data, then MSG.
const description = "description"

// cutField marks a record that was cut to fit; its value says what was: "description", "fields", "values".
const cutField = "bridge_cut"

// columns is in the order in which fields are emitted. It is never changed.
var columns = [...]column{
	{name: "tenant_id", id: true, cim: "vendor_account", cef: "cs2", cefLabel: "tenantId", leef: "lgTenantId", ocsf: "metadata.tenant_uid", doc: "LinuxGuard tenant",
		text: func(r *outputs.Record) string { return r.Signal.TenantID }},
	{name: "signal_id", id: true, cim: "id", cef: "externalId", leef: "lgSignalId", ocsf: "finding_info.uid", doc: "ID of the signal",
		text: func(r *outputs.Record) string { return r.Signal.SignalID }},
	{name: "signal_type", cim: "signature_id", ocsf: "metadata.event_code", doc: "kind of signal, e.g. sudo_command_executed",
		text: func(r *outputs.Record) string { return r.Signal.SignalType }},
	{name: "severity", cim: "severity_id", cef: "cn1", cefLabel: "linuxguardSeverity", leef: "lgSeverity", ocsf: "severity_id", doc: "1 (info) to 5 (critical); the nearest, or 3, when the webhook's is odd",
		number: func(r *outputs.Record) uint64 { return uint64(r.Signal.EffectiveSeverity()) }},
	{name: "severity_raw", cef: "lgSeverityRaw", leef: "lgSeverityRaw", doc: "the webhook's severity as JSON, only when it is not 1 to 5",
		text: func(r *outputs.Record) string { return r.Signal.SeverityRaw }},
	{name: description, cef: "msg", leef: "msg", ocsf: "finding_info.desc", doc: "what happened, for people",
		text: func(r *outputs.Record) string { return r.Signal.Description }},
	{name: "identity_id", id: true, cim: "user_id", cef: "suid", leef: "lgIdentityId", ocsf: "actor.user.uid", doc: "ID of the identity",
		text: func(r *outputs.Record) string { return r.Signal.IdentityID }},
	{name: "identity_name", cim: "user", cef: "suser", leef: "usrName", ocsf: "actor.user.name", doc: "user or service account",
		text: func(r *outputs.Record) string { return r.Signal.IdentityName }},
	{name: "server_hostname", cim: "dest", cef: "dhost", leef: "identHostName", ocsf: "device.hostname", doc: "host that the signal is about (the webhook's server_name)",
		text: func(r *outputs.Record) string { return r.Signal.ServerName }},
	{name: "server_id", id: true, cef: "deviceExternalId", leef: "lgServerId", ocsf: "device.uid", doc: "ID of that host",
		text: func(r *outputs.Record) string { return r.Signal.ServerID }},
	{name: "environment", cef: "cs1", cefLabel: "environment", leef: "lgEnvironment", doc: "the agent's tag, e.g. production",
		text: func(r *outputs.Record) string { return r.Signal.Environment }},
	{name: "created_at", cef: "lgCreatedAt", leef: "lgCreatedAt", ocsf: "metadata.original_time", doc: "time of the signal, as in the webhook",
		text: func(r *outputs.Record) string { return r.Signal.CreatedAt }},
	{name: "event_type", cef: "lgEventType", leef: "lgEventType", doc: "signal_created",
		text: func(r *outputs.Record) string { return r.Signal.EventType }},
	{name: "version", cef: "lgVersion", leef: "lgVersion", ocsf: "metadata.log_version", doc: "of the webhook's format, v1",
		text: func(r *outputs.Record) string { return r.Signal.Version }},
	{name: "timestamp", cef: "lgTimestamp", leef: "lgTimestamp", doc: "time of the delivery, as in the webhook's signed body",
		text: func(r *outputs.Record) string { return r.Signal.Timestamp }},
	{name: "console_url", cef: "request", leef: "url", ocsf: "finding_info.src_url", doc: "link to the signal in LinuxGuard's console",
		text: func(r *outputs.Record) string { return r.Signal.ConsoleURL }},
	{name: "endpoint", cef: "cs5", cefLabel: "endpoint", leef: "lgEndpoint", ocsf: "metadata.log_name", doc: "the bridge's endpoint that received it",
		text: func(r *outputs.Record) string { return r.Endpoint }},
	{name: "delivery_id", id: true, cef: "cs3", cefLabel: "deliveryId", leef: "lgDeliveryId", ocsf: "metadata.uid", doc: "LinuxGuard-Delivery header: the same again is a duplicate",
		text: func(r *outputs.Record) string { return r.DeliveryID }},
	{name: "received_at", cef: "lgReceivedAt", leef: "lgReceivedAt", doc: "time of receipt at the bridge, UTC",
		instant: func(r *outputs.Record) time.Time { return r.ReceivedAt }},
	{name: "bridge_id", id: true, cef: "cs4", cefLabel: "bridgeId", leef: "lgBridgeId", doc: "ID of the bridge's queue",
		text: func(r *outputs.Record) string { return r.BridgeID }},
	{name: "bridge_seq", id: true, cef: "cn2", cefLabel: "bridgeSeq", leef: "lgBridgeSeq", ocsf: "metadata.sequence", doc: "gap-free number in that queue, from 1",
		number: func(r *outputs.Record) uint64 { return r.Seq }},
	{name: "resend_of", id: true, cef: "cn3", cefLabel: "resendOf", leef: "lgResendOf", doc: "the bridge_seq that this record repeats by an operator's command",
		number: func(r *outputs.Record) uint64 { return r.ResendOf }},
	{name: "bridge_synthetic", cef: "lgBridgeSynthetic", leef: "lgBridgeSynthetic", doc: "true: made by the bridge itself, not by LinuxGuard",
		text: synthetic},
}

// notesField says what was odd about the webhook and how it was read.
const notesField = "bridge_notes"

func synthetic(r *outputs.Record) string {
	if r.Synthetic {
		return "true"
	}
	return ""
}

// Field describes one emitted field. An empty name means that the format has it in its header or not at all.
type Field struct {
	Name   string // in structured data, HEC's native layout, and JSON
	CIM    string // in HEC's CIM layout
	CEF    string // extension key
	LEEF   string // attribute key
	OCSF   string // path in a Detection Finding
	Type   string // "string", "number" or "time"
	ID     bool   // never left out
	Always bool   // in every record of a webhook that has all documented fields
	Doc    string
}

// Fields lists every field that the bridge emits, for documentation and for tests that hold documentation to it. It
// leaves out only the unknown fields of a webhook, and the constants and headers of each format.
func Fields() []Field {
	fields := make([]Field, 0, len(columns)+2)
	for i := range columns {
		c := &columns[i]
		f := Field{Name: c.name, CIM: c.cim, CEF: c.cef, LEEF: c.leef, OCSF: c.ocsfPath(), Type: "string", ID: c.id, Doc: c.doc}
		if f.CIM == "" {
			f.CIM = c.name
		}
		switch {
		case c.number != nil:
			f.Type = "number"
		case c.instant != nil:
			f.Type = "time"
		}
		f.Always = c.name != "severity_raw" && c.name != "resend_of" && c.name != "bridge_synthetic"
		fields = append(fields, f)
	}
	return append(fields,
		Field{Name: notesField, CIM: notesField, CEF: key(notesField), LEEF: key(notesField), OCSF: ocsfUnmapped + notesField, Type: "string", Doc: "what was odd and how it was read"},
		Field{Name: cutField, CIM: cutField, CEF: key(cutField), LEEF: key(cutField), OCSF: ocsfUnmapped + cutField, Type: "string", Doc: "what was cut or left out to fit: description, fields, values (syslog only)"})
}

// key returns the CEF and LEEF key of a field of ours that has none of theirs.
func key(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return "lg" + strings.Join(words, "")
}
