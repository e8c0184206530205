package queue

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "linuxguard_bridge_queue"

// metrics are what the queue counts itself; gauges come from Status when they are asked for.
type metrics struct {
	appends *prometheus.CounterVec
	commits prometheus.Histogram
	batch   prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		appends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "appends_total", Help: "Events handed to the queue, by what became of them.",
		}, []string{"outcome"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_seconds", Help: "Duration of a commit, both syncs included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_events", Help: "Events accepted in a commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
	}
}

func (m *metrics) appended(r Receipt, err error) {
	m.appends.WithLabelValues(outcomeLabel(r, err)).Inc()
}

func outcomeLabel(r Receipt, err error) string {
	switch {
	case err == nil && r.Reused:
		return "accepted_reused_id"
	case err == nil:
		return r.Outcome.String()
	case errors.Is(err, ErrFull):
		return "full"
	default:
		return "unavailable"
	}
}

func (m *metrics) committed(took time.Duration, events int) {
	m.commits.Observe(took.Seconds())
	m.batch.Observe(float64(events))
}

// Describe implements prometheus.Collector.
func (q *embedded) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(q, ch) }

// Collect implements prometheus.Collector.
func (q *embedded) Collect(ch chan<- prometheus.Metric) {
	q.metrics.appends.Collect(ch)
	ch <- q.metrics.commits
	ch <- q.metrics.batch
	s := q.Status()
	for _, m := range gauges(&s) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(namespace+"_"+m.name, m.help, nil, nil), m.kind, m.value)
	}
	for _, o := range s.Outputs {
		collectOutput(ch, o)
	}
}

func collectOutput(ch chan<- prometheus.Metric, o OutputStatus) {
	emit := func(name, help string, kind prometheus.ValueType, value float64) {
		desc := prometheus.NewDesc(namespace+"_output_"+name, help, []string{"output"}, nil)
		ch <- prometheus.MustNewConstMetric(desc, kind, value, o.Name)
	}
	emit("cursor", "The newest sequence that the output is done with.", prometheus.GaugeValue, float64(o.Cursor))
	emit("queued_events", "Events that wait for the output.", prometheus.GaugeValue, float64(o.Queued))
	emit("dropped_total", "Events dropped by when_full = drop_oldest.", prometheus.CounterValue, float64(o.Dropped))
}

// number is one metric without labels.
type number struct {
	name, help string
	kind       prometheus.ValueType
	value      float64
}

func gauges(s *Status) []number {
	healthy := 0.0
	if s.Healthy {
		healthy = 1
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []number{
		{"healthy", "1 when appends can be made durable.", gauge, healthy},
		{"events", "Live events.", gauge, float64(s.Events)},
		{"bytes", "Bytes of the live events.", gauge, float64(s.Bytes)},
		{"max_bytes", "Allowance of the live events.", gauge, float64(s.MaxBytes)},
		{"file_bytes", "Size of the database file.", gauge, float64(s.FileBytes)},
		{"last_sequence", "The newest sequence given (bridge_seq).", gauge, float64(s.LastSeq)},
		{"quarantine_items", "Items in the quarantine.", gauge, float64(s.Quarantine)},
		{"quarantine_bytes", "Bytes in the quarantine.", gauge, float64(s.QuarantineBytes)},
		{"quarantine_max_bytes", "Allowance of the quarantine.", gauge, float64(s.QuarantineMaxBytes)},
		{"remembered_deliveries", "Deliveries in the dedupe memory.", gauge, float64(s.Remembered)},
		{"remembered_capacity", "Capacity of the dedupe memory.", gauge, float64(s.Capacity)},
		{"remembered_seconds", "Age of the oldest remembered delivery.", gauge, s.WindowCovered.Seconds()},
		{"evicted_total", "Deliveries forced out of the memory younger than the window.", counter, float64(s.Evicted)},
		{"damaged_total", "Stored values that failed their checksum.", counter, float64(s.Damaged)},
		{"commits_total", "Transactions made durable.", counter, float64(s.Commits)},
	}
}
