package forward

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// metrics are one worker's, all under the constant label output.
type metrics struct {
	sent, retried, quarantined, filtered, batches, failures prometheus.Counter
	fromCreated, fromReceived                               prometheus.Histogram
	inFlight, state, held, level                            *prometheus.Desc
}

func newMetrics(output string) *metrics {
	labels := prometheus.Labels{"output": output}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "linuxguard_bridge", Subsystem: "output", Name: name, Help: help, ConstLabels: labels})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "linuxguard_bridge", Subsystem: "output", Name: name, Help: help, ConstLabels: labels,
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 30, 120, 600, 3600, 86400}})
	}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("linuxguard_bridge", "output", name), help, variable, labels)
	}
	return &metrics{
		inFlight: desc("in_flight", "Events handed to the destination whose fate is not known yet."),
		state:    desc("state", "State of the connection: 1 for the one it is in.", "state"),
		held:     desc("held", "1 while the destination refuses everything until an operator mends something."),
		level:    desc("delivery_level", "Always 1; the label says what delivered means at this output.", "level"),

		sent:         counter("delivered_total", "Events delivered, at the output's delivery level."),
		retried:      counter("retried_total", "Events sent again after a failure."),
		quarantined:  counter("quarantined_total", "Events that the destination refused for good."),
		filtered:     counter("filtered_total", "Events that the output's match does not want."),
		batches:      counter("batches_total", "Batches handed to the output."),
		failures:     counter("failures_total", "Batches that failed and are tried again."),
		fromCreated:  histogram("delivery_from_created_seconds", "Time from the signal's created_at to its delivery."),
		fromReceived: histogram("delivery_from_received_seconds", "Time from the webhook's receipt to its delivery."),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.sent, m.retried, m.quarantined, m.filtered, m.batches, m.failures, m.fromCreated, m.fromReceived}
}

// age is what the latency of a record is measured from. It stands for the record while its answer is awaited, so that
// nothing but the output holds the bodies.
type age struct{ received, created time.Time }

func agesOf(batch []outputs.Record) []age {
	ages := make([]age, len(batch))
	for i := range batch {
		ages[i].received = batch[i].ReceivedAt
		ages[i].created, _ = batch[i].Signal.Created()
	}
	return ages
}

// observe notes how long the records of a delivered batch took.
func (m *metrics) observe(ages []age, now time.Time) {
	for _, a := range ages {
		m.fromReceived.Observe(now.Sub(a.received).Seconds())
		if !a.created.IsZero() {
			m.fromCreated.Observe(now.Sub(a.created).Seconds())
		}
	}
}

// Describe implements prometheus.Collector.
func (w *Worker) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range w.metrics.all() {
		c.Describe(ch)
	}
	ch <- w.metrics.inFlight
	ch <- w.metrics.state
	ch <- w.metrics.held
	ch <- w.metrics.level
}

// Collect implements prometheus.Collector.
func (w *Worker) Collect(ch chan<- prometheus.Metric) {
	for _, c := range w.metrics.all() {
		c.Collect(ch)
	}
	s := w.Status()
	ch <- prometheus.MustNewConstMetric(w.metrics.inFlight, prometheus.GaugeValue, float64(s.InFlight))
	ch <- prometheus.MustNewConstMetric(w.metrics.held, prometheus.GaugeValue, boolValue(s.Held))
	ch <- prometheus.MustNewConstMetric(w.metrics.level, prometheus.GaugeValue, 1, s.Dest.Level.String())
	for _, state := range []outputs.State{outputs.StateIdle, outputs.StateConnecting, outputs.StateUp, outputs.StateDown} {
		ch <- prometheus.MustNewConstMetric(w.metrics.state, prometheus.GaugeValue, boolValue(s.Dest.State == state), string(state))
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// count reads a counter back for the status.
func (m *metrics) count(c prometheus.Counter) uint64 {
	var pb dto.Metric
	if err := c.Write(&pb); err != nil {
		return 0
	}
	return uint64(pb.GetCounter().GetValue())
}
