// Package tail hands what happens at this moment to whoever watches ("linuxguard-bridge tail"). It holds nobody up: what a watcher does not take in
// time is left out and counted, and while nobody watches a line costs one look at a number.
package tail

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	Events   int    `json:"events,omitempty"` // of a batch that failed: how many of it the watcher wants, of which this is the first
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
	maxText     = 512  // bytes of one text
)

// ErrTooMany says that no more watchers are taken.
var ErrTooMany = errors.New("four tails run already: end one of them first")

// Hub passes lines to the watchers. The nil Hub has none.
type Hub struct {
	watched  atomic.Int32
	mu       sync.Mutex // guards watchers and what waits for each
	watchers []*Watcher
}

// Watched reports whether anybody watches: without one, a line need not be made.
func (h *Hub) Watched() bool { return h != nil && h.watched.Load() > 0 }

// Tell passes l to those who want it. It never waits.
func (h *Hub) Tell(l *Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.watchers {
		if w.filter.wants(l) {
			w.add(*l)
		}
	}
}

// TellBatch passes the lines of a batch that has failed as one: the first that a watcher wants, with how many it wants.
func (h *Hub) TellBatch(lines []Line) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.watchers {
		var first Line
		events := 0
		for i := range lines {
			if !w.filter.wants(&lines[i]) {
				continue
			}
			if events++; events == 1 {
				first = lines[i]
			}
		}
		if first.Events = events; events > 0 {
			w.add(first)
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
	w := &Watcher{hub: h, filter: f, ready: make(chan struct{}, 1)}
	h.watchers = append(h.watchers, w)
	h.watched.Add(1)
	return w, nil
}

// Watcher is one who watches.
type Watcher struct {
	hub    *Hub
	filter Filter
	ready  chan struct{} // one token: a line waits

	waiting []Line // the newest maxWaiting; guarded by the hub's mutex, as is leftOut
	leftOut uint64 // lines before those
}

// add has l wait, in the place of the oldest line when there is no room.
func (w *Watcher) add(l Line) {
	l.own()
	if len(w.waiting) == maxWaiting {
		w.waiting = w.waiting[1:]
		w.leftOut++
	}
	w.waiting = append(w.waiting, l)
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// own copies the texts of l, and cuts long ones: a signal's share memory with its whole body, which must not wait with the line.
func (l *Line) own() {
	for _, text := range []*string{&l.Error, &l.Client, &l.DeliveryID, &l.SignalID, &l.SignalType, &l.ServerName} {
		if len(*text) > maxText {
			*text = strings.ToValidUTF8((*text)[:maxText], "") + "..."
		} else {
			*text = strings.Clone(*text)
		}
	}
}

// Next returns the next line. It waits for one until ctx ends.
func (w *Watcher) Next(ctx context.Context) (Line, error) {
	for {
		if l, ok := w.take(); ok {
			return l, nil
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return Line{}, ctx.Err()
		}
	}
}

func (w *Watcher) take() (l Line, ok bool) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if len(w.waiting) == 0 {
		return l, false
	}
	l, w.waiting = w.waiting[0], w.waiting[1:]
	l.LeftOut, w.leftOut = w.leftOut, 0
	return l, true
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
