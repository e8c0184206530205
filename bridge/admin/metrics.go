package admin

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Collector shows the parts of Source's report that no other part counts: build, configuration, readiness,
// certificates, and how old the oldest event is that waits for an output, which says whether an output keeps up.
// Register it once.
type Collector struct {
	source Source
	queue  queue.Reporter
	now    func() time.Time

	build, start, ready, config, loaded, reloadOK, reloadAt, expiry, lag *prometheus.Desc
}

// NewCollector returns a Collector over source and its queue.
func NewCollector(source Source, queue queue.Reporter, now func() time.Time) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("linuxguard_bridge_"+name, help, labels, nil)
	}
	return &Collector{
		source:   source,
		queue:    queue,
		now:      now,
		build:    desc("build_info", "Always 1; the labels say which build runs.", "version", "goversion"),
		start:    desc("start_timestamp_seconds", "When the process became this bridge, in seconds since 1970."),
		ready:    desc("ready", "1 when /readyz answers 200, else 0."),
		config:   desc("config_info", "Always 1; the label is the SHA-256 of the configuration file in force.", "hash"),
		loaded:   desc("config_loaded_timestamp_seconds", "When the configuration in force was loaded, in seconds since 1970."),
		reloadOK: desc("config_last_reload_successful", "1 when the last reload succeeded or there was none, else 0."),
		reloadAt: desc("config_last_reload_timestamp_seconds", "When the last reload was tried, in seconds since 1970; 0 for never."),
		expiry:   desc("certificate_expiry_timestamp_seconds", "When the certificate ends, in seconds since 1970.", "certificate"),
		lag:      desc("output_oldest_age_seconds", "Age of the oldest event that waits for the output; 0 when none waits.", "output"),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.build, c.start, c.ready, c.config, c.loaded, c.reloadOK, c.reloadAt, c.expiry, c.lag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	r := c.source.Report()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	q := c.queue.Status()
	gauge(c.build, 1, r.Version, runtime.Version())
	gauge(c.start, seconds(r.StartedAt))
	gauge(c.ready, oneIf(Judge(r, q).Ready))
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
	for _, o := range q.Outputs {
		age := 0.0
		if o.Queued > 0 && !o.Oldest.IsZero() {
			age = max(0, c.now().Sub(o.Oldest).Seconds())
		}
		gauge(c.lag, age, o.Name)
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
