package webhook

import (
	"crypto/tls"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type serverMetrics struct {
	handshakeErrors, fullHandshakes, resumedHandshakes atomic.Uint64

	open, limit, refused, evicted, flooded, noRequest, handshakes, handshakeFailures *prometheus.Desc
}

func newServerMetrics() serverMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricPrefix+name, help, labels, nil)
	}
	return serverMetrics{
		open:       desc("connections", "Open connections."),
		limit:      desc("connections_limit", "The most connections that may be open at once."),
		refused:    desc("connections_refused_total", "New connections that were closed at once, by reason.", "reason"),
		evicted:    desc("connections_evicted_total", "Waiting connections that were closed for new ones at the limit."),
		flooded:    desc("connections_flooded_total", "HTTP/2 connections that were closed for what they sent beside requests."),
		noRequest:  desc("connections_without_request_total", "Connections that ended before a well-formed request: failed handshakes, malformed or slow headers, scanners."),
		handshakes: desc("tls_handshakes_total", "TLS handshakes that succeeded, by whether they went on with an earlier session, which costs no signature.", "resumed"),

		handshakeFailures: desc("tls_handshake_errors_total", "TLS handshakes that failed."),
	}
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	m := &s.metrics
	for _, desc := range []*prometheus.Desc{m.open, m.limit, m.refused, m.evicted, m.flooded, m.noRequest, m.handshakes, m.handshakeFailures} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	m := &s.metrics
	ch <- gauge(m.open, float64(s.conns.len()))
	ch <- gauge(m.limit, float64(s.conns.limit.Load()))
	ch <- counter(m.refused, s.conns.refused.Load(), "limit")
	ch <- counter(m.refused, s.conns.untrusted.Load(), "plaintext")
	ch <- counter(m.flooded, s.conns.flooded.Load())
	ch <- counter(m.evicted, s.conns.evicted.Load())
	ch <- counter(m.noRequest, s.conns.noRequest.Load())
	ch <- counter(m.handshakes, m.fullHandshakes.Load(), "false")
	ch <- counter(m.handshakes, m.resumedHandshakes.Load(), "true")
	ch <- counter(m.handshakeFailures, m.handshakeErrors.Load())
}

// countHandshake is tls.Config.VerifyConnection: it counts, and refuses nothing.
func (m *serverMetrics) countHandshake(state tls.ConnectionState) error {
	if state.DidResume {
		m.resumedHandshakes.Add(1)
	} else {
		m.fullHandshakes.Add(1)
	}
	return nil
}
