package admin

import (
	"fmt"
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
	// CachedDuplicates counts the duplicates of an event that the receiver has answered without asking the queue.
	CachedDuplicates(seq uint64) int
}

// Report is what the bridge says of itself beside its queue. Counters start at zero with the process.
type Report struct {
	Version   string    `json:"version"`
	Host      string    `json:"host"` // its name, or queue.bridge_name
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at,omitzero"`

	Stopping bool     `json:"stopping,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // what an operator should look at although it works

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
	LastVerified time.Time `json:"last_verified,omitzero"` // since the process started
	LastAccepted time.Time `json:"last_accepted,omitzero"` // a new delivery, also before the last restart

	Accepted    uint64            `json:"accepted"`
	Duplicate   uint64            `json:"duplicate"`
	Quarantined uint64            `json:"quarantined"`
	Unavailable uint64            `json:"unavailable"`       // answered 503
	Refused     map[string]uint64 `json:"refused,omitempty"` // by reason, a bounded set

	// SignatureMatches counts verified requests by the secret's name: when the old secret's count stands still,
	// the rotation is done.
	SignatureMatches map[string]uint64 `json:"signature_matches,omitempty"`

	ExpectEvery time.Duration `json:"expect_every_ns,omitempty"` // 0: no absence alarm
	Overdue     bool          `json:"overdue,omitempty"`
}

// LastHeard is when a verified request came last, as far as is known.
func (e EndpointReport) LastHeard() time.Time {
	if e.LastAccepted.After(e.LastVerified) {
		return e.LastAccepted
	}
	return e.LastVerified
}

// OutputReport is one output's worker and destination. What waits for it is in QueuedReport.
type OutputReport struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`           // "syslog"
	State    string   `json:"state"`          // outputs.State: idle, connecting, up, down; or standby: another bridge has it
	Level    string   `json:"level"`          // outputs.Level's name: what "delivered" means here
	Peer     string   `json:"peer,omitempty"` // without secrets
	Warnings []string `json:"warnings,omitempty"`

	// Certificates are those that the output relies on and that end soon, or are not valid now.
	Certificates []OutputCertificate `json:"certificates,omitempty"`

	Blocked       bool   `json:"blocked,omitempty"` // only an operator can fix it
	BlockedReason string `json:"blocked_reason,omitempty"`
	Stuck         bool   `json:"stuck,omitempty"` // its worker shows no sign of life

	InFlight    int    `json:"in_flight"`
	Delivered   uint64 `json:"delivered"` // records
	Retried     uint64 `json:"retried"`
	Quarantined uint64 `json:"quarantined"`
	Filtered    uint64 `json:"filtered"`
	Dropped     uint64 `json:"dropped"` // by when_full = "drop_oldest"
	Lost        uint64 `json:"lost"`    // that the queue had lost before this output was sent them

	// Since is when the output came into its state, as far as this process has seen.
	Since time.Time `json:"since,omitzero"`

	Failing       bool      `json:"failing,omitempty"` // the last attempt failed
	FailingSince  time.Time `json:"failing_since,omitzero"`
	FirstError    string    `json:"first_error,omitempty"` // with which that began
	LastError     string    `json:"last_error,omitempty"`  // also after it was overcome
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	NextTry       time.Time `json:"next_try,omitzero"` // after a failure; zero: none is waited for

	// Queued is the queue's part; Server fills it in.
	Queued QueuedReport `json:"queue"`
}

// QueuedReport is one output's place in the queue.
type QueuedReport struct {
	Cursor          uint64    `json:"cursor"`
	Events          uint64    `json:"events"`
	Oldest          time.Time `json:"oldest,omitzero"` // when the oldest that waits was received
	QuarantineBytes int64     `json:"quarantine_bytes"`
	QuarantineFull  bool      `json:"quarantine_full,omitempty"` // its share of the quarantine is used up
	Owner           string    `json:"owner,omitempty"`           // the bridge that has it
}

// OutputCertificate is one certificate of an output that an operator should look at. Outputs may share it.
type OutputCertificate struct {
	ID    string `json:"id"`    // the SHA-256 of its DER form, in hex
	Where string `json:"where"` // the file, or the address whose peer has shown it
	Text  string `json:"text"`
}

// CertificateReport is one certificate that can expire.
type CertificateReport struct {
	Name     string    `json:"name"` // "server": those of outputs are with them
	NotAfter time.Time `json:"not_after"`
}

// Status is all of it, as the control socket answers it and `status --json` prints it.
type Status struct {
	At time.Time `json:"at"` // by the daemon's clock
	Judgment
	// Findings is all that is wrong or worth a word, the problems first.
	Findings []Finding `json:"findings,omitempty"`
	Report
	Queue QueueReport `json:"queue"`
}

// QueueReport is the queue's own part of Status; sizes in bytes.
type QueueReport struct {
	AsOf     time.Time `json:"as_of,omitzero"`
	BridgeID string    `json:"bridge_id"`
	Healthy  bool      `json:"healthy"`
	Full     bool      `json:"full"`
	Problem  string    `json:"problem,omitempty"`

	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	Events    uint64 `json:"events"`
	Bytes     int64  `json:"bytes"`
	MaxBytes  int64  `json:"max_bytes"`
	DiskBytes int64  `json:"disk_bytes"`

	Quarantine         int   `json:"quarantine"`
	QuarantineBytes    int64 `json:"quarantine_bytes"`
	QuarantineMaxBytes int64 `json:"quarantine_max_bytes"`

	Remembered    int           `json:"remembered"`
	Capacity      int           `json:"capacity"`
	WindowCovered time.Duration `json:"window_covered_ns"`
	// CapacityLasts is how long deliveries can be remembered at the rate at which those that are remembered came; 0: too
	// few came to tell.
	CapacityLasts time.Duration `json:"capacity_lasts_ns,omitempty"`
	Evicted       uint64        `json:"evicted"`

	Losses      int    `json:"losses"` // that nobody has acknowledged
	LostEvents  uint64 `json:"lost_events"`
	LostUnknown bool   `json:"lost_unknown,omitempty"` // some of the losses have no known number

	Bridges []BridgeReport `json:"bridges,omitempty"` // of a shared queue
}

// BridgeReport is one bridge of a shared queue.
type BridgeReport struct {
	Name       string    `json:"name"`
	Host       string    `json:"host"`
	Version    string    `json:"version"`
	ConfigHash string    `json:"config_hash"`
	SeenAt     time.Time `json:"seen_at"` // its last sign of life
	Running    bool      `json:"running"` // that is recent
	This       bool      `json:"this,omitempty"`
}

// status joins the bridge's report with the queue's.
func (s *Server) status() Status {
	q := s.opts.Queue.Status()
	st := Status{At: s.opts.Now(), Report: s.opts.Source.Report(), Queue: queueReport(q)}
	st.Judgment = Judge(st.Report, q)
	st.Outputs = append([]OutputReport(nil), st.Outputs...) // the report's slice is the bridge's
	for i := range st.Outputs {
		st.Outputs[i].Queued = queuedReport(q.Outputs, st.Outputs[i].Name)
	}
	if found := bridgeWarnings(q.Bridges); len(found) > 0 {
		st.Warnings = append(st.Warnings[:len(st.Warnings):len(st.Warnings)], found...)
	}
	if q.Healthy && !q.Full && q.Problem != "" {
		st.Warnings = append(st.Warnings[:len(st.Warnings):len(st.Warnings)], q.Problem)
	}
	st.Findings = findings(&st)
	s.history.date(&st)
	return st
}

func queueReport(q queue.Status) QueueReport {
	return QueueReport{
		AsOf: q.AsOf, BridgeID: q.BridgeID, Healthy: q.Healthy, Full: q.Full, Problem: q.Problem,
		FirstSeq: q.FirstSeq, LastSeq: q.LastSeq, Events: q.Events,
		Bytes: q.Bytes, MaxBytes: q.MaxBytes, DiskBytes: q.DiskBytes,
		Quarantine: q.DeadLetters, QuarantineBytes: q.QuarantineBytes, QuarantineMaxBytes: q.QuarantineMaxBytes,
		Remembered: q.Remembered, Capacity: q.Capacity, WindowCovered: q.WindowCovered, CapacityLasts: capacityLasts(q),
		Evicted: q.Evicted, Losses: q.Losses, LostEvents: q.LostEvents, LostUnknown: q.LostUnknown, Bridges: bridgeReports(q.Bridges),
	}
}

func bridgeReports(bridges []queue.BridgeStatus) []BridgeReport {
	var all []BridgeReport
	for _, b := range bridges {
		all = append(all, BridgeReport(b))
	}
	return all
}

// bridgeWarnings are what is wrong with how bridges share a queue: two of one name, and configurations that differ.
func bridgeWarnings(bridges []queue.BridgeStatus) []string {
	var warnings []string
	names, hashes := map[string]bool{}, map[string]bool{}
	for _, b := range bridges {
		if !b.Running {
			continue
		}
		if names[b.Name] {
			warnings = append(warnings, fmt.Sprintf("two bridges are called %s: give each its own queue.bridge_name", b.Name))
		}
		names[b.Name], hashes[b.ConfigHash] = true, true
	}
	if len(hashes) > 1 {
		warnings = append(warnings, "the bridges' configuration files differ: each takes over the other's outputs, so they should name the same ones")
	}
	return warnings
}

// capacityLasts is how long the memory of deliveries would cover at the rate of those that it holds. Less than a minute tells
// nothing.
func capacityLasts(q queue.Status) time.Duration {
	if q.Remembered == 0 || q.WindowCovered < time.Minute {
		return 0
	}
	const longest = 100 * 365 * 24 * time.Hour
	return time.Duration(min(float64(q.WindowCovered)*float64(q.Capacity)/float64(q.Remembered), float64(longest)))
}

func queuedReport(all []queue.OutputStatus, name string) QueuedReport {
	for _, o := range all {
		if o.Name == name {
			return QueuedReport{
				Cursor: o.Cursor, Events: o.Queued, Oldest: o.Oldest,
				QuarantineBytes: o.QuarantineBytes, QuarantineFull: o.QuarantineFull, Owner: o.Owner,
			}
		}
	}
	return QueuedReport{}
}
