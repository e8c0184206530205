// Package splunk tests the add-on TA-linuxguard without Splunk: its files' syntax, and what Splunk's documented
// search-time steps make of the records that the bridge emits. It knows as much of Splunk as the add-on uses:
//
//	_raw ─▶ REPORT (transforms.conf) ─▶ KV_MODE=json ─▶ FIELDALIAS ─▶ EVAL ─▶ LOOKUP ─▶ event types ─▶ tags
//
// That is no proof of what a real Splunk does; the guide contrib/guides/first-signal-in-splunk.md ends with the searches
// by which to see it there.
package splunk
