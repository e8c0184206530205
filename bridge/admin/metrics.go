package admin

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Collector shows the parts of Source's report that no other part counts: build, configuration, readiness and
// certificates. Register it once.
type Collector struct {
	source Source
	queue  queue.Reporter

	build, start, ready, config, loaded, reloadOK, reloadAt, expiry *prometheus.Desc
}

// NewCollector returns a Collector over source and its queue.
func NewCollector(source Source, queue queue.Reporter) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("linuxguard_bridge_"+name, help, labels, nil)
	}
	return &Collector{
		source:   source,
		queue:    queue,
		build:    desc("build_info", "Always 1; the labels say which build runs.", "version", "goversion"),
		start:    desc("start_timestamp_seconds", "When the process became this bridge, in seconds since 1970."),
		ready:    desc("ready", "1 when /readyz answers 200, else 0."),
		config:   desc("config_info", "Always 1; the label is the SHA-256 of the configuration file in force.", "hash"),
		loaded:   desc("config_loaded_timestamp_seconds", "When the configuration in force was loaded, in seconds since 1970."),
		reloadOK: desc("config_last_reload_successful", "1 when the last reload succeeded or there was none, else 0."),
		reloadAt: desc("config_last_reload_timestamp_seconds", "When the last reload was tried, in seconds since 1970; 0 for never."),
		expiry:   desc("certificate_expiry_timestamp_seconds", "When the certificate ends, in seconds since 1970.", "certificate"),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.build, c.start, c.ready, c.config, c.loaded, c.reloadOK, c.reloadAt, c.expiry} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	r := c.source.Report()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.build, 1, r.Version, runtime.Version())
	gauge(c.start, seconds(r.StartedAt))
	gauge(c.ready, oneIf(Judge(r, c.queue.Status()).Ready))
	gauge(c.config, 1, r.Config.Hash)
	gauge(c.loaded, seconds(r.Config.LoadedAt))
	gauge(c.reloadOK, oneIf(r.Config.LastReloadError == ""))
	gauge(c.reloadAt, seconds(r.Config.LastReload))
	named := map[string]bool{}
	for _, cert := range r.Certificates {
		if !named[cert.Name] { // a second one with the name would fail the whole scrape
			named[cert.Name] = true
			gauge(c.expiry, seconds(cert.NotAfter), cert.Name)
		}
	}
}

// lagCollector shows how old the oldest event is that waits for an output: the one figure that says whether an output
// keeps up. Server serves it beside the registry that it is handed.
type lagCollector struct {
	queue queue.Reporter
	now   func() time.Time
	age   *prometheus.Desc
}

func newLagCollector(q queue.Reporter, now func() time.Time) *lagCollector {
	return &lagCollector{queue: q, now: now, age: prometheus.NewDesc("linuxguard_bridge_output_oldest_age_seconds",
		"Age of the oldest event that waits for the output; 0 when none waits.", []string{"output"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *lagCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.age }

// Collect implements prometheus.Collector.
func (c *lagCollector) Collect(ch chan<- prometheus.Metric) {
	for _, o := range c.queue.Status().Outputs {
		age := 0.0
		if o.Queued > 0 && !o.Oldest.IsZero() {
			age = max(0, c.now().Sub(o.Oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age, o.Name)
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
