package webhook

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.Metrics = registry })
	registry.MustRegister(rig.handler)
	client := rig.client(true)
	send(t, client, delivery(t, rig.url(), payload("sig_1", time.Now())))
	send(t, client, delivery(t, rig.url(), payload("sig_1", time.Now().Add(-48*time.Hour))))
	r := delivery(t, rig.url(), payload("sig_2", time.Now()))
	forge(r)
	send(t, client, r)
	r = delivery(t, rig.url(), nil)
	r.URL.Path = "/"
	send(t, client, r)

	const help = `
# HELP linuxguard_bridge_webhook_quarantined_total Signed deliveries that were kept in the quarantine, by reason.
# TYPE linuxguard_bridge_webhook_quarantined_total counter
linuxguard_bridge_webhook_quarantined_total{endpoint="linuxguard",reason="stale"} 1
# HELP linuxguard_bridge_webhook_signature_matches_total Deliveries verified by each secret: a rotation is finished when the old one rests.
# TYPE linuxguard_bridge_webhook_signature_matches_total counter
linuxguard_bridge_webhook_signature_matches_total{endpoint="linuxguard",secret="webhook-secret"} 2
# HELP linuxguard_bridge_webhook_connections_limit The most connections that may be open at once.
# TYPE linuxguard_bridge_webhook_connections_limit gauge
linuxguard_bridge_webhook_connections_limit 256
`
	err := testutil.GatherAndCompare(registry, strings.NewReader(help), "linuxguard_bridge_webhook_quarantined_total",
		"linuxguard_bridge_webhook_signature_matches_total", "linuxguard_bridge_webhook_connections_limit")
	if err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "linuxguard_bridge_webhook_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				requests[m.GetLabel()[0].GetValue()+"/"+m.GetLabel()[1].GetValue()] = n
			}
		}
	}
	for _, want := range []string{"linuxguard/accepted", "linuxguard/quarantined", "linuxguard/signature", "(none)/not_found"} {
		if requests[want] != 1 {
			t.Errorf("%s: %v, want 1, in %v", want, requests[want], requests)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
