package forward

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A worker's collector speaks for the output of the present tenure, and can be taken back whatever that is.
func TestMetricsFollowTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue(t, 5)
		d := &destination{answer: ok}
		q.others = true
		w := start(t, q, d, nil)
		registry := prometheus.NewRegistry()
		if err := registry.Register(w); err != nil {
			t.Fatal(err)
		}
		if got := gather(t, registry); !strings.Contains(got, "owned 0") || !strings.Contains(got, "state[standby] 1") ||
			strings.Contains(got, "kind_total") || strings.Contains(got, "delivery_level") {
			t.Errorf("on standby:\n%s", got)
		}
		q.giveBack()
		time.Sleep(time.Second)
		if got := gather(t, registry); !strings.Contains(got, "owned 1") || !strings.Contains(got, "state[up] 1") || !strings.Contains(got, "kind_total 0") ||
			!strings.Contains(got, "output_delivered_total 5") || !strings.Contains(got, "delivery_level[application-acknowledged] 1") {
			t.Errorf("within the tenure:\n%s", got)
		}
		stop(t, w)
		if !registry.Unregister(w) || gather(t, registry) != "" {
			t.Error("the collector is still there")
		}
	})
}

// gather returns a line for each gauge and counter.
func gather(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			b.WriteString(f.GetName())
			for _, l := range m.GetLabel() {
				if l.GetName() != "output" {
					b.WriteString("[" + l.GetValue() + "]")
				}
			}
			b.WriteString(" " + strconv.FormatFloat(m.GetGauge().GetValue()+m.GetCounter().GetValue(), 'f', -1, 64) + "\n")
		}
	}
	return b.String()
}
