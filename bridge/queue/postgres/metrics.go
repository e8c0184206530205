package postgres

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuemetrics"
)

// metrics are what this engine counts beside what every queue tells.
type metrics struct {
	common                        *queuemetrics.Metrics
	retries                       *prometheus.CounterVec
	takeovers, fenced, rolledBack prometheus.Counter
	bridges, replicated           prometheus.Collector
	registry                      prometheus.Registerer
	registered                    []prometheus.Collector
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: queuemetrics.Namespace, Name: name, Help: help})
	}
	return &metrics{
		common: queuemetrics.New(),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: queuemetrics.Namespace, Name: "database_errors_total",
			Help: "Transactions that failed and are tried again, by SQLSTATE, or connection."}, []string{"sqlstate"}),
		takeovers:  counter("takeovers_total", "Outputs taken over from a bridge that showed no sign of life."),
		fenced:     counter("fenced_total", "Outputs and roles lost to another bridge."),
		rolledBack: counter("rolled_back_total", "Times that the database had gone back in time."),
	}
}

// register adds everything to a registry.
func (m *metrics) register(r prometheus.Registerer, q *Queue) error {
	gauge := func(name, help string, value func(queue.Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: queuemetrics.Namespace, Name: name, Help: help}, func() float64 { return value(q.Status()) })
	}
	m.replicated = gauge("replicated", "1 while commits are kept by more than one server, as far as queue.replicated_by says how.",
		func(queue.Status) float64 { return queuemetrics.Bool(q.isReplicated()) })
	m.bridges = gauge("bridges", "Bridges that run on this queue.", func(s queue.Status) float64 {
		n := 0
		for _, b := range s.Bridges {
			if b.Running {
				n++
			}
		}
		return float64(n)
	})
	m.registry = r
	for _, c := range []prometheus.Collector{m.common.Collector(q.Status), m.retries, m.takeovers, m.fenced, m.rolledBack, m.replicated, m.bridges} {
		if err := r.Register(c); err != nil {
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registry.Unregister(c)
	}
}

func (m *metrics) retried(err error) { m.retries.WithLabelValues(state(err)).Inc() }

func (m *metrics) committed(took time.Duration, events int) { m.common.Committed(took, events) }

func (m *metrics) appended(r queue.Receipt, err error) { m.common.Appended(r, err) }

// isReplicated reports whether the last transaction found what queue.replicated_by demands.
func (q *Queue) isReplicated() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.o.ReplicatedBy != ByNothing && !errors.Is(q.problem, errNotReplicated)
}
