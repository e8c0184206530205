package syslog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Settings is the table of one output of this kind. Durations are Go's ("30s"), sizes "8KiB" or plain bytes.
type Settings struct {
	// Addresses are the collectors in order of preference: udp://HOST[:514], tcp://HOST[:514], tls://HOST[:6514],
	// relp://HOST[:20514], relps://HOST:PORT, unix:///PATH. One is used at a time; the next is tried when it fails.
	Addresses []string `toml:"addresses"`

	Format  string `toml:"format"`  // rfc5424 (default) or rfc3164
	Message string `toml:"message"` // MSG: text (default), json, cef, leef or ocsf
	// StructuredData is what RFC 5424's holds of a signal: full, ids (and bridge_seq) or none. Default full, and ids with the others than text,
	// whose message has every field.
	StructuredData string `toml:"structured_data"`
	Facility       word   `toml:"facility"`      // a name such as user (default) or local0, or its number
	AppName        string `toml:"app_name"`      // default linuxguard
	EnterpriseID   word   `toml:"enterprise_id"` // of the structured data's names; default 32473
	TimeZone       string `toml:"time_zone"`     // of rfc3164's time stamps: a name such as Europe/Berlin, or Local; default UTC
	OmitHostname   bool   `toml:"omit_hostname"` // rfc3164 without HOSTNAME, as journald wants it on /dev/log
	// MaxMessageBytes bounds one syslog message, before framing. Longer ones are cut, with a mark. Default 8KiB, and
	// 2KiB when an address is udp:// (RFC 5426 section 3.2). From 1KiB to 65507 with udp, to 128KiB with relp, else 1MiB.
	MaxMessageBytes setting.Size `toml:"max_message_bytes"`
	BOM             bool         `toml:"bom"`            // begin MSG with a byte order mark, as RFC 5424 section 6.4 has it
	SDMeta          bool         `toml:"sd_meta"`        // add meta sequenceId, counted from 1 at the start
	SDOrigin        bool         `toml:"sd_origin"`      // add origin software and swVersion
	SDTimeQuality   bool         `toml:"sd_timequality"` // add timeQuality
	// Framing of tcp, tls and unix stream: octet-counted (default; RFC 6587 section 3.4.1) or newline (section 3.4.2,
	// default and usual on unix stream sockets).
	Framing string `toml:"framing"`

	tlsclient.Settings // for tls and relps

	// ConnectTimeout bounds one attempt at one address: name lookup, connection, TLS and RELP's open. Default 10s.
	ConnectTimeout time.Duration `toml:"connect_timeout"`
	// AckTimeout is how long a connection may make no progress while something is unconfirmed before it is given up.
	// Default 30s, and 90s with relp, where a busy receiver is allowed to take its time. Also the TCP user timeout.
	AckTimeout time.Duration `toml:"ack_timeout"`
	// ResetGrace is how long a record on tcp, tls or a unix stream must have been acknowledged, with the connection not
	// reset meanwhile, before it counts as delivered. A receiver that dies resets its connections at once, so that what
	// its process had not read is sent again, if it reads within that time. Default 100ms.
	ResetGrace *time.Duration `toml:"reset_grace"`
	// MaxConnectionAge is when a connection is replaced in good order, so that a load balancer, a changed DNS record
	// and a preferred address that is back get their chance. Default 1h; "0s" keeps it for ever.
	MaxConnectionAge *time.Duration `toml:"max_connection_age"`
	// Keepalive is the idle time before TCP probes the peer, and three times the time between probes. Default 30s.
	Keepalive time.Duration `toml:"keepalive"`
	// RELPWindow is how many records may be unanswered on one RELP connection. Default 1024.
	RELPWindow int `toml:"relp_window"`
	// MaxRate is how many datagrams a second a udp:// address gets at the most, so that a backlog doesn't overrun the receiver's
	// socket buffer: nobody would know. Default 1000. Live traffic below that is not held up.
	MaxRate int `toml:"max_rate"`
	// MaxInFlight bounds the records sent and not yet confirmed, and so the duplicates after a crash. Default 16384;
	// with relp the window is what counts.
	MaxInFlight int `toml:"max_in_flight"`
}

// The bounds of settings, and defaults that depend on the transport.
const (
	maxStreamMessage    = 1 << 20
	maxRELPMessage      = 128 << 10 // RELP specification: DATALEN in version 1
	maxUDPMessage       = 65507     // IPv4's limit
	defaultMessageBytes = 8 << 10
	defaultUDPMessage   = 2 << 10
	defaultAckTimeout   = 30 * time.Second
	defaultRELPTimeout  = 90 * time.Second
	defaultAge          = time.Hour
	defaultGrace        = 100 * time.Millisecond
	maxWindow           = 1 << 16
	maxInFlight         = 1 << 20
	defaultRate         = 1000
	maxRate             = 1_000_000
)

const (
	framingOctets  = "octet-counted"
	framingNewline = "newline"
)

// scheme counts what the addresses need.
type schemes map[string]bool

func (s schemes) stream() bool { return s["tcp"] || s["tls"] || s["unix"] }
func (s schemes) relp() bool   { return s["relp"] || s["relps"] }
func (s schemes) tls() bool    { return s["tls"] || s["relps"] }

// check completes s with the defaults and returns all its problems, each a *outputs.KeyError, and warnings.
func (s *Settings) check(env outputs.Env) (addresses []address, problems []error, warnings []outputs.Warning) {
	problem := func(key, format string, args ...any) {
		problems = append(problems, &outputs.KeyError{Key: key, Err: fmt.Errorf(format, args...)})
	}
	used := schemes{}
	for _, text := range s.Addresses {
		a, err := parseAddress(text)
		if err != nil {
			problem("addresses", "%w", err)
			continue
		}
		addresses = append(addresses, a)
		used[a.scheme] = true
	}
	if len(s.Addresses) == 0 {
		problem("addresses", `at least one is needed, such as "tls://siem.example.com:6514"`)
	}
	if len(addresses) == len(s.Addresses) { // else it isn't known what the other keys are for
		s.checkTransport(used, problem)
		s.checkUnused(used, problem)
	}
	s.setDefaults(used)
	s.checkRanges(used, problem)
	problemsTLS, warningsTLS := s.Check(env.Now())
	return addresses, append(problems, problemsTLS...), append(s.warnings(used), warningsTLS...)
}

func (s *Settings) checkTransport(used schemes, problem func(string, string, ...any)) {
	switch s.Framing {
	case "":
	case framingOctets, framingNewline:
		if !used.stream() {
			problem("framing", "only tcp, tls and unix stream sockets have one: remove the key")
		}
	default:
		problem("framing", `%q is not known: use "octet-counted" or "newline"`, s.Framing)
	}
}

// checkUnused refuses keys that would do nothing: an operator who sets ca_file believes that the line is encrypted.
func (s *Settings) checkUnused(used schemes, problem func(string, string, ...any)) {
	if !used.tls() {
		for _, key := range s.Keys() {
			problem(key, "does nothing without a tls:// or relps:// address")
		}
	}
	if s.ResetGrace != nil && !used.stream() {
		problem("reset_grace", "does nothing without a tcp://, tls:// or unix stream address")
	}
	if s.RELPWindow != 0 && !used.relp() {
		problem("relp_window", "does nothing without a relp:// or relps:// address")
	}
	if s.MaxRate != 0 && !used["udp"] {
		problem("max_rate", "does nothing without a udp:// address")
	}
}

func (s *Settings) setDefaults(used schemes) {
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, 10*time.Second)
	s.Keepalive = cmp.Or(s.Keepalive, 30*time.Second)
	s.RELPWindow = cmp.Or(s.RELPWindow, 1024)
	s.MaxInFlight = cmp.Or(s.MaxInFlight, 16384)
	s.MaxRate = cmp.Or(s.MaxRate, defaultRate)
	age := defaultAge
	if s.MaxConnectionAge == nil {
		s.MaxConnectionAge = &age
	}
	if used.relp() {
		s.AckTimeout = cmp.Or(s.AckTimeout, defaultRELPTimeout)
	}
	s.AckTimeout = cmp.Or(s.AckTimeout, defaultAckTimeout)
	if s.ResetGrace == nil {
		grace := min(defaultGrace, s.AckTimeout)
		s.ResetGrace = &grace
	}
	if used["udp"] {
		s.MaxMessageBytes = cmp.Or(s.MaxMessageBytes, defaultUDPMessage)
	}
	s.MaxMessageBytes = cmp.Or(s.MaxMessageBytes, defaultMessageBytes)
}

func (s *Settings) checkRanges(used schemes, problem func(string, string, ...any)) {
	limit, why := maxStreamMessage, ""
	if used.relp() {
		limit, why = maxRELPMessage, " with relp"
	}
	if used["udp"] {
		limit, why = maxUDPMessage, " with udp"
	}
	if n := int(s.MaxMessageBytes); n > limit { // the encoder knows the lower bound
		problem("max_message_bytes", "%d is too large: at most %d bytes%s", n, limit, why)
	}
	for _, d := range []struct {
		key      string
		value    time.Duration
		min, max time.Duration
	}{
		{"connect_timeout", s.ConnectTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"ack_timeout", s.AckTimeout, 100 * time.Millisecond, time.Hour},
		{"keepalive", s.Keepalive, time.Second, 2 * time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			problem(d.key, "%v is out of range: from %v to %v", d.value, d.min, d.max)
		}
	}
	if age := *s.MaxConnectionAge; age != 0 && age < time.Second {
		problem("max_connection_age", `%v is too short: at least 1s, or "0s" for no limit`, age)
	}
	if grace := *s.ResetGrace; grace < 0 || grace > s.AckTimeout {
		problem("reset_grace", "%v is out of range: from 0s to ack_timeout (%v)", grace, s.AckTimeout)
	}
	if s.RELPWindow < 1 || s.RELPWindow > maxWindow {
		problem("relp_window", "%d is out of range: from 1 to %d", s.RELPWindow, maxWindow)
	}
	if s.MaxRate < 1 || s.MaxRate > maxRate {
		problem("max_rate", "%d is out of range: from 1 to %d", s.MaxRate, maxRate)
	}
	if s.MaxInFlight < 1 || s.MaxInFlight > maxInFlight {
		problem("max_in_flight", "%d is out of range: from 1 to %d", s.MaxInFlight, maxInFlight)
	}
}

func (s *Settings) warnings(used schemes) (warnings []outputs.Warning) {
	add := func(key, text string) { warnings = append(warnings, outputs.Warning{Key: key, Text: text}) }
	if used["udp"] {
		add("addresses", `udp confirms nothing: a record counts as delivered when it is sent. Prefer relp, tls or tcp`)
		if s.MaxMessageBytes > defaultUDPMessage {
			add("max_message_bytes", "datagrams longer than 2KiB are taken by few receivers and are lost with any of their fragments (RFC 5426 section 3.2)")
		}
	}
	if used["tls"] && s.Framing == framingNewline {
		add("framing", "RFC 5425 wants octet counting over TLS; newline suits receivers that ask for it, such as SC4S on 6514")
	}
	if slices.Contains(s.Addresses, "unix:///dev/log") && (s.Format != mapping.FormatRFC3164 || !s.OmitHostname) {
		add("format", `journald reads RFC 3164 without a host name only on /dev/log: format = "rfc3164" and omit_hostname = true suit it`)
	}
	if s.OmitHostname && s.Format != mapping.FormatRFC3164 {
		add("omit_hostname", "only rfc3164 leaves the host name out")
	}
	return warnings
}

// word is a name or a number: TOML integers are taken too.
type word string

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *word) UnmarshalText(text []byte) error {
	*w = word(text)
	return nil
}
