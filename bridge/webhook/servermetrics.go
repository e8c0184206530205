package webhook

import (
	"crypto/tls"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// serverMetrics are what the TLS handshakes count; what conns counts is registered with them.
type serverMetrics struct {
	handshakeErrors, fullHandshakes, resumedHandshakes prometheus.Counter
}

func newServerMetrics(r prometheus.Registerer, c *conns) *serverMetrics {
	register := promauto.With(r)
	gauge := func(name, help string, value func() float64) {
		register.NewGaugeFunc(prometheus.GaugeOpts{Name: metricPrefix + name, Help: help}, value)
	}
	counter := func(name, help string, labels prometheus.Labels, count interface{ Load() uint64 }) {
		register.NewCounterFunc(prometheus.CounterOpts{Name: metricPrefix + name, Help: help, ConstLabels: labels},
			func() float64 { return float64(count.Load()) })
	}
	gauge("connections", "Open connections.", func() float64 { return float64(c.len()) })
	gauge("connections_limit", "The most connections that may be open at once.", func() float64 { return float64(c.limit.Load()) })
	const refused = "New connections that were closed at once, by reason."
	counter("connections_refused_total", refused, prometheus.Labels{"reason": "limit"}, &c.refused)
	counter("connections_refused_total", refused, prometheus.Labels{"reason": "plaintext"}, &c.untrusted)
	counter("connections_evicted_total", "Waiting connections that were closed for new ones at the limit.", nil, &c.evicted)
	counter("connections_flooded_total", "HTTP/2 connections that were closed for what they sent beside requests.", nil, &c.flooded)
	counter("connections_without_request_total", "Connections that ended before a well-formed request: failed handshakes, malformed or slow headers, scanners.", nil, &c.noRequest)
	handshakes := register.NewCounterVec(prometheus.CounterOpts{Name: metricPrefix + "tls_handshakes_total",
		Help: "TLS handshakes that succeeded, by whether they went on with an earlier session, which costs no signature."}, []string{"resumed"})
	return &serverMetrics{
		fullHandshakes: handshakes.WithLabelValues("false"), resumedHandshakes: handshakes.WithLabelValues("true"),
		handshakeErrors: register.NewCounter(prometheus.CounterOpts{Name: metricPrefix + "tls_handshake_errors_total", Help: "TLS handshakes that failed."}),
	}
}

// countHandshake is tls.Config.VerifyConnection: it counts, and refuses nothing.
func (m *serverMetrics) countHandshake(state tls.ConnectionState) error {
	if state.DidResume {
		m.resumedHandshakes.Inc()
	} else {
		m.fullHandshakes.Inc()
	}
	return nil
}
