package syslog

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// counters are one output's metrics.
type counters struct {
	stage                              [outputs.Stored]prometheus.Counter // records by the level they reached
	bytes, cut, unconfirmed, refusals  prometheus.Counter
	repeated                           prometheus.Counter
	icmp                               prometheus.Counter
	connected, connectFailed           prometheus.Counter
	connectionLost, connectionReplaced prometheus.Counter
}

func newCounters(registerer prometheus.Registerer) *counters {
	c := &counters{}
	register := promauto.With(registerer)
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "linuxguard_bridge", Subsystem: "syslog", Name: name, Help: help}
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return register.NewCounterVec(opts(name, help), []string{label})
	}
	counter := func(name, help string) prometheus.Counter { return register.NewCounter(opts(name, help)) }
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
