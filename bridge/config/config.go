package config

import (
	"net/netip"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// DefaultPath is where the daemon looks without --config.
const DefaultPath = "/etc/linuxguard-bridge/config.toml"

// Config is one configuration file, complete with defaults. It is never changed after Load.
type Config struct {
	Path string // the file it was read from
	Hash string // of the file's bytes, hex, for the metric and the status page

	Server    Server
	Endpoints []Endpoint // in the order of their names
	Queue     Queue
	Dedupe    Dedupe
	Admin     Admin
	Log       Log
	Outputs   []Output // in the order of their names

	Settings []Setting // every key with its value, in the order of the documentation
}

// Server is [server].
type Server struct {
	Listen         []string // host:port, unix:/path, or the single "systemd"
	TLSCert        string
	TLSKey         string
	ClientCAFile   string
	Plaintext      bool
	TrustedProxies []netip.Prefix
	Allow          []netip.Prefix
	MaxBodyBytes   int64
	MaxConnections int
	StateDirectory string // for certificates that ACME brings
	HTTP2          bool
	ACME           *ACME // nil: none
}

// ACME is [server.acme].
type ACME struct {
	Domains      []string
	Email        string
	DirectoryURL string
	CAFile       string
	HTTPListen   string
}

// Secret is one resolved secret with the name that logs and metrics call it by.
type Secret struct {
	Name  string
	Value secret.Value
}

// Endpoint is [endpoint.NAME].
type Endpoint struct {
	Name            string
	Path            string
	Secrets         []Secret
	RequiredHeaders map[string][]Secret // canonical header name to the accepted values
	Tenants         []string
	MaxAge          time.Duration
	ClockSkew       time.Duration
	ExpectEvery     time.Duration // 0: no absence alarm
	ExpectEvent     bool          // also send a synthetic event to the outputs
}

// Queue is [queue].
type Queue struct {
	Directory          string // "" with a shared queue
	MaxBytes           int64
	QuarantineMaxBytes int64
	Keep               time.Duration // how long delivered events are kept for a replay, within MaxBytes; 0: not

	Shared *SharedQueue // nil: the queue is this host's own
}

// SharedQueue is [queue] with kind = "postgres".
type SharedQueue struct {
	URL          string // postgres://, without a password
	Password     secret.Value
	ClientCert   string
	ClientKey    string
	CAFile       string // "": the system's
	Schema       string
	ReplicatedBy string // standby | storage | nothing
	BridgeName   string // "": the host's name
	Takeover     time.Duration
	Pooler       bool
}

// FrameBytes is room for what is stored with the body of a webhook: headers, names and the frame of the record.
const FrameBytes = 64 << 10

// Dedupe is [dedupe].
type Dedupe struct {
	Capacity int
	Window   time.Duration
}

// Admin is [admin].
type Admin struct {
	Listen       string // "" turns it off
	Socket       string
	TLSCert      string // needed, with Password, beyond loopback
	TLSKey       string
	Username     string
	Password     secret.Value
	AllowedHosts []string // beside loopback names, for the Host check
}

// Log is [log].
type Log struct {
	Level  string // debug | info | warn | error
	Format string // auto | journal | text | json
}

// Output is [output.NAME]: the keys that every kind has, and the way to the others.
type Output struct {
	Name       string
	Type       string
	DropOldest bool   // when_full = "drop_oldest"
	StartAt    string // "now" or "oldest": where a new output begins
	Match      Match

	// Decode fills the kind's own settings from the output's table. The kind's constructor calls it, while the file is
	// loaded for use and whenever the output is made anew; keys that neither it nor the common part knows are errors of the
	// file. It may be called from several goroutines.
	Decode func(settings any) error
	// Fingerprint changes when anything in the table or in a secret or file that it refers to changes, so that a reload
	// knows which outputs to rebuild.
	Fingerprint string
}

// Match is an output's match table: all that is set must hold; empty means any.
type Match struct {
	MinSeverity int
	SignalType  []string            // globs with * and ?
	Environment []string            // globs
	Endpoint    []string            // names
	Header      map[string][]string // canonical name to accepted values
}
