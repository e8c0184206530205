// Package mapping turns one outputs.Record into the bytes of one destination format: a syslog message (RFC 5424 or
// RFC 3164 around text, JSON, CEF, LEEF or OCSF), a Splunk HEC event, or a JSON line.
//
//	                    ┌─ Syslog ─┬─ rfc5424  <PRI>1 ... [linuxguard@PEN fields unknown-fields] text|json|CEF|LEEF
//	outputs.Record ─────┤          └─ rfc3164  <PRI>Mmm dd hh:mm:ss HOST TAG: [fields] text | json | CEF | LEEF
//	 (what was signed,  ├─ HEC ────── {"time":..,"host":..,...,"event":{fields, unknown fields}}
//	  and where it came └─ JSON ───── {fields, unknown fields}
//	  from)
//
// One table (columns, exported as Fields) names every field that the bridge emits, in LinuxGuard's own native channel's
// names where that has one. Three rules hold in every format:
//
// No value leaves its place. Each format has its own escaping, and none lets a line feed or another control character
// through: so no value starts a second record or forges a field.
//
// No unknown field overwrites ours or another. It keeps its own name unless that is taken: then it gets a prefix
// ("webhook_", the third of a name "webhook2_" and so on, where every name that begins with "webhook" counts as
// taken). In formats whose names are words (structured data, CEF, LEEF) a name that is no word, or too long, becomes
// "webhookX", its number among the unknown fields, "_" and what is left of it, and bridge_notes tells the name it had.
//
// Nothing is dropped silently. What was odd is said in bridge_notes; when a size limit leaves no room, the description is
// cut first, then the largest unknown fields are left out, then long values are cut, and bridge_cut says which of these
// was done. An ID is never left out.
package mapping
