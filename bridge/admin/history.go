package admin

import (
	"context"
	"sync"
	"time"
)

// The last hour, for the page.
const (
	recordEvery = 10 * time.Second
	recordFor   = time.Hour
)

// history is what the status looked like in the last hour, and since when what it says is so.
type history struct {
	mu      sync.Mutex
	samples []sample
	found   map[string]time.Time // by the key of a finding: when it was first there
	states  map[string]stateSince
}

// sample is one look.
type sample struct {
	at        time.Time
	received  uint64 // accepted, duplicates and quarantined of all endpoints
	delivered map[string]uint64
	lag       map[string]time.Duration
}

type stateSince struct {
	state string
	since time.Time
}

func newHistory() *history {
	return &history{found: map[string]time.Time{}, states: map[string]stateSince{}}
}

// Record looks at the status every ten seconds until ctx ends, so that the page can show the last hour, and every view since when a
// problem is there.
func (s *Server) Record(ctx context.Context) {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		st := s.status()
		s.history.add(&st)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *history) add(st *Status) {
	one := sample{at: st.At, delivered: map[string]uint64{}, lag: map[string]time.Duration{}}
	for _, e := range st.Receiver.Endpoints {
		one.received += e.Accepted + e.Duplicate + e.Quarantined
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	found, states := map[string]time.Time{}, map[string]stateSince{}
	for i := range st.Outputs {
		o := &st.Outputs[i]
		one.delivered[o.Name], one.lag[o.Name] = o.Delivered, lagOf(o, st.At)
		if states[o.Name] = h.states[o.Name]; states[o.Name].state != o.State {
			states[o.Name] = stateSince{o.State, st.At}
		}
	}
	for _, f := range st.Findings {
		if found[f.key] = h.found[f.key]; found[f.key].IsZero() {
			found[f.key] = st.At
		}
	}
	h.found, h.states = found, states
	h.samples = append(h.samples, one)
	for len(h.samples) > 0 && st.At.Sub(h.samples[0].at) > recordFor {
		h.samples = h.samples[1:]
	}
}

// date says since when the findings and the outputs' states of a status are so.
func (h *history) date(st *Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range st.Findings {
		if f := &st.Findings[i]; f.Since.IsZero() {
			f.Since = h.found[f.key]
		}
	}
	for i := range st.Outputs {
		if o := &st.Outputs[i]; h.states[o.Name].state == o.State {
			o.Since = h.states[o.Name].since
		}
	}
}

// lagOf is how old the oldest event is that waits for an output.
func lagOf(o *OutputReport, now time.Time) time.Duration {
	if o.Queued.Events == 0 || o.Queued.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(o.Queued.Oldest))
}

// received is what came in a second, over time.
func (h *history) received() series {
	return h.series(func(a, b *sample) float64 { return perSecond(a, b, a.received, b.received) })
}

// deliveries is what an output got in a second, over time.
func (h *history) deliveries(output string) series {
	return h.series(func(a, b *sample) float64 { return perSecond(a, b, a.delivered[output], b.delivered[output]) })
}

// lags is an output's lag in seconds, over time.
func (h *history) lags(output string) series {
	return h.series(func(_, b *sample) float64 { return b.lag[output].Seconds() })
}

// series makes a value of each two samples that follow each other.
func (h *history) series(value func(a, b *sample) float64) series {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all series
	for i := 1; i < len(h.samples); i++ {
		all = append(all, point{h.samples[i].at, value(&h.samples[i-1], &h.samples[i])})
	}
	return all
}

func perSecond(a, b *sample, before, after uint64) float64 {
	took := b.at.Sub(a.at).Seconds()
	if after < before || took <= 0 { // a reload has made the output anew
		return 0
	}
	return float64(after-before) / took
}
