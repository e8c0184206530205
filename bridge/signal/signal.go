package signal

import "time"

// Severity is LinuxGuard's, 1 (info) to 5 (critical). Zero means that the body had none that could be understood.
type Severity int

// The five severities of LinuxGuard.
const (
	Info     Severity = 1
	Low      Severity = 2
	Medium   Severity = 3
	High     Severity = 4
	Critical Severity = 5
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String returns the name that LinuxGuard's notification rules use, or "unknown".
func (s Severity) String() string {
	if s < Info || s > Critical {
		return "unknown"
	}
	return severityNames[s-1]
}

// Field is one field that the documentation doesn't name, or the overwritten value of a repeated one.
type Field struct {
	Name string // as in the body: any string, empty and with control characters too
	Raw  []byte // its JSON value, valid and without white space between tokens; may share memory with the body
	Text string // for people: the string that Raw holds, else Raw itself
	Nth  int    // how many fields of the same name come before it in Extra and EnvelopeExtra
}

// Signal is one webhook body. It is shared between goroutines and never changed after Decode.
//
// Its strings are as they were in the body: they can hold control characters and invalid UTF-8. They share one copy of the
// body, so that whoever keeps one for long clones it (strings.Clone).
type Signal struct {
	EventType  string
	Version    string
	Timestamp  string // of the delivery, ISO 8601, the only time that the signature covers
	TenantID   string
	ConsoleURL string

	// The fields of "data".
	SignalID     string
	SignalType   string
	Severity     Severity // 1..5; 0 when missing or odd, see SeverityRaw
	SeverityRaw  string   // the JSON text when it was not an integer from 1 to 5
	Description  string
	ServerID     string
	ServerName   string
	IdentityID   string
	IdentityName string
	Environment  string
	CreatedAt    string

	Extra         []Field  // unknown fields of "data", in order
	EnvelopeExtra []Field  // unknown fields beside "data", in order
	Notes         []string // what was odd and how it was read, for people

	created, sent time.Time // CreatedAt and Timestamp, zero when they can't be read: each is asked for several times
}

// Reasons why a signed body goes to the quarantine instead of to the outputs.
const (
	ReasonNotJSON          = "not json"
	ReasonNoSignalID       = "no signal_id"
	ReasonUnknownVersion   = "unknown version"
	ReasonUnknownEventType = "unknown event type"
)

// Problem returns the reason why s cannot be forwarded as it stands, or "" when it can.
func (s *Signal) Problem() string {
	switch {
	case s.Version != "v1":
		return ReasonUnknownVersion
	case s.EventType != "signal_created":
		return ReasonUnknownEventType
	case s.SignalID == "":
		return ReasonNoSignalID
	}
	return ""
}

// SentAt is the signed body's own timestamp; ok is false when there is none or it can't be read.
func (s *Signal) SentAt() (t time.Time, ok bool) { return timeOf(s.sent, s.Timestamp) }

// Created is the time of the signal itself; ok is false when there is none or it can't be read.
func (s *Signal) Created() (t time.Time, ok bool) { return timeOf(s.created, s.CreatedAt) }

// timeOf returns what Decode has parsed, else parses: a Signal can be made without Decode.
func timeOf(parsed time.Time, text string) (t time.Time, ok bool) {
	if !parsed.IsZero() {
		return parsed, true
	}
	return ParseTime(text)
}

// EffectiveSeverity is the severity to act on: Severity, or the nearest for a number beyond 1 to 5, or Medium when there
// is none that can be read. An odd severity so never slips under a filter as if it were harmless.
func (s *Signal) EffectiveSeverity() Severity {
	if s.Severity >= Info && s.Severity <= Critical {
		return s.Severity
	}
	return nearestSeverity(s.SeverityRaw)
}
