package sender

import (
	"encoding/json"
	"io"
	"time"
)

// Envelope is a webhook body, version v1, with the documented fields in the documented order.
type Envelope struct {
	EventType  string `json:"event_type"`
	Version    string `json:"version"`
	Timestamp  string `json:"timestamp"` // of the delivery, ISO 8601
	TenantID   string `json:"tenant_id"`
	Data       Signal `json:"data"`
	ConsoleURL string `json:"console_url"`
}

// Signal is the envelope's "data".
type Signal struct {
	SignalID     string `json:"signal_id"`
	SignalType   string `json:"signal_type"`
	Severity     int    `json:"severity"` // 1 (info) to 5 (critical)
	Description  string `json:"description"`
	ServerID     string `json:"server_id"`
	ServerName   string `json:"server_name"`
	IdentityID   string `json:"identity_id"`
	IdentityName string `json:"identity_name"`
	Environment  string `json:"environment"`
	CreatedAt    string `json:"created_at"`
}

// JSON is the body as it goes over the wire.
func (e Envelope) JSON() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic("sender: an envelope of strings and a number can't fail to encode: " + err.Error())
	}
	return b
}

// The severities that a sample can have.
const (
	MinSeverity = 1
	MaxSeverity = 5
)

// Sample is a plausible, clearly invented signal of one severity with an ID of its own. The ID comes from random
// (nil: crypto/rand), both times are now.
func Sample(severity int, now time.Time, random io.Reader) Envelope {
	id := "sig_test_" + newUUID(random)[:13]
	what := sampleOf(severity)
	return Envelope{
		EventType: EventType,
		Version:   "v1",
		Timestamp: now.UTC().Format(time.RFC3339),
		TenantID:  "tn_test",
		Data: Signal{
			SignalID:     id,
			SignalType:   what.kind,
			Severity:     severity,
			Description:  "Test signal: " + what.description,
			ServerID:     "srv_test_01",
			ServerName:   "web-01.test",
			IdentityID:   "idn_test_42",
			IdentityName: "jsmith",
			Environment:  "test",
			CreatedAt:    now.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		},
		ConsoleURL: "https://console.example.com/signals/" + id,
	}
}

type sampleText struct{ kind, description string }

// sampleOf has one kind of signal for each severity; others are treated as the nearest.
func sampleOf(severity int) sampleText {
	return [...]sampleText{
		{"ssh_login_succeeded", "jsmith logged in over SSH"},
		{"package_installed", "package nmap was installed"},
		{"ssh_login_failed", "12 failed SSH logins for jsmith within a minute"},
		{"sudo_command_executed", "jsmith ran \"systemctl stop auditd\" by sudo"},
		{"root_shell_spawned", "a root shell was spawned by the web server's process"},
	}[min(max(severity, MinSeverity), MaxSeverity)-MinSeverity]
}
