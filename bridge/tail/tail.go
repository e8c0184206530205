// Package tail hands what happens at this moment to whoever watches ("linuxguard-bridge tail"). It holds nobody up: what a watcher does not take in
// time is left out and counted, and while nobody watches a line costs one look at a number.
package tail

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The ways of a Line.
const (
	In  = "in"  // a webhook came
	Out = "out" // an event was handed to an output
)

// Line is one thing that happened. Its texts may come from outside.
type Line struct {
	At      time.Time `json:"at"`
	Way     string    `json:"way"`     // In or Out
	Outcome string    `json:"outcome"` // in: accepted, duplicate, quarantined, or why it was refused; out: delivered, failed or refused
	Status  int       `json:"status,omitempty"`
	Error   string    `json:"error,omitempty"`

	Endpoint string `json:"endpoint,omitempty"`
	Output   string `json:"output,omitempty"`
	Client   string `json:"client,omitempty"` // the address that a webhook came from
	Events   int    `json:"events,omitempty"` // of a batch that failed, of which this is the first
	Millis   int64  `json:"ms,omitempty"`     // how long the output took

	Seq        uint64 `json:"bridge_seq,omitempty"`
	DeliveryID string `json:"delivery_id,omitempty"`
	SignalID   string `json:"signal_id,omitempty"`
	SignalType string `json:"signal_type,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	Severity   int    `json:"severity,omitempty"`

	LeftOut uint64 `json:"left_out,omitempty"` // lines before this one that the watcher was too slow for
}

// Filter says which lines a watcher wants; empty means all. A line that says nothing of a signal, such as a refusal, passes MinSeverity.
type Filter struct {
	Way         string
	Endpoints   []string
	Outputs     []string
	MinSeverity int
}

func (f *Filter) wants(l *Line) bool {
	return (f.Way == "" || f.Way == l.Way) &&
		(len(f.Endpoints) == 0 || slices.Contains(f.Endpoints, l.Endpoint)) &&
		(len(f.Outputs) == 0 || slices.Contains(f.Outputs, l.Output)) &&
		(l.Severity == 0 || l.Severity >= f.MinSeverity)
}

const (
	maxWatchers = 4
	maxWaiting  = 1024 // lines that a watcher may be behind
)

// ErrTooMany says that no more watchers are taken.
var ErrTooMany = errors.New("four watch already: end one of them first")

// Hub passes lines to the watchers. The nil Hub has none.
type Hub struct {
	watched  atomic.Int32
	mu       sync.Mutex
	watchers []*Watcher
}

// Watched reports whether anybody watches: without one, a line need not be made.
func (h *Hub) Watched() bool { return h != nil && h.watched.Load() > 0 }

// Tell passes l to those who want it. It never waits.
func (h *Hub) Tell(l *Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.watchers {
		if !w.filter.wants(l) {
			continue
		}
		select {
		case w.lines <- *l:
		default:
			w.leftOut.Add(1)
		}
	}
}

// Watch begins to collect lines; the Watcher must be closed.
func (h *Hub) Watch(f Filter) (*Watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= maxWatchers {
		return nil, ErrTooMany
	}
	w := &Watcher{hub: h, filter: f, lines: make(chan Line, maxWaiting)}
	h.watchers = append(h.watchers, w)
	h.watched.Add(1)
	return w, nil
}

// Watcher is one who watches.
type Watcher struct {
	hub     *Hub
	filter  Filter
	lines   chan Line
	leftOut atomic.Uint64
}

// Next waits for a line until ctx ends.
func (w *Watcher) Next(ctx context.Context) (Line, error) {
	select {
	case l := <-w.lines:
		l.LeftOut = w.leftOut.Swap(0)
		return l, nil
	case <-ctx.Done():
		return Line{}, ctx.Err()
	}
}

// Close ends it.
func (w *Watcher) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if i := slices.Index(w.hub.watchers, w); i >= 0 {
		w.hub.watchers = slices.Delete(w.hub.watchers, i, i+1)
		w.hub.watched.Add(-1)
	}
}
