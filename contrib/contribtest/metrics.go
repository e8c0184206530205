package contribtest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// Exported is the set of series that a real bridge with every kind of output exports after deliveries of every
// outcome: name{label="value",...} as in the scrape.
func Exported(t testing.TB) string {
	t.Helper()
	syslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	hec := counterparts.HECReceiver(t, counterparts.HECOptions{})
	b := bridgetest.Start(t, bridgetest.Options{
		Endpoint: `expect_every = "1h"`, Env: []string{"LINUXGUARD_TEST_TOKEN=token"},
		Outputs: FileOutput(filepath.Join(t.TempDir(), "signals.ndjson")) +
			fmt.Sprintf("[output.siem]\ntype = \"syslog\"\naddresses = [%q]\n", syslog.URL("tcp")) +
			fmt.Sprintf("[output.splunk]\ntype = \"splunk_hec\"\nurls = [%q]\ntoken = \"env:LINUXGUARD_TEST_TOKEN\"\n", hec.URL()),
	})
	client := b.Client(sender.ClientOptions{})
	b.MustPost(client, Sample(3, "counted"), "accepted")
	b.MustPost(client, []byte("no JSON"), "quarantined")
	stale := sender.Sample(3, time.Now().Add(-48*time.Hour), nil)
	b.MustPost(client, stale.JSON(), "quarantined")
	syslog.WaitRecords(1, Arrive)
	hec.WaitEvents(1, Arrive)
	want := `linuxguard_bridge_output_delivered_total{output="splunk"} 1`
	bridgetest.Eventually(t, Arrive, want, func() bool { return strings.Contains(b.Metrics(), want) })
	return b.Metrics() + ReadFile(t, "../../bridge/queue/postgres/testdata/metrics.txt") // of a queue that needs a database
}

var (
	selector = regexp.MustCompile(`(linuxguard_bridge_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`(?:by|on|without) \(([a-z_, ]*)\)`)
)

// scraped are labels that Prometheus adds to every series, and le, which only buckets have.
const scraped = ` instance job le `

// CheckQuery fails the test when expr names a metric, a label or a label's value that scrape hasn't.
func CheckQuery(t testing.TB, scrape, expr string) {
	t.Helper()
	found := selector.FindAllStringSubmatch(expr, -1)
	for _, s := range found {
		lines := regexp.MustCompile(`(?m)^`+s[1]+`(\{.*\})? `).FindAllString(scrape, -1)
		if len(lines) == 0 {
			t.Errorf("%s: the bridge exports no %s", expr, s[1])
			continue
		}
		all := strings.Join(lines, "\n")
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			checkMatcher(t, expr, all, m[1], m[3])
		}
		for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(g[1], ",") {
				if label = strings.TrimSpace(label); len(found) == 1 && !strings.Contains(scraped, " "+label+" ") && !strings.Contains(all, label+`="`) {
					t.Errorf("%s: %s has no label %s", expr, s[1], label)
				}
			}
		}
	}
}

func checkMatcher(t testing.TB, expr, lines, label, values string) {
	t.Helper()
	if strings.Contains(scraped, " "+label+" ") {
		return
	}
	for value := range strings.SplitSeq(values, "|") {
		if !strings.Contains(lines, label+`="`+value+`"`) {
			t.Errorf("%s: the bridge exports no %s=%q", expr, label, value)
		}
	}
}
