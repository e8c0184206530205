package prometheus

import (
	"regexp"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

var alertName = regexp.MustCompile(`(?m)^      - alert: (\w+)$`)

// TestPromtool checks the rules' syntax and runs their unit tests.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool := counterparts.Promtool(t)
	t.Log(promtool.Version)
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := promtool.Command(t.Context(), args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestEachAlertIsTested: quiet once, and firing once.
func TestEachAlertIsTested(t *testing.T) {
	t.Parallel()
	tests := contribtest.ReadFile(t, "alerts_test.yml")
	alerts := alertName.FindAllStringSubmatch(contribtest.ReadFile(t, "alerts.yml"), -1)
	if len(alerts) < 15 {
		t.Fatalf("only %d alerts", len(alerts))
	}
	for _, a := range alerts {
		_, of, found := strings.Cut(tests, "  - name: "+a[1]+"\n")
		of, _, _ = strings.Cut(of, "  - name: ")
		if !found || !strings.Contains(of, "alertname: "+a[1]+", exp_alerts: []}") || !strings.Contains(of, "exp_labels") {
			t.Errorf("%s has no unit test in which it is quiet and fires", a[1])
		}
	}
}

// TestMetrics holds every expression to what a real bridge exports.
func TestMetrics(t *testing.T) {
	t.Parallel()
	scrape := contribtest.Exported(t)
	rules := contribtest.ReadFile(t, "alerts.yml")
	n := 0
	for expr := range strings.SplitSeq(rules, "expr: ") {
		expr, _, _ = strings.Cut(expr, "labels: {")
		contribtest.CheckQuery(t, scrape, expr)
		n++
	}
	if n < 15 {
		t.Errorf("only %d expressions", n)
	}
}
