package postgres

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuemetrics"
)

// metrics are what this engine counts beside what every queue tells.
type metrics struct {
	common                        *queuemetrics.Metrics
	retries                       *prometheus.CounterVec
	takeovers, fenced, rolledBack prometheus.Counter
}

func newMetrics(r prometheus.Registerer, q *Queue) *metrics {
	register := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return register.NewCounter(prometheus.CounterOpts{Namespace: queuemetrics.Namespace, Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) {
		register.NewGaugeFunc(prometheus.GaugeOpts{Namespace: queuemetrics.Namespace, Name: name, Help: help}, value)
	}
	gauge("replicated", "1 while commits are kept by more than one server, as far as queue.replicated_by says how.",
		func() float64 { return queuemetrics.Bool(q.isReplicated()) })
	gauge("bridges", "Bridges that run on this queue.", func() float64 { return float64(q.bridgesRunning()) })
	return &metrics{
		common: queuemetrics.New(r, q.Status),
		retries: register.NewCounterVec(prometheus.CounterOpts{Namespace: queuemetrics.Namespace, Name: "database_errors_total",
			Help: "Transactions that failed and are tried again, by SQLSTATE, or connection."}, []string{"sqlstate"}),
		takeovers:  counter("takeovers_total", "Outputs taken over from a bridge that showed no sign of life."),
		fenced:     counter("fenced_total", "Outputs and roles lost to another bridge."),
		rolledBack: counter("rolled_back_total", "Times that the database had gone back in time."),
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

func (q *Queue) bridgesRunning() (n int) {
	for _, b := range q.Status().Bridges {
		if b.Running {
			n++
		}
	}
	return n
}
