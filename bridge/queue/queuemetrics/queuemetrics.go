// Package queuemetrics has the metrics that every engine of the queue tells.
package queuemetrics

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Namespace begins the name of each.
const Namespace = "linuxguard_bridge_queue"

// Metrics are what a queue counts itself.
type Metrics struct {
	appends *prometheus.CounterVec
	commits prometheus.Histogram
	batch   prometheus.Histogram
}

// statusMetric is one number of Status.
type statusMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*queue.Status) float64
}

// outputMetric is one number of every OutputStatus.
type outputMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*queue.OutputStatus) float64
}

// New registers the metrics of a queue: what it counts, and what status says whenever they are asked for. r nil: nobody
// wants them.
func New(r prometheus.Registerer, status func() queue.Status) *Metrics {
	if r != nil {
		r.MustRegister(&statusCollector{of: status, queue: statusMetrics(), outputs: outputMetrics()})
	}
	register := promauto.With(r)
	return &Metrics{
		appends: register.NewCounterVec(prometheus.CounterOpts{
			Namespace: Namespace, Name: "appends_total", Help: "Events handed to the queue, by what became of them.",
		}, []string{"outcome", "reused_id"}),
		commits: register.NewHistogram(prometheus.HistogramOpts{
			Namespace: Namespace, Name: "commit_seconds", Help: "Duration of a write with its sync.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batch: register.NewHistogram(prometheus.HistogramOpts{
			Namespace: Namespace, Name: "commit_events", Help: "Events accepted in a write.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}),
	}
}

func statusMetrics() []statusMetric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	metric := func(name, help string, kind prometheus.ValueType, value func(*queue.Status) float64) statusMetric {
		return statusMetric{prometheus.NewDesc(Namespace+"_"+name, help, nil, nil), kind, value}
	}
	return []statusMetric{
		metric("healthy", "1 when events can be made durable.", gauge, func(s *queue.Status) float64 { return Bool(s.Healthy) }),
		metric("full", "1 when the last event that needed room was refused for want of it.", gauge, func(s *queue.Status) float64 { return Bool(s.Full) }),
		metric("events", "Events that some output still needs.", gauge, func(s *queue.Status) float64 { return float64(s.Events) }),
		metric("bytes", "Bytes of the log from the oldest event that some output still needs.", gauge, func(s *queue.Status) float64 { return float64(s.Bytes) }),
		metric("max_bytes", "Allowance of those (queue.max_bytes).", gauge, func(s *queue.Status) float64 { return float64(s.MaxBytes) }),
		metric("disk_bytes", "Size of the queue's files.", gauge, func(s *queue.Status) float64 { return float64(s.DiskBytes) }),
		metric("last_sequence", "The newest sequence given (bridge_seq).", gauge, func(s *queue.Status) float64 { return float64(s.LastSeq) }),
		metric("quarantine_items", "Items in the quarantine (dead-letter queue).", gauge, func(s *queue.Status) float64 { return float64(s.DeadLetters) }),
		metric("quarantine_bytes", "Bytes in the quarantine.", gauge, func(s *queue.Status) float64 { return float64(s.QuarantineBytes) }),
		metric("quarantine_max_bytes", "Allowance of the quarantine.", gauge, func(s *queue.Status) float64 { return float64(s.QuarantineMaxBytes) }),
		metric("remembered_deliveries", "Deliveries that are remembered, to recognize duplicates.", gauge, func(s *queue.Status) float64 { return float64(s.Remembered) }),
		metric("remembered_capacity", "How many can be (dedupe.capacity).", gauge, func(s *queue.Status) float64 { return float64(s.Capacity) }),
		metric("remembered_seconds", "Age of the oldest remembered delivery.", gauge, func(s *queue.Status) float64 { return s.WindowCovered.Seconds() }),
		metric("evicted_total", "Deliveries forgotten younger than the window, for want of capacity.", counter, func(s *queue.Status) float64 { return float64(s.Evicted) }),
		metric("losses", "Losses that are not acknowledged.", gauge, func(s *queue.Status) float64 { return float64(s.Losses) }),
		metric("lost_events", "Events lost in those, as far as their number is known.", gauge, func(s *queue.Status) float64 { return float64(s.LostEvents) }),
		metric("commits_total", "Groups of records written and synced.", counter, func(s *queue.Status) float64 { return float64(s.Commits) }),
	}
}

func outputMetrics() []outputMetric {
	metric := func(name, help string, kind prometheus.ValueType, value func(*queue.OutputStatus) float64) outputMetric {
		return outputMetric{prometheus.NewDesc(Namespace+"_output_"+name, help, []string{"output"}, nil), kind, value}
	}
	return []outputMetric{
		metric("cursor", "The newest sequence that the output is done with.", prometheus.GaugeValue,
			func(o *queue.OutputStatus) float64 { return float64(o.Cursor) }),
		metric("queued_events", "Events that wait for the output.", prometheus.GaugeValue,
			func(o *queue.OutputStatus) float64 { return float64(o.Queued) }),
		metric("dropped_total", "Events dropped by when_full = drop_oldest.", prometheus.CounterValue,
			func(o *queue.OutputStatus) float64 { return float64(o.Dropped) }),
	}
}

// Bool is 1 for true.
func Bool(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Appended counts an append.
func (m *Metrics) Appended(r queue.Receipt, err error) {
	m.appends.WithLabelValues(verdictLabel(r, err), strconv.FormatBool(r.Reused)).Inc()
}

func verdictLabel(r queue.Receipt, err error) string {
	switch {
	case errors.Is(err, queue.ErrFull):
		return "full"
	case err != nil:
		return "unavailable"
	default:
		return r.Verdict.String()
	}
}

// Committed counts a commit.
func (m *Metrics) Committed(took time.Duration, events int) {
	m.commits.Observe(took.Seconds())
	m.batch.Observe(float64(events))
}

// statusCollector asks for the Status once a scrape, so that its numbers belong together.
type statusCollector struct {
	of      func() queue.Status
	queue   []statusMetric
	outputs []outputMetric
}

// Describe implements prometheus.Collector.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.queue {
		ch <- m.desc
	}
	for _, m := range c.outputs {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.of()
	for _, m := range c.queue {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s))
	}
	for _, m := range c.outputs {
		for i := range s.Outputs {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s.Outputs[i]), s.Outputs[i].Name)
		}
	}
}
