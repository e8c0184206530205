package splunkhec

import (
	"errors"
	"slices"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// IndexRule sends what it matches to an index of its own. All that is set must hold.
type IndexRule struct {
	Index       string   `toml:"index"`        // required
	MinSeverity int      `toml:"min_severity"` // 1 to 5; a signal of unknown severity passes
	SignalType  []string `toml:"signal_type"`  // globs: * any run of characters, ? any one
	Environment []string `toml:"environment"`  // globs
	Endpoint    []string `toml:"endpoint"`     // names
}

func (r *IndexRule) check() error {
	switch {
	case r.Index == "":
		return errors.New("index is required")
	case r.MinSeverity < 0 || r.MinSeverity > int(signal.Critical):
		return errors.New("min_severity is 1 (info) to 5 (critical)")
	case r.MinSeverity == 0 && len(r.SignalType)+len(r.Environment)+len(r.Endpoint) == 0:
		return errors.New("matches everything: give min_severity, signal_type, environment or endpoint, or set index itself")
	}
	return checkIndex(r.Index)
}

func (r *IndexRule) matches(rec *outputs.Record) bool {
	s := rec.Signal
	return (s.Severity == 0 || int(s.Severity) >= r.MinSeverity) &&
		signal.AnyGlob(r.SignalType, s.SignalType) && signal.AnyGlob(r.Environment, s.Environment) &&
		(len(r.Endpoint) == 0 || slices.Contains(r.Endpoint, rec.Endpoint))
}

// routing chooses the encoder of a record by its index.
type routing struct {
	rules    []IndexRule
	routes   []int          // of each rule
	indexes  []string       // by route; the first is the output's own
	encoders []*mapping.HEC // by route
}

// defaultRoute is the route of events that go to the output's own index.
const defaultRoute = 0

func newRouting(s *Settings) (*routing, error) {
	r := &routing{rules: s.IndexRules, indexes: []string{s.Index}}
	for _, rule := range s.IndexRules {
		route := slices.Index(r.indexes, rule.Index)
		if route < 0 {
			route = len(r.indexes)
			r.indexes = append(r.indexes, rule.Index)
		}
		r.routes = append(r.routes, route)
	}
	for _, index := range r.indexes {
		h, err := mapping.NewHEC(mapping.HECOptions{Layout: s.Layout, Source: s.Source, Sourcetype: s.SourceType, Index: index,
			Host: s.Host, IndexedFields: s.IndexedFields})
		if err != nil {
			return nil, err
		}
		r.encoders = append(r.encoders, h)
	}
	return r, nil
}

// route returns the number of rec's index. The bridge's own events go to the output's own index.
func (r *routing) route(rec *outputs.Record) int {
	if rec.Synthetic {
		return defaultRoute
	}
	for i := range r.rules {
		if r.rules[i].matches(rec) {
			return r.routes[i]
		}
	}
	return defaultRoute
}

// appendEvent appends rec as one HEC event with its index.
func (r *routing) appendEvent(dst []byte, rec *outputs.Record) []byte {
	return r.encoders[r.route(rec)].Append(dst, rec)
}
