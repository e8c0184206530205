package postgres

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuemetrics"
)

// TestMetrics holds the names that only a shared queue has to testdata/metrics.txt: alerts and dashboards rely on them.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	registry := prometheus.NewRegistry()
	q := r.open("a", func(o *Options) { o.Metrics = registry })
	q.metrics.retried(errors.New("no route"))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	common := prometheus.NewRegistry()
	queuemetrics.New(common, q.Status)
	every, err := common.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range every {
		known[f.GetName()] = true
	}
	var b strings.Builder
	for _, f := range families {
		if known[f.GetName()] {
			continue
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			fmt.Fprintf(&b, "%s{%s=%q} 0\n", f.GetName(), l.GetName(), l.GetValue())
		}
		if len(f.GetMetric()[0].GetLabel()) == 0 {
			fmt.Fprintf(&b, "%s 0\n", f.GetName())
		}
	}
	const file = "testdata/metrics.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || b.String() != string(want) {
		t.Errorf("the metrics are not those of %s, %v (UPDATE=1 accepts them):\n%s", file, err, b.String())
	}
}
