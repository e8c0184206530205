package admin

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Source is the bridge as this package sees it.
type Source interface {
	// Report is a snapshot for people and metrics. It must return at once, without disk or network, from any
	// goroutine, and hold no secret and no payload. The queue's part is not in it: Server asks the queue.
	Report() Report
	// Refusals returns the recent requests that claimed this delivery ID and were refused, oldest first. What was
	// refused was never verified: the ID is a claim.
	Refusals(id string) []TraceRefusal
}

// Report is what the bridge says of itself beside its queue. Counters start at zero with the process.
type Report struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at,omitzero"`

	// NotReady holds the reasons why /readyz answers 503, a clear sentence each; empty: ready.
	NotReady []string `json:"not_ready,omitempty"`
	// Unhealthy holds the reasons why /healthz answers 503 beside the queue's; a restart may help against these.
	Unhealthy []string `json:"unhealthy,omitempty"`
	// Warnings is what an operator should look at although it works.
	Warnings []string `json:"warnings,omitempty"`

	Config       ConfigReport        `json:"config"`
	Receiver     ReceiverReport      `json:"receiver"`
	Outputs      []OutputReport      `json:"outputs"` // in the order of their names
	Certificates []CertificateReport `json:"certificates,omitempty"`
}

// ConfigReport says which configuration is in force and how the last reload ended.
type ConfigReport struct {
	Path     string    `json:"path"`
	Hash     string    `json:"hash"` // of the file in force, hex
	LoadedAt time.Time `json:"loaded_at,omitzero"`

	LastReload      time.Time `json:"last_reload,omitzero"` // zero: none was asked for
	LastReloadError string    `json:"last_reload_error,omitempty"`
	RestartNeeded   []string  `json:"restart_needed,omitempty"` // what of the new file needs a restart
}

// ReceiverReport is the receiving side.
type ReceiverReport struct {
	Listeners   []string         `json:"listeners,omitempty"`
	Connections int              `json:"connections"`
	Endpoints   []EndpointReport `json:"endpoints"` // in the order of their names
}

// EndpointReport is one endpoint.
type EndpointReport struct {
	Name         string    `json:"name"`
	Path         string    `json:"path"`
	LastVerified time.Time `json:"last_verified,omitzero"`

	Accepted    uint64            `json:"accepted"`
	Duplicate   uint64            `json:"duplicate"`
	Quarantined uint64            `json:"quarantined"`
	Unavailable uint64            `json:"unavailable"`       // answered 503
	Refused     map[string]uint64 `json:"refused,omitempty"` // by reason, a bounded set

	// SignatureMatches counts verified requests by the secret's name: when the old secret's count stands still,
	// the rotation is done.
	SignatureMatches map[string]uint64 `json:"signature_matches,omitempty"`

	ExpectEvery time.Duration `json:"expect_every_ns,omitempty"` // 0: no silence alarm
	Silent      bool          `json:"silent,omitempty"`
}

// OutputReport is one output's worker and destination. What waits for it is in QueuedReport.
type OutputReport struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`           // "syslog"
	State    string   `json:"state"`          // outputs.State: idle, connecting, up, down
	Level    string   `json:"level"`          // outputs.Level's name: what "delivered" means here
	Peer     string   `json:"peer,omitempty"` // without secrets
	Warnings []string `json:"warnings,omitempty"`

	Held       bool   `json:"held,omitempty"` // only an operator can mend it
	HoldReason string `json:"hold_reason,omitempty"`

	InFlight    int    `json:"in_flight"`
	Sent        uint64 `json:"sent"` // records delivered
	Retried     uint64 `json:"retried"`
	Quarantined uint64 `json:"quarantined"`
	Filtered    uint64 `json:"filtered"`
	Dropped     uint64 `json:"dropped"` // by when_full = "drop_oldest"

	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	NextTry       time.Time `json:"next_try,omitzero"` // after a failure; zero: none is waited for

	// Queued is the queue's part; Server fills it in.
	Queued QueuedReport `json:"queue"`
}

// QueuedReport is one output's place in the queue.
type QueuedReport struct {
	Cursor uint64    `json:"cursor"`
	Events uint64    `json:"events"`
	Oldest time.Time `json:"oldest,omitzero"` // when the oldest that waits was received
}

// CertificateReport is one certificate that can expire.
type CertificateReport struct {
	Name     string    `json:"name"` // "server", "output siem"
	Subject  string    `json:"subject,omitempty"`
	NotAfter time.Time `json:"not_after"`
}

// Status is all of it, as the control socket answers it and `status --json` prints it.
type Status struct {
	At time.Time `json:"at"` // by the daemon's clock
	Report
	Queue QueueReport `json:"queue"`
}

// QueueReport is the queue's own part of Status; sizes in bytes.
type QueueReport struct {
	BridgeID string `json:"bridge_id"`
	Healthy  bool   `json:"healthy"`
	Problem  string `json:"problem,omitempty"`

	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	Events    uint64 `json:"events"`
	Bytes     int64  `json:"bytes"`
	MaxBytes  int64  `json:"max_bytes"`
	FileBytes int64  `json:"file_bytes"`

	Quarantine         int   `json:"quarantine"`
	QuarantineBytes    int64 `json:"quarantine_bytes"`
	QuarantineMaxBytes int64 `json:"quarantine_max_bytes"`

	Remembered    int           `json:"remembered"`
	Capacity      int           `json:"capacity"`
	WindowCovered time.Duration `json:"window_covered_ns"`
	Evicted       uint64        `json:"evicted"`
	Damaged       uint64        `json:"damaged"`
}

// status joins the bridge's report with the queue's.
func (s *Server) status() Status {
	st := Status{At: s.opts.Now(), Report: s.opts.Source.Report()}
	q := s.opts.Queue.Status()
	st.Queue = queueReport(q)
	st.Outputs = append([]OutputReport(nil), st.Outputs...) // the report's slice is the bridge's
	for i := range st.Outputs {
		st.Outputs[i].Queued = queuedReport(q.Outputs, st.Outputs[i].Name)
	}
	return st
}

func queueReport(q queue.Status) QueueReport {
	return QueueReport{
		BridgeID: q.BridgeID, Healthy: q.Healthy, Problem: q.Problem,
		FirstSeq: q.FirstSeq, LastSeq: q.LastSeq, Events: q.Events,
		Bytes: q.Bytes, MaxBytes: q.MaxBytes, FileBytes: q.FileBytes,
		Quarantine: q.Quarantine, QuarantineBytes: q.QuarantineBytes, QuarantineMaxBytes: q.QuarantineMaxBytes,
		Remembered: q.Remembered, Capacity: q.Capacity, WindowCovered: q.WindowCovered,
		Evicted: q.Evicted, Damaged: q.Damaged,
	}
}

func queuedReport(all []queue.OutputStatus, name string) QueuedReport {
	for _, o := range all {
		if o.Name == name {
			return QueuedReport{Cursor: o.Cursor, Events: o.Queued, Oldest: o.Oldest}
		}
	}
	return QueuedReport{}
}

// sick returns why the process is not healthy, for /healthz.
func (st Status) sick() []string {
	var found []string
	if !st.Queue.Healthy {
		found = append(found, "queue: "+orElse(st.Queue.Problem, "it cannot write"))
	}
	return append(found, st.Unhealthy...)
}

// Problems returns why the bridge is not ready, a sentence each; none: it is.
func (st Status) Problems() []string { return append(st.sick(), st.NotReady...) }

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
