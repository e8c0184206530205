package splunkhec

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// Settings are the keys of a splunk_hec output's table, beside those that every output has.
type Settings struct {
	// URLs are the collectors' base addresses, such as "https://splunk.example.com:8088"; requests go to the healthy
	// ones in turn. A path before /services/collector is kept. http:// works and is warned of. Required.
	URLs []string `toml:"urls"`
	// Token is the reference of the HEC token, without the word "Splunk". Required.
	Token secret.Ref `toml:"token"`

	// Layout of the event: "native" (default) is LinuxGuard's own, "cim" adds the names of Splunk's Common Information
	// Model, "raw" is the webhook's body, "ocsf" an OCSF Detection Finding.
	Layout string `toml:"layout"`
	// Index, Source, SourceType and Host are written on every event. An empty Index leaves it to the token, an empty
	// Host is the server that the signal is about. Defaults: none, "linuxguard", "linuxguard:signal", none.
	Index      string `toml:"index"`
	Source     string `toml:"source"`
	SourceType string `toml:"sourcetype"`
	Host       string `toml:"host"`
	// IndexRules choose another index: the first that matches counts. What Splunk refuses for such an index is
	// quarantined alone; what it refuses for Index holds the output.
	IndexRules []IndexRule `toml:"index_rules"`
	// IndexedFields writes delivery_id and its like as indexed fields, for tstats and dedup. Default true.
	IndexedFields bool `toml:"indexed_fields"`

	// IndexerAck counts an event as delivered only when the indexer says so. The token must have it turned on.
	IndexerAck bool `toml:"indexer_ack"`
	// AckTimeout is how long an acknowledgement may take before the events are sent again: 1s to 24h, default 5m.
	// Splunk holds small batches for about two minutes.
	AckTimeout time.Duration `toml:"ack_timeout"`
	// MaxPendingAcks bounds the requests that wait for their acknowledgement: 1 to 100000, default 1000.
	MaxPendingAcks int `toml:"max_pending_acks"`

	// Success is what counts as taken: "hec" (default) is an answer with HEC's code, "status" any 2xx that is no web page, for
	// compatible collectors that answer without a body or a code. With "status" a proxy that answers in the collector's place loses
	// events.
	Success string `toml:"success"`

	// Gzip compresses requests. Default true.
	Gzip bool `toml:"gzip"`
	// BatchMaxEvents bounds the events of one request: 1 to 10000, default 500.
	BatchMaxEvents int `toml:"batch_max_events"`
	// BatchMaxBytes bounds a request before compression, except for a single larger event: 1KiB to 800MiB (Splunk's
	// own limit), default 1MiB (what Splunk Cloud recommends).
	BatchMaxBytes setting.Size `toml:"batch_max_bytes"`
	// BatchLinger is how long an event may wait for others while a request is under way: 0 to 1m, default 200ms. When
	// none is, it leaves at once.
	BatchLinger time.Duration `toml:"batch_linger"`
	// MaxRequestsInFlight bounds the requests under way at one time, over all URLs: 1 to 64, default 4.
	MaxRequestsInFlight int `toml:"max_requests_in_flight"`
	// MaxInFlight bounds the events that are sent and not yet delivered, and so the duplicates after a crash. Default:
	// what fits into MaxRequestsInFlight, with indexer_ack 20000.
	MaxInFlight int `toml:"max_in_flight"`

	// ConnectTimeout bounds connecting and the TLS handshake, each: 100ms to 5m, default 10s.
	ConnectTimeout time.Duration `toml:"connect_timeout"`
	// RequestTimeout bounds one request from its first byte to the last of its answer: 1s to 10m, default 30s.
	RequestTimeout time.Duration `toml:"request_timeout"`
	// MaxConnectionAge is when a connection is replaced by a new one, with names looked up and certificate files read
	// anew, so that a load balancer gets its chance: 1s or more, default 5m; 0 keeps connections for ever.
	MaxConnectionAge time.Duration `toml:"max_connection_age"`

	// Proxy is an http://, https:// or socks5:// URL, "none", or empty for HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy string `toml:"proxy"`
	// ProxyAuth is the reference of "user:password" for Proxy.
	ProxyAuth secret.Ref `toml:"proxy_auth"`

	// ProbeEvent lets "check --probe" send one real event, which stays in the index. Default false.
	ProbeEvent bool `toml:"probe_event"`

	tlsclient.Settings
}

func defaults() Settings {
	return Settings{
		Layout:              mapping.LayoutNative,
		Success:             successHEC,
		Source:              mapping.DefaultSource,
		SourceType:          mapping.DefaultSourcetype,
		IndexedFields:       true,
		AckTimeout:          5 * time.Minute,
		MaxPendingAcks:      1000,
		Gzip:                true,
		BatchMaxEvents:      500,
		BatchMaxBytes:       1 << 20,
		BatchLinger:         200 * time.Millisecond,
		MaxRequestsInFlight: 4,
		ConnectTimeout:      10 * time.Second,
		RequestTimeout:      30 * time.Second,
		MaxConnectionAge:    5 * time.Minute,
	}
}

// The values of Success.
const (
	successHEC    = "hec"
	successStatus = "status"
)

// maxInFlightAck is MaxInFlight's default with indexer_ack: two minutes of 160 events a second.
const maxInFlightAck = 20_000

// derive fills what depends on other keys.
func (s *Settings) derive() {
	if s.MaxInFlight == 0 {
		s.MaxInFlight = max(1, s.MaxRequestsInFlight*s.BatchMaxEvents)
		if s.IndexerAck {
			s.MaxInFlight = max(maxInFlightAck, s.MaxInFlight)
		}
	}
}

// check returns every problem, each an *outputs.KeyError, and what works but needs attention.
func (s *Settings) check(now time.Time) (problems []error, warnings []outputs.Warning) {
	problem := func(key string, err error) {
		if err != nil {
			problems = append(problems, &outputs.KeyError{Key: key, Err: err})
		}
	}
	problem("urls", s.checkURLs())
	if s.Token == "" {
		problem("token", errors.New(`is required, for instance token = "credential:splunk-token"`))
	}
	if _, err := mapping.NewHEC(mapping.HECOptions{Layout: s.Layout, Sourcetype: s.SourceType}); err != nil {
		problems = append(problems, err)
	}
	if s.Success != successHEC && s.Success != successStatus {
		problem("success", fmt.Errorf("%q is not %q or %q", s.Success, successHEC, successStatus))
	}
	if s.Success == successStatus && s.IndexerAck {
		problem("success", errors.New("an acknowledgement needs HEC's answer: leave success out, or set indexer_ack = false"))
	}
	problem("index", checkIndex(s.Index))
	for i := range s.IndexRules {
		problem(fmt.Sprintf("index_rules[%d]", i), s.IndexRules[i].check())
	}
	s.checkBounds(problem)
	_, err := parseProxy(s.Proxy)
	problem("proxy", err)
	if s.ProxyAuth != "" && (s.Proxy == "" || s.Proxy == proxyNone) {
		problem("proxy_auth", errors.New("has no effect without proxy"))
	}
	tlsProblems, warnings := s.Check(now)
	problems = append(problems, tlsProblems...)
	return problems, append(warnings, s.urlWarnings()...)
}

func (s *Settings) checkBounds(problem func(string, error)) {
	for _, b := range []struct {
		key         string
		n, min, max int
	}{
		{"max_pending_acks", s.MaxPendingAcks, 1, 100_000},
		{"batch_max_events", s.BatchMaxEvents, 1, 10_000},
		{"batch_max_bytes", int(s.BatchMaxBytes), 1 << 10, 800 << 20},
		{"max_requests_in_flight", s.MaxRequestsInFlight, 1, 64},
		{"max_in_flight", s.MaxInFlight, 1, 1_000_000},
	} {
		if b.n < b.min || b.n > b.max {
			problem(b.key, fmt.Errorf("%d is not between %d and %d", b.n, b.min, b.max))
		}
	}
	for _, b := range []struct {
		key         string
		d, min, max time.Duration
	}{
		{"ack_timeout", s.AckTimeout, time.Second, 24 * time.Hour},
		{"batch_linger", s.BatchLinger, 0, time.Minute},
		{"connect_timeout", s.ConnectTimeout, 100 * time.Millisecond, 5 * time.Minute},
		{"request_timeout", s.RequestTimeout, time.Second, 10 * time.Minute},
	} {
		if b.d < b.min || b.d > b.max {
			problem(b.key, fmt.Errorf("%v is not between %v and %v", b.d, b.min, b.max))
		}
	}
	if s.MaxConnectionAge != 0 && s.MaxConnectionAge < time.Second {
		problem("max_connection_age", fmt.Errorf("%v is less than 1s; 0 keeps connections for ever", s.MaxConnectionAge))
	}
}

func (s *Settings) checkURLs() error {
	if len(s.URLs) == 0 {
		return errors.New(`is required, for instance urls = ["https://splunk.example.com:8088"]`)
	}
	seen := map[string]bool{}
	var problems []error
	for i, text := range s.URLs {
		base, err := parseURL(text)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("entry %d: %w", i+1, err))
		case seen[base.String()]:
			problems = append(problems, fmt.Errorf("entry %d: %s is listed twice", i+1, base))
		default:
			seen[base.String()] = true
		}
	}
	return errors.Join(problems...)
}

// collectorPath is where HEC lives below a base URL.
const collectorPath = "/services/collector"

// parseURL reads a base URL and strips what people copy from Splunk's documentation. Its errors show no user
// information or query: a token may be in there.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is not a valid URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("a URL begins with https:// (or http://)")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("user and password do not belong in the URL: the token goes into token")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("a base URL has no query and no fragment: the token goes into token")
	}
	path := strings.TrimRight(u.Path, "/")
	for _, tail := range []string{"/1.0", "/event", collectorPath} {
		path = strings.TrimSuffix(path, tail)
	}
	if strings.Contains(path+"/", collectorPath+"/") {
		return nil, fmt.Errorf("ends in another endpoint than %s/event, such as /raw, which takes no events: leave all from /services on away", collectorPath)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: strings.TrimRight(path, "/")}, nil
}

func (s *Settings) urlWarnings() []outputs.Warning {
	var warnings []outputs.Warning
	tls := 0
	for _, text := range s.URLs {
		if strings.HasPrefix(text, "http://") {
			warnings = append(warnings, outputs.Warning{Key: "urls", Text: text + " is not encrypted: anybody in between can read the token and the events"})
			continue
		}
		tls++
	}
	if keys := s.Keys(); tls == 0 && len(keys) > 0 {
		warnings = append(warnings, outputs.Warning{Key: keys[0], Text: "has no effect: no URL is https://"})
	}
	return warnings
}

// checkIndex knows what Splunk allows in an index's name.
func checkIndex(name string) error {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return fmt.Errorf("%q: an index has lower-case letters, digits, _ and - only", name)
		}
	}
	return nil
}
