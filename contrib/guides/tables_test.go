package guides

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// native are the fields of the event in LinuxGuard's own HEC channel, from its documentation.
var native = []string{"tenant_id", "signal_type", "signal_id", "severity", "description", "identity_name", "identity_type",
	"server_hostname", "server_id", "environment", "category", "created_at"}

// TestMove holds the side-by-side table to the mapping, and the mapping to what really arrives.
func TestMove(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| (not there|`(\\w+)`) \\| `(\\w+)`")
	rows := map[string]string{} // ours: theirs
	_, table, _ := strings.Cut(contribtest.ReadFile(t, "move-from-native-channels.md"), "In `event`:")
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		rows[m[3]] = m[2]
	}
	for _, f := range mapping.Fields() {
		want := ""
		if slices.Contains(native, f.Name) {
			want = f.Name
		}
		if theirs, listed := rows[f.Name]; !listed || theirs != want {
			t.Errorf("%s: listed %v beside %q, want %q", f.Name, listed, theirs, want)
		}
		delete(rows, f.Name)
	}
	for _, f := range []string{"identity_type", "category"} {
		if rows[f] != f {
			t.Errorf("%s isn't listed", f)
		}
		delete(rows, f)
	}
	for name := range rows {
		t.Errorf("%s is listed and no field", name)
	}
	nativeFieldsArrive(t)
}

// nativeFieldsArrive posts a signal with every native field and looks for each, by its native name, at HEC and in syslog.
func nativeFieldsArrive(t *testing.T) {
	t.Helper()
	hec, syslog := counterparts.HECReceiver(t, counterparts.HECOptions{}), counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	b := bridgetest.Start(t, bridgetest.Options{Env: []string{"LINUXGUARD_TEST_TOKEN=token"}, Outputs: fmt.Sprintf(
		"[output.splunk]\ntype = \"splunk_hec\"\nurls = [%q]\ntoken = \"env:LINUXGUARD_TEST_TOKEN\"\n[output.siem]\ntype = \"syslog\"\naddresses = [%q]\n",
		hec.URL(), syslog.URL("relp"))})
	body := strings.Replace(string(contribtest.Sample(4, "moved")), `"data":{`, `"data":{"identity_type":"user","category":"privilege_escalation",`, 1)
	b.MustPost(b.Client(sender.ClientOptions{}), []byte(body), "accepted")
	event, record := hec.WaitEvents(1, contribtest.Arrive)[0], syslog.WaitRecords(1, contribtest.Arrive)[0]
	for _, name := range native {
		value, ok := record.Param(name)
		if !ok || event.Event[name] == nil || fmt.Sprint(event.Event[name]) != value {
			t.Errorf("%s: %v at HEC, %q in syslog", name, event.Event[name], value)
		}
	}
	if event.Source != "linuxguard" || event.SourceType != "linuxguard:signal" || event.Host != event.Event["server_hostname"] || event.Time == 0 {
		t.Errorf("envelope %+v", event)
	}
}

// TestDelivered starts an output of each row of the table and compares its level.
func TestDelivered(t *testing.T) {
	t.Parallel()
	syslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	tlsOf := fmt.Sprintf("ca_file = %q\ncert_file = %q\nkey_file = %q\n", syslog.TLS.CAFile, syslog.TLS.ClientCert, syslog.TLS.ClientKey)
	token := "token = \"env:LINUXGUARD_TEST_TOKEN\"\n"
	hec, acking := counterparts.HECReceiver(t, counterparts.HECOptions{}), counterparts.HECReceiver(t, counterparts.HECOptions{Ack: true})
	outputs, row := map[string]string{ // by name
		"hec":  "type = \"splunk_hec\"\nurls = [\"" + hec.URL() + "\"]\n" + token,
		"acks": "type = \"splunk_hec\"\nindexer_ack = true\nurls = [\"" + acking.URL() + "\"]\n" + token,
		"file": "type = \"file\"\npath = \"" + filepath.Join(t.TempDir(), "signals.ndjson") + "\"\n",
	}, map[string]string{"hec": "Splunk HEC", "acks": "Splunk HEC, `indexer_ack = true`", "file": "file"}
	for _, scheme := range []string{"udp", "tcp", "tls", "relp", "relps"} {
		outputs[scheme] = fmt.Sprintf("type = \"syslog\"\naddresses = [%q]\n", syslog.URL(scheme))
		if strings.HasSuffix(scheme, "s") {
			outputs[scheme] += tlsOf
		}
		row[scheme] = map[string]string{"udp": "`udp://`", "tcp": "`tcp://`, `tls://`", "tls": "`tcp://`, `tls://`", "relp": "`relp://`, `relps://`", "relps": "`relp://`, `relps://`"}[scheme]
	}
	var config strings.Builder
	for name, lines := range outputs {
		fmt.Fprintf(&config, "[output.%s]\n%s\n", name, lines)
	}
	b := bridgetest.Start(t, bridgetest.Options{Outputs: config.String(), Env: []string{"LINUXGUARD_TEST_TOKEN=token"}})
	b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(3, "delivered"), "accepted")
	delivered := regexp.MustCompile(`(?m)^linuxguard_bridge_output_delivered_total\{.*\} 1$`)
	bridgetest.Eventually(t, contribtest.Arrive, "all outputs to deliver", func() bool {
		return len(delivered.FindAllString(b.Metrics(), -1)) == len(outputs)
	})
	scrape, guide := b.Metrics(), contribtest.ReadFile(t, "what-delivered-means.md")
	for name := range outputs {
		m := regexp.MustCompile(`linuxguard_bridge_output_delivery_level\{level="([a-z-]+)",output="` + name + `"\} 1`).FindStringSubmatch(scrape)
		if m == nil || !strings.Contains(guide, "\n| "+row[name]+" | "+m[1]+" |") {
			t.Errorf("%s: level %q, not in the guide's row %s", name, m, row[name])
		}
	}
}

// TestLinks: every relative link of every page of contrib leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	pages, err := filepath.Glob("*.md")
	more, _ := filepath.Glob("../*.md")
	addons, _ := filepath.Glob("../*/*/README.md")
	readmes, _ := filepath.Glob("../*/README.md")
	if pages = slices.Concat(pages, more, addons, readmes, []string{root + "CONTRIBUTING.md", root + "CHANGELOG.md", root + "README.md"}); err != nil || len(pages) < 9 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(contribtest.ReadFile(t, page), -1) {
			if found, err := filepath.Glob(filepath.Join(filepath.Dir(page), m[1])); err != nil || len(found) != 1 {
				t.Errorf("%s: a link to %s leads nowhere", page, m[1])
			}
		}
	}
}
