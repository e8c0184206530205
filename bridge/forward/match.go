package forward

import (
	"slices"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// Match says which events an output wants. All that is set must hold; the zero value wants everything.
type Match struct {
	MinSeverity int
	SignalType  []string            // globs: * any run of characters, ? any one
	Environment []string            // globs
	Endpoint    []string            // names
	Header      map[string][]string // canonical header name to the values that are wanted
}

// Wants reports whether e passes. An event of unknown severity passes MinSeverity: a filter must not lose what could
// not be judged. Events of the bridge itself pass everything but Endpoint.
func (m *Match) Wants(e *queue.Event) bool {
	if len(m.Endpoint) > 0 && !slices.Contains(m.Endpoint, e.Endpoint) {
		return false
	}
	s := e.Signal
	if e.Synthetic || s == nil {
		return true
	}
	return m.severity(s) && signal.AnyGlob(m.SignalType, s.SignalType) && signal.AnyGlob(m.Environment, s.Environment) && m.headers(e)
}

func (m *Match) severity(s *signal.Signal) bool {
	return s.Severity == 0 || int(s.Severity) >= m.MinSeverity
}

// headers judges the request headers that were kept. One that was received before the configuration asked to keep it
// can't be judged and passes; one that was looked for and absent is kept as empty.
func (m *Match) headers(e *queue.Event) bool {
	for name, wanted := range m.Header {
		kept, matches := false, false
		for _, h := range e.Header {
			if h.Name == name {
				kept = true
				matches = matches || slices.Contains(wanted, h.Value)
			}
		}
		if kept && !matches {
			return false
		}
	}
	return true
}
