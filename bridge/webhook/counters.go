package webhook

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

// counters counts what became of one endpoint's requests. It outlives reloads that keep the endpoint's name.
type counters struct {
	verdicts     [verdicts]atomic.Uint64
	reused       atomic.Uint64
	lastVerified atomic.Int64 // Unix nanoseconds; 0: never
	lastAccepted atomic.Int64
	quarantined  reasons
	clock        clockWatch
	lines        *logging.Limit // about single deliveries that need a look

	mu      sync.Mutex
	matches map[string]*atomic.Uint64 // what each secret verified, by its name
}

func newCounters() *counters {
	return &counters{matches: map[string]*atomic.Uint64{}, lines: logging.NewLimit(logging.EventLines, logging.EventEvery)}
}

func (t *counters) count(v verdict) { t.verdicts[v].Add(1) }

// matchesOf returns the counter of the secret called name; secrets with the same name share it.
func (t *counters) matchesOf(name string) *atomic.Uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.matches[name] == nil {
		t.matches[name] = new(atomic.Uint64)
	}
	return t.matches[name]
}

// reasons counts by reason. Reasons come from a fixed set of constants, so it is bounded.
type reasons struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (r *reasons) count(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]uint64{}
	}
	r.counts[reason]++
}

func (r *reasons) snapshot() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]uint64, len(r.counts))
	for reason, n := range r.counts {
		counts[reason] = n
	}
	return counts
}

// EndpointStatus is what became of one endpoint's requests since the process started.
type EndpointStatus struct {
	Name string
	Path string

	// LastVerified is the time of the last delivery whose signature was right, LastAccepted of the last one that was
	// new and fresh too; zero: none yet. An attacker who repeats an old delivery moves LastVerified, never LastAccepted.
	LastVerified, LastAccepted time.Time

	Accepted, Duplicate, Quarantined uint64
	Unavailable                      uint64            // answered 503
	Refused                          map[string]uint64 // by reason, those above zero
	QuarantinedBy                    map[string]uint64 // by reason
	Secrets                          []SecretStatus    // the live ones, in the configuration's order
	ClockSuspect                     bool              // so many stale or future ones in a row that a clock must be wrong
}

// SecretStatus is the use of one live secret: a rotation is finished when the old one is no longer matched.
type SecretStatus struct {
	Name    string
	Matches uint64
}

// EndpointStatus returns a snapshot, in the order of Options.Endpoints.
func (h *Handler) EndpointStatus() []EndpointStatus {
	s := h.state.Load()
	all := make([]EndpointStatus, 0, len(s.endpoints))
	for _, ep := range s.endpoints {
		status := ep.counters.status()
		status.Name, status.Path = ep.name, ep.path
		for _, k := range ep.keys {
			status.Secrets = append(status.Secrets, SecretStatus{k.name, k.matches.Load()})
		}
		all = append(all, status)
	}
	return all
}

func (t *counters) status() EndpointStatus {
	status := EndpointStatus{
		LastVerified: unixTime(t.lastVerified.Load()),
		LastAccepted: unixTime(t.lastAccepted.Load()),
		Accepted:     t.verdicts[accepted].Load(),
		Duplicate:    t.verdicts[duplicate].Load(),
		Quarantined:  t.verdicts[quarantined].Load(),
		Refused:      map[string]uint64{},
		ClockSuspect: t.clock.suspect(),
	}
	status.QuarantinedBy = t.quarantined.snapshot()
	for v := range verdicts {
		n := t.verdicts[v].Load()
		switch {
		case v.refusal() && n > 0:
			status.Refused[v.String()] = n
		case v == busy || v == queueFull || v == unavailable:
			status.Unavailable += n
		}
	}
	return status
}

func unixTime(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
