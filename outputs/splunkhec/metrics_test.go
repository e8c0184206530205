package splunkhec

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// TestMetrics: an output registers beside another of its kind, and counts what it does.
func TestMetrics(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:8088", &hectest.Splunk{Token: testToken, Refuse: refuse(12, 2)})
		registry := prometheus.NewPedanticRegistry()
		out, _ := w.output("", "http://splunk:8088")
		out.metrics = newMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"output": "trial"}, registry), out.pool.up)
		newMetrics(prometheus.WrapRegistererWith(prometheus.Labels{"output": "other"}, registry), out.pool.up)
		_ = send(t, out, outputtest.Records(t, 1, 5))
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP linuxguard_bridge_splunk_hec_requests_total Requests with events, by HTTP status (error: none) and HEC code (none: the answer had none).
# TYPE linuxguard_bridge_splunk_hec_requests_total counter
linuxguard_bridge_splunk_hec_requests_total{code="0",collector="http://splunk:8088",output="trial",status="200"} 2
linuxguard_bridge_splunk_hec_requests_total{code="12",collector="http://splunk:8088",output="trial",status="400"} 1
# HELP linuxguard_bridge_splunk_hec_events_total Events that a collector has accepted.
# TYPE linuxguard_bridge_splunk_hec_events_total counter
linuxguard_bridge_splunk_hec_events_total{output="other"} 0
linuxguard_bridge_splunk_hec_events_total{output="trial"} 4
# HELP linuxguard_bridge_splunk_hec_rejected_total Events that a collector has refused for good.
# TYPE linuxguard_bridge_splunk_hec_rejected_total counter
linuxguard_bridge_splunk_hec_rejected_total{output="other"} 0
linuxguard_bridge_splunk_hec_rejected_total{output="trial"} 1
`), metricPrefix+"requests_total", metricPrefix+"events_total", metricPrefix+"rejected_total"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	})
}

// TestSample: the sample has every key, each with its default.
func TestSample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("sample.toml")
	if err != nil {
		t.Fatal(err)
	}
	env, _ := outputtest.Env(t, map[string]string{"env:TOKEN": testToken})
	built, warnings, err := outputtest.Build(Kind(), env, string(text))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	plain, _ := buildOutput(t, "", "https://splunk.example.com:8088")
	got, want := built.(*Output).settings, plain.settings
	got.IndexRules, got.PeerFingerprints = nil, nil
	if sample, defaults := dump(got), dump(want); sample != defaults {
		t.Errorf("the sample gives\n%s\nthe defaults are\n%s", sample, defaults)
	}
	for _, key := range settingKeys() {
		if !strings.Contains(string(text), "\n"+key+" = ") {
			t.Errorf("%s is missing", key)
		}
	}
}
