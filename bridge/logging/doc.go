// Package logging makes the bridge's logger: native journal records under systemd, lines for a terminal, or JSON.
//
// Whatever the form, values that came from outside can't break out of it: control characters and terminal escapes are
// made visible (display.Line), one value is cut at 4 KiB and one record at 64 KiB. The level can change while it runs (give
// a slog.LevelVar). An attribute "event" names a line that matters; in the journal it becomes MESSAGE_ID as well, so
// that `journalctl MESSAGE_ID=...` finds exactly those lines whatever their wording is in a later release:
//
//	log.Warn("the output needs an operator", "event", "output_blocked", "output", "siem", "error", err)
//
//	MESSAGE=the output needs an operator output=siem error="401 invalid token"
//	PRIORITY=4
//	SYSLOG_IDENTIFIER=linuxguard-bridge
//	MESSAGE_ID=...                        events.go
//	LINUXGUARD_EVENT=output_blocked
//	LINUXGUARD_OUTPUT=siem
//	LINUXGUARD_ERROR=401 invalid token
//
// Dedup keeps a failure that repeats from filling the log.
package logging
