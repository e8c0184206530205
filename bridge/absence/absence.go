// Package absence raises the alarm when an endpoint that should be heard from isn't: a webhook that was switched off
// at the sender, a broken proxy or a rotated secret all look like a quiet day otherwise.
//
// An endpoint with expect_every is overdue when nothing verified came for so long, or since the bridge started or
// learnt of the endpoint if that was later. That is a metric, one log line at its beginning and one at its end, and
// for endpoints that ask for it a synthetic event to the outputs, tried again until the queue has taken it.
package absence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

// interval is how often the endpoints are looked at, and so how late an alarm can be.
const interval = time.Second

// Endpoint is one endpoint to watch. ExpectEvery 0 watches nothing.
type Endpoint struct {
	Name        string
	ExpectEvery time.Duration
	Event       bool // emit a synthetic event as well
}

// Alarm is one absence.
type Alarm struct {
	Endpoint    string
	ExpectEvery time.Duration
	LastHeard   time.Time // zero: nothing since the bridge started
	At          time.Time // when it began: expect_every after the last delivery, so that every bridge names the same alarm
}

// Options is what New needs; Emit may be nil when no endpoint asks for an event.
type Options struct {
	Now func() time.Time
	Log *slog.Logger
	// LastHeard returns when the endpoint last verified a request, zero for never.
	LastHeard func(endpoint string) time.Time
	// Active reports whether it is this process that raises alarms, of those that share a queue. Nil: it is.
	Active func() bool
	// Emit makes the alarm an event for the outputs, durably. An error has it called again at the next look.
	Emit func(context.Context, Alarm) error
}

// Monitor watches the endpoints. It implements prometheus.Collector.
type Monitor struct {
	opts   Options
	active *prometheus.Desc
	alarms *prometheus.CounterVec

	mu      sync.Mutex
	watched map[string]*watch
}

type watch struct {
	Endpoint
	since   time.Time // when watching began
	alarm   Alarm
	overdue bool
	unsent  bool // the alarm's event is still to be emitted
	log     *logging.Dedup
}

// New returns a Monitor that watches nothing yet.
func New(opts Options) *Monitor {
	return &Monitor{
		opts:    opts,
		watched: map[string]*watch{},
		active:  prometheus.NewDesc("linuxguard_bridge_endpoint_overdue", "1 while nothing verified came for expect_every, else 0.", []string{"endpoint"}, nil),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "linuxguard_bridge_absence_alarms_total", Help: "Times that an endpoint was not heard from for longer than expect_every.",
		}, []string{"endpoint"}),
	}
}

// Set replaces the endpoints, at start and after each reload. One that stays keeps its state.
func (m *Monitor) Set(endpoints []Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[string]*watch{}
	for _, e := range endpoints {
		if e.ExpectEvery <= 0 {
			continue
		}
		w := m.watched[e.Name]
		if w == nil {
			w = &watch{since: m.opts.Now(), log: logging.NewDedup(m.opts.Log.With("endpoint", e.Name), m.opts.Now)}
			m.alarms.WithLabelValues(e.Name)
		}
		w.Endpoint = e
		next[e.Name] = w
	}
	for name := range m.watched {
		if next[name] == nil {
			m.alarms.DeleteLabelValues(name)
		}
	}
	m.watched = next
}

// Run looks at the endpoints until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, a := range m.look() {
			m.emit(ctx, a)
		}
	}
}

// Overdue reports whether nothing verified has come to the endpoint for expect_every.
func (m *Monitor) Overdue(endpoint string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watched[endpoint]
	return w != nil && w.overdue
}

// look judges every endpoint and returns the alarms whose event is to be emitted.
func (m *Monitor) look() []Alarm {
	now := m.opts.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Active != nil && !m.opts.Active() {
		for _, w := range m.watched { // whoever raises alarms now has them
			w.overdue, w.unsent = false, false
		}
		return nil
	}
	var due []Alarm
	for _, w := range m.watched {
		heard := m.opts.LastHeard(w.Name)
		from := heard
		if from.Before(w.since) {
			from = w.since
		}
		switch overdue := now.Sub(from) >= w.ExpectEvery; {
		case overdue && !w.overdue:
			// An absence that goes on over a restart, or that another bridge takes over, is the same one: it is named after what was last heard.
			if !heard.IsZero() {
				from = heard
			}
			m.raise(w, heard, from.Add(w.ExpectEvery))
		case !overdue && w.overdue:
			w.overdue, w.unsent = false, false
			m.opts.Log.Info("the endpoint receives deliveries again", slog.String("event", "endpoint_heard"), slog.String("endpoint", w.Name))
		}
		if w.unsent {
			due = append(due, w.alarm)
		}
	}
	return due
}

func (m *Monitor) raise(w *watch, heard, now time.Time) {
	w.overdue, w.unsent = true, w.Event && m.opts.Emit != nil
	w.alarm = Alarm{Endpoint: w.Name, ExpectEvery: w.ExpectEvery, LastHeard: heard, At: now}
	m.alarms.WithLabelValues(w.Name).Inc()
	m.opts.Log.Warn("nothing new and verified came for longer than expect_every", slog.String("event", "endpoint_overdue"),
		slog.String("endpoint", w.Name), slog.Duration("expect_every", w.ExpectEvery), slog.String("last_verified", heardText(heard)))
}

func heardText(t time.Time) string {
	if t.IsZero() {
		return "never since the start"
	}
	return t.UTC().Format(time.RFC3339)
}

// emit is called without the lock, because it waits for the disk.
func (m *Monitor) emit(ctx context.Context, a Alarm) {
	err := m.opts.Emit(ctx, a)
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watched[a.Endpoint]
	if w == nil || w.alarm != a {
		return
	}
	if err == nil {
		w.unsent = false
		w.log.Recovered(ctx, "the event about an overdue endpoint is queued")
		return
	}
	w.log.Failed(ctx, slog.LevelWarn, "the event about an overdue endpoint was not queued; it is tried again", err)
}

// Describe implements prometheus.Collector.
func (m *Monitor) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.active
	m.alarms.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Monitor) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, w := range m.watched {
		v := 0.0
		if w.overdue {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(m.active, prometheus.GaugeValue, v, name)
	}
	m.alarms.Collect(ch)
}

// SignalType is the signal_type of the event that Body makes.
const SignalType = "bridge_endpoint_overdue"

// Body is the alarm in the form of a LinuxGuard webhook body, version v1, so that every output can map it. host is the
// name of this host. The signal ID is the same however often the same alarm is tried.
func (a Alarm) Body(host string) ([]byte, error) {
	type data struct {
		SignalID    string `json:"signal_id"`
		SignalType  string `json:"signal_type"`
		Severity    int    `json:"severity"`
		Description string `json:"description"`
		ServerName  string `json:"server_name"`
		CreatedAt   string `json:"created_at"`
	}
	at := a.At.UTC().Format(time.RFC3339)
	return json.Marshal(struct {
		EventType string `json:"event_type"`
		Version   string `json:"version"`
		Timestamp string `json:"timestamp"`
		Data      data   `json:"data"`
	}{"signal_created", "v1", at, data{
		SignalID:   fmt.Sprintf("bridge-absence-%s-%d", strings.ToLower(a.Endpoint), a.At.Unix()),
		SignalType: SignalType,
		Severity:   4,
		Description: fmt.Sprintf("No new verified webhook at endpoint %s for %s (last: %s)",
			a.Endpoint, a.ExpectEvery, heardText(a.LastHeard)),
		ServerName: host,
		CreatedAt:  at,
	}})
}
