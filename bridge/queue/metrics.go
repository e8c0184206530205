package queue

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "linuxguard_bridge_queue"

// metrics are what the queue counts itself, and the descriptions of what Status says when it is asked.
type metrics struct {
	appends *prometheus.CounterVec
	commits prometheus.Histogram
	syncs   prometheus.Histogram
	batch   prometheus.Histogram
	status  []statusMetric
	outputs []outputMetric
}

// statusMetric is one number of Status.
type statusMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Status) float64
}

// outputMetric is one number of every OutputStatus.
type outputMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*OutputStatus) float64
}

func newMetrics(q *embedded) *metrics {
	return &metrics{
		appends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "appends_total", Help: "Events handed to the queue, by what became of them.",
		}, []string{"outcome"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_seconds", Help: "Duration of a commit, both syncs included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "fsync_seconds", Help: "The part of a commit in which its pages are written and synced.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_events", Help: "Events accepted in a commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}),
		status:  statusMetrics(q),
		outputs: outputMetrics(),
	}
}

func statusMetrics(q *embedded) []statusMetric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	metric := func(name, help string, kind prometheus.ValueType, value func(*Status) float64) statusMetric {
		return statusMetric{prometheus.NewDesc(namespace+"_"+name, help, nil, nil), kind, value}
	}
	return []statusMetric{
		metric("healthy", "1 when appends can be made durable.", gauge, func(s *Status) float64 { return one(s.Healthy) }),
		metric("events", "Live events.", gauge, func(s *Status) float64 { return float64(s.Events) }),
		metric("bytes", "Bytes of the live events.", gauge, func(s *Status) float64 { return float64(s.Bytes) }),
		metric("max_bytes", "Allowance of the live events.", gauge, func(s *Status) float64 { return float64(s.MaxBytes) }),
		metric("file_bytes", "Size of the database file.", gauge, func(s *Status) float64 { return float64(s.FileBytes) }),
		metric("last_sequence", "The newest sequence given (bridge_seq).", gauge, func(s *Status) float64 { return float64(s.LastSeq) }),
		metric("quarantine_items", "Items in the quarantine.", gauge, func(s *Status) float64 { return float64(s.Quarantine) }),
		metric("quarantine_bytes", "Bytes in the quarantine.", gauge, func(s *Status) float64 { return float64(s.QuarantineBytes) }),
		metric("quarantine_max_bytes", "Allowance of the quarantine.", gauge, func(s *Status) float64 { return float64(s.QuarantineMaxBytes) }),
		metric("remembered_deliveries", "Deliveries in the dedupe memory.", gauge, func(s *Status) float64 { return float64(s.Remembered) }),
		metric("remembered_capacity", "Capacity of the dedupe memory.", gauge, func(s *Status) float64 { return float64(s.Capacity) }),
		metric("remembered_seconds", "Age of the oldest remembered delivery.", gauge, func(s *Status) float64 { return s.WindowCovered.Seconds() }),
		metric("evicted_total", "Deliveries forced out of the memory younger than the window.", counter, func(s *Status) float64 { return float64(s.Evicted) }),
		metric("damaged_total", "Stored values that failed their checksum.", counter, func(s *Status) float64 { return float64(s.Damaged) }),
		metric("commits_total", "Transactions made durable.", counter, func(s *Status) float64 { return float64(s.Commits) }),
		metric("salvages_total", "Damaged databases that were set aside and salvaged.", counter, func(*Status) float64 { return float64(q.salvages.Load()) }),
		metric("compactions_total", "Times that the database file was shrunk.", counter, func(*Status) float64 { return float64(q.compactions.Load()) }),
	}
}

func outputMetrics() []outputMetric {
	metric := func(name, help string, kind prometheus.ValueType, value func(*OutputStatus) float64) outputMetric {
		return outputMetric{prometheus.NewDesc(namespace+"_output_"+name, help, []string{"output"}, nil), kind, value}
	}
	return []outputMetric{
		metric("cursor", "The newest sequence that the output is done with.", prometheus.GaugeValue,
			func(o *OutputStatus) float64 { return float64(o.Cursor) }),
		metric("queued_events", "Events that wait for the output.", prometheus.GaugeValue,
			func(o *OutputStatus) float64 { return float64(o.Queued) }),
		metric("oldest_timestamp_seconds", "When the oldest event that waits for the output was received, Unix time; 0 when none waits.",
			prometheus.GaugeValue, func(o *OutputStatus) float64 {
				if o.Oldest.IsZero() {
					return 0
				}
				return float64(o.Oldest.UnixMilli()) / 1000
			}),
		metric("dropped_total", "Events dropped by when_full = drop_oldest.", prometheus.CounterValue,
			func(o *OutputStatus) float64 { return float64(o.Dropped) }),
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func (m *metrics) appended(r Receipt, err error) {
	m.appends.WithLabelValues(outcomeLabel(r, err)).Inc()
}

func outcomeLabel(r Receipt, err error) string {
	switch {
	case errors.Is(err, ErrFull):
		return "full"
	case err != nil:
		return "unavailable"
	case r.Reused:
		return "accepted_reused_id"
	default:
		return r.Outcome.String()
	}
}

func (m *metrics) committed(took, synced time.Duration, events int) {
	m.syncs.Observe(synced.Seconds())
	m.commits.Observe(took.Seconds())
	m.batch.Observe(float64(events))
}

// Describe implements prometheus.Collector.
func (q *embedded) Describe(ch chan<- *prometheus.Desc) {
	q.metrics.appends.Describe(ch)
	q.metrics.commits.Describe(ch)
	q.metrics.syncs.Describe(ch)
	q.metrics.batch.Describe(ch)
	for _, m := range q.metrics.status {
		ch <- m.desc
	}
	for _, m := range q.metrics.outputs {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (q *embedded) Collect(ch chan<- prometheus.Metric) {
	q.metrics.appends.Collect(ch)
	ch <- q.metrics.commits
	ch <- q.metrics.syncs
	ch <- q.metrics.batch
	s := q.Status()
	for _, m := range q.metrics.status {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s))
	}
	for _, m := range q.metrics.outputs {
		for i := range s.Outputs {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s.Outputs[i]), s.Outputs[i].Name)
		}
	}
}
