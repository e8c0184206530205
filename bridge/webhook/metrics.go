package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
)

const metricPrefix = "linuxguard_bridge_webhook_"

// noEndpoint is the endpoint label of requests whose path is no endpoint's.
const noEndpoint = "(none)"

type handlerMetrics struct {
	requests, matches, quarantined, reused *prometheus.Desc
	lastVerified, lastAccepted, clock      *prometheus.Desc
	cached                                 *prometheus.Desc
}

func newHandlerMetrics() handlerMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricPrefix+name, help, labels, nil)
	}
	return handlerMetrics{
		requests:     desc("requests_total", "Requests by endpoint and what became of them.", "endpoint", "outcome"),
		matches:      desc("signature_matches_total", "Deliveries verified by each secret: a rotation is finished when the old one rests.", "endpoint", "secret"),
		quarantined:  desc("quarantined_total", "Signed deliveries that were kept in the quarantine, by reason.", "endpoint", "reason"),
		reused:       desc("reused_delivery_ids_total", "Deliveries accepted under a delivery ID that was known with another signal.", "endpoint"),
		lastVerified: desc("last_verified_timestamp_seconds", "Time of the last delivery whose signature was right.", "endpoint"),
		lastAccepted: desc("last_accepted_timestamp_seconds", "Time of the last new and fresh delivery.", "endpoint"),
		cached:       desc("cached_duplicates_total", "Duplicates that were answered from memory, without the queue."),
		clock:        desc("clock_suspect", "1 while so many deliveries in a row are stale or from the future that a clock must be wrong.", "endpoint"),
	}
}

func (m *handlerMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{m.requests, m.matches, m.quarantined, m.reused, m.lastVerified, m.lastAccepted, m.clock, m.cached}
}

// Describe implements prometheus.Collector.
func (h *Handler) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range h.metrics.all() {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (h *Handler) Collect(ch chan<- prometheus.Metric) {
	h.unmatched.collectRequests(ch, h.metrics.requests, noEndpoint)
	ch <- counter(h.metrics.cached, h.answered.hits.Load())
	for _, ep := range h.state.Load().endpoints {
		ep.collect(ch, &h.metrics)
	}
}

func (t *counters) collectRequests(ch chan<- prometheus.Metric, desc *prometheus.Desc, endpoint string) {
	for v := range verdicts {
		if endpoint == noEndpoint && v != notFound {
			continue
		}
		ch <- counter(desc, t.verdicts[v].Load(), endpoint, v.String())
	}
}

func (ep *endpoint) collect(ch chan<- prometheus.Metric, m *handlerMetrics) {
	t := ep.counters
	t.collectRequests(ch, m.requests, ep.name)
	seen := map[string]bool{}
	for _, k := range ep.keys {
		if !seen[k.name] {
			ch <- counter(m.matches, k.matches.Load(), ep.name, k.name)
		}
		seen[k.name] = true
	}
	holds := t.quarantined.snapshot()
	for _, reason := range sortedKeys(holds) {
		ch <- counter(m.quarantined, holds[reason], ep.name, reason)
	}
	ch <- counter(m.reused, t.reused.Load(), ep.name)
	ch <- gauge(m.lastVerified, float64(t.lastVerified.Load())/1e9, ep.name)
	ch <- gauge(m.lastAccepted, float64(t.lastAccepted.Load())/1e9, ep.name)
	suspect := 0.0
	if t.clock.suspect() {
		suspect = 1
	}
	ch <- gauge(m.clock, suspect, ep.name)
}

func counter(desc *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
