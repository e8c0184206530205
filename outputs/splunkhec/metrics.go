package splunkhec

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what one output counts.
type metrics struct {
	requests    *prometheus.CounterVec // by collector, HTTP status and HEC code
	seconds     prometheus.Histogram
	events      prometheus.Counter
	rejected    prometheus.Counter
	plainBytes  prometheus.Counter
	sentBytes   prometheus.Counter
	pending     prometheus.Gauge
	polls       prometheus.Counter
	ackSeconds  prometheus.Histogram
	unconfirmed prometheus.Counter
}

const metricPrefix = "linuxguard_bridge_splunk_hec_"

func newMetrics(registerer prometheus.Registerer, up func() int) *metrics {
	register := promauto.With(registerer)
	counter := func(name, help string) prometheus.Counter {
		return register.NewCounter(prometheus.CounterOpts{Name: metricPrefix + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return register.NewHistogram(prometheus.HistogramOpts{Name: metricPrefix + name, Help: help, Buckets: buckets})
	}
	register.NewGaugeFunc(prometheus.GaugeOpts{Name: metricPrefix + "collectors_up",
		Help: "Collectors that work as far as is known."}, func() float64 { return float64(up()) })
	return &metrics{
		requests: register.NewCounterVec(prometheus.CounterOpts{Name: metricPrefix + "requests_total",
			Help: "Requests with events, by HTTP status (error: none) and HEC code (none: the answer had none)."},
			[]string{"collector", "status", "code"}),
		seconds: histogram("request_duration_seconds", "Time from a request's first byte to its answer's last, short retries included.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}),
		events:      counter("events_total", "Events that a collector has accepted."),
		rejected:    counter("rejected_total", "Events that a collector has refused for good."),
		plainBytes:  counter("encoded_bytes_total", "Bytes of requests before compression."),
		sentBytes:   counter("compressed_bytes_total", "Bytes of requests after compression."),
		polls:       counter("ack_polls_total", "Requests for acknowledgements."),
		unconfirmed: counter("ack_timeouts_total", "Requests that were not acknowledged in time and are sent again."),
		ackSeconds: histogram("ack_duration_seconds", "Time from a request's answer to its acknowledgement.",
			[]float64{.25, .5, 1, 2.5, 5, 10, 30, 60, 120, 180, 300}),
		pending: register.NewGauge(prometheus.GaugeOpts{Name: metricPrefix + "pending_acks",
			Help: "Requests that wait for their acknowledgement."}),
	}
}

// maxKnownCode bounds the labels' values: a code comes from outside.
const maxKnownCode = 99

func (m *metrics) request(e *collector, a *answer, err error, took time.Duration) {
	status, code := "error", "none"
	if err == nil {
		status = strconv.Itoa(a.status)
	}
	switch {
	case a.code > maxKnownCode:
		code = "other"
	case err == nil && a.code != noCode:
		code = strconv.Itoa(a.code)
	}
	m.requests.WithLabelValues(e.base, status, code).Inc()
	m.seconds.Observe(took.Seconds())
}
