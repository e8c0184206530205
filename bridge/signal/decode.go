package signal

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// ErrNotObject says that a body is not one JSON object.
var ErrNotObject = errors.New("not a JSON object")

// Decode reads one webhook body. The Signal shares memory with body, which must not change any more.
func Decode(body []byte) (*Signal, error) {
	// encoding/json checks the syntax (and bounds the depth); gjson then reads without allocating a tree.
	if !json.Valid(body) {
		return nil, ErrNotObject
	}
	root := gjson.ParseBytes(body)
	if !root.IsObject() {
		return nil, ErrNotObject
	}
	s := &Signal{}
	root.ForEach(func(key, value gjson.Result) bool {
		s.envelopeField(key.String(), value)
		return true
	})
	return s, nil
}

func (s *Signal) envelopeField(name string, v gjson.Result) {
	switch name {
	case "event_type":
		s.EventType = s.text(name, v)
	case "version":
		s.Version = s.text(name, v)
	case "timestamp":
		s.Timestamp = s.text(name, v)
	case "tenant_id":
		s.TenantID = s.text(name, v)
	case "console_url":
		s.ConsoleURL = s.text(name, v)
	case "data":
		if !v.IsObject() {
			s.EnvelopeExtra = append(s.EnvelopeExtra, Field{name, []byte(v.Raw)})
			s.note("data is not an object")
			return
		}
		v.ForEach(func(key, value gjson.Result) bool {
			s.dataField(key.String(), value)
			return true
		})
	default:
		s.EnvelopeExtra = append(s.EnvelopeExtra, Field{name, []byte(v.Raw)})
	}
}

func (s *Signal) dataField(name string, v gjson.Result) {
	switch name {
	case "signal_id":
		s.SignalID = s.text(name, v)
	case "signal_type":
		s.SignalType = s.text(name, v)
	case "severity":
		s.severity(v)
	case "description":
		s.Description = s.text(name, v)
	case "server_id":
		s.ServerID = s.text(name, v)
	case "server_name":
		s.ServerName = s.text(name, v)
	case "identity_id":
		s.IdentityID = s.text(name, v)
	case "identity_name":
		s.IdentityName = s.text(name, v)
	case "environment":
		s.Environment = s.text(name, v)
	case "created_at":
		s.CreatedAt = s.text(name, v)
	default:
		s.Extra = append(s.Extra, Field{name, []byte(v.Raw)})
	}
}

// text reads a documented field that should be a string; numbers and booleans keep their JSON text, objects and
// arrays too, and null is empty.
func (s *Signal) text(name string, v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Null:
		return ""
	case gjson.Number:
		return v.Raw
	default:
		s.note(name + " is not a string")
		return v.Raw
	}
}

func (s *Signal) severity(v gjson.Result) {
	s.Severity, s.SeverityRaw = 0, ""
	word := strings.TrimSpace(v.String())
	if n, err := strconv.Atoi(word); err == nil && n >= int(Info) && n <= int(Critical) {
		s.Severity = Severity(n)
		return
	}
	for i, name := range severityNames {
		if strings.EqualFold(word, name) {
			s.Severity = Severity(i + 1)
			return
		}
	}
	if v.Type != gjson.Null {
		s.SeverityRaw = v.Raw
		s.note("severity is not an integer from 1 to 5")
	}
}

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String returns the name that LinuxGuard's notification rules use, or "unknown".
func (s Severity) String() string {
	if s < Info || s > Critical {
		return "unknown"
	}
	return severityNames[s-1]
}

func (s *Signal) note(text string) { s.Notes = append(s.Notes, text) }

// ParseTime reads an ISO 8601 time with or without fraction and zone (none means UTC), or a Unix epoch in seconds.
func ParseTime(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n < 1<<36 {
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, false
}
