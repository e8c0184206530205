// Package signal decodes the LinuxGuard webhook body, version v1: an envelope around one signal.
//
// Decoding is tolerant: ids may be numbers, fields may be missing, of another type or unknown to the documentation.
// Nothing of a body is lost on the way: what the documentation doesn't name is kept in Extra, what had to be
// interpreted is said in Notes. Only a body that is no JSON object is an error.
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

// Field is one field that the documentation doesn't name.
type Field struct {
	Name string // as in the body, any string
	Raw  []byte // its JSON value, valid JSON, shares memory with the body
}

// Signal is one webhook body. It is shared between goroutines and never changed after Decode.
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
func (s *Signal) SentAt() (t time.Time, ok bool) { return ParseTime(s.Timestamp) }

// Created is the time of the signal itself; ok is false when there is none or it can't be read.
func (s *Signal) Created() (t time.Time, ok bool) { return ParseTime(s.CreatedAt) }
