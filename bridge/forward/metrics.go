package forward

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// metrics are one worker's, all under the constant label output. The counters are those of Status.
type metrics struct {
	sent, retried, quarantined, filtered, unsent, batches, failures *prometheus.Desc
	inFlight, state, owned, blocked, level                          *prometheus.Desc
	fromCreated, fromReceived                                       prometheus.Histogram
}

func outputLabel(name string) prometheus.Labels { return prometheus.Labels{"output": name} }

func newMetrics(output string) *metrics {
	labels := outputLabel(output)
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "linuxguard_bridge", Subsystem: "output", Name: name, Help: help, ConstLabels: labels,
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 30, 120, 600, 3600, 86400}})
	}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("linuxguard_bridge", "output", name), help, variable, labels)
	}
	return &metrics{
		inFlight: desc("in_flight", "Events handed to the destination whose outcome is not known yet."),
		state:    desc("state", "State of the connection: 1 for the one it is in. standby: this bridge doesn't own the output.", "state"),
		owned:    desc("owned", "1 while this bridge owns the output."),
		blocked:  desc("blocked", "1 while nothing can be delivered until an operator fixes something."),
		level:    desc("delivery_level", "Always 1; the label says what delivered means at this output.", "level"),

		sent:         desc("delivered_total", "Events delivered, at the output's delivery level."),
		retried:      desc("retried_total", "Events sent again after a failure."),
		quarantined:  desc("quarantined_total", "Events that the destination refused for good."),
		filtered:     desc("filtered_total", "Events that the output's match does not want."),
		unsent:       desc("unsent_total", "Events not sent because the queue no longer has them: dropped for this output, lost, or unknown.", "outcome"),
		batches:      desc("batches_total", "Batches handed to the output."),
		failures:     desc("failures_total", "Failures after which delivery is tried again."),
		fromCreated:  histogram("delivery_from_created_seconds", "Time from the signal's created_at to its delivery."),
		fromReceived: histogram("delivery_from_received_seconds", "Time from the webhook's receipt to its delivery."),
	}
}

// age is what the latency of a record is measured from. It stands for the record while its answer is awaited, so that
// nothing but the output keeps the bodies.
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

// Describe implements prometheus.Collector. It says nothing of the output's own metrics: an output comes and goes with its
// tenure, and a registry finds a collector again by what it describes.
func (w *Worker) Describe(ch chan<- *prometheus.Desc) {
	m := w.metrics
	for _, d := range []*prometheus.Desc{m.inFlight, m.state, m.owned, m.blocked, m.level, m.sent, m.retried, m.quarantined, m.filtered,
		m.unsent, m.batches, m.failures} {
		ch <- d
	}
	m.fromCreated.Describe(ch)
	m.fromReceived.Describe(ch)
}

// Collect implements prometheus.Collector: the worker's metrics, and those of the present output when it has any. An
// output's counters begin at zero with each tenure.
func (w *Worker) Collect(ch chan<- prometheus.Metric) {
	s, out, own := w.snapshot()
	w.metrics.collect(ch, &s)
	state := StateStandby
	if out != nil {
		own.Collect(ch)
		dest := out.Status()
		state = dest.State
		ch <- prometheus.MustNewConstMetric(w.metrics.level, prometheus.GaugeValue, 1, dest.Level.String())
	}
	for _, one := range []outputs.State{StateStandby, outputs.StateIdle, outputs.StateConnecting, outputs.StateUp, outputs.StateDown} {
		ch <- prometheus.MustNewConstMetric(w.metrics.state, prometheus.GaugeValue, boolValue(one == state), string(one))
	}
}

func (m *metrics) collect(ch chan<- prometheus.Metric, s *Status) {
	value := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	value(m.inFlight, prometheus.GaugeValue, float64(s.InFlight))
	value(m.owned, prometheus.GaugeValue, boolValue(s.Owned))
	value(m.blocked, prometheus.GaugeValue, boolValue(s.Blocked))
	value(m.sent, prometheus.CounterValue, float64(s.Delivered))
	value(m.retried, prometheus.CounterValue, float64(s.Retried))
	value(m.quarantined, prometheus.CounterValue, float64(s.Quarantined))
	value(m.filtered, prometheus.CounterValue, float64(s.Filtered))
	value(m.unsent, prometheus.CounterValue, float64(s.Dropped), "dropped")
	value(m.unsent, prometheus.CounterValue, float64(s.Lost), "lost")
	value(m.unsent, prometheus.CounterValue, float64(s.Unknown), "unknown")
	value(m.batches, prometheus.CounterValue, float64(s.Batches))
	value(m.failures, prometheus.CounterValue, float64(s.Failures))
	m.fromCreated.Collect(ch)
	m.fromReceived.Collect(ch)
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
