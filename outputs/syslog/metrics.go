package syslog

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// counters are one output's metrics, all under the constant label output.
type counters struct {
	stage                              [outputs.Stored]prometheus.Counter // records by the level they reached
	bytes, cut, unconfirmed, refusals  prometheus.Counter
	repeated                           prometheus.Counter
	icmp                               prometheus.Counter
	connected, connectFailed           prometheus.Counter
	connectionLost, connectionReplaced prometheus.Counter
	collectors                         []prometheus.Collector
}

func newCounters(output string) *counters {
	c := &counters{}
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "linuxguard_bridge", Subsystem: "syslog", Name: name, Help: help,
			ConstLabels: prometheus.Labels{"output": output}}
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(opts(name, help), []string{label})
		c.collectors = append(c.collectors, v)
		return v
	}
	counter := func(name, help string) prometheus.Counter {
		v := prometheus.NewCounter(opts(name, help))
		c.collectors = append(c.collectors, v)
		return v
	}
	stages := vec("records_total", "Records by the stage they reached: written to the kernel, then what the transport can know.", "stage")
	for level := range outputs.Stored {
		c.stage[level] = stages.WithLabelValues(level.String())
	}
	c.bytes = counter("written_bytes_total", "Bytes of framed messages written, before TLS.")
	c.cut = counter("cut_records_total", "Records shortened to max_message_bytes.")
	c.unconfirmed = counter("unconfirmed_records_total", "Records that a lost connection left unconfirmed, to be sent again.")
	c.repeated = counter("repeated_records_total", "Records sent again although the peer's kernel had acknowledged them, since the peer stopped reading.")
	c.refusals = counter("refusals_total", "RELP answers to a record other than 200.")
	c.icmp = counter("icmp_errors_total", "Datagrams that came back as unreachable.")
	connects := vec("connects_total", "Attempts to connect.", "result")
	c.connected, c.connectFailed = connects.WithLabelValues("ok"), connects.WithLabelValues("failed")
	ends := vec("disconnects_total", "Connections that were lost, or replaced for their age.", "reason")
	c.connectionLost, c.connectionReplaced = ends.WithLabelValues("lost"), ends.WithLabelValues("replaced")
	return c
}

func (c *counters) wrote(records, bytes int) {
	c.stage[outputs.Written].Add(float64(records))
	c.bytes.Add(float64(bytes))
}

// confirmed counts records that reached more than Written.
func (c *counters) confirmed(level outputs.Level, records int) {
	if level != outputs.Written {
		c.stage[level].Add(float64(records))
	}
}

// Describe implements prometheus.Collector.
func (o *Output) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range o.counts.collectors {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (o *Output) Collect(ch chan<- prometheus.Metric) {
	for _, c := range o.counts.collectors {
		c.Collect(ch)
	}
}
