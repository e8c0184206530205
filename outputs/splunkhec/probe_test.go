package splunkhec

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		table  string
		splunk *hectest.Splunk
		ok     bool
		says   string
		events int
	}{
		{name: "good", ok: true, says: "token accepted, nothing was sent", splunk: &hectest.Splunk{Token: testToken}},
		{name: "good with index", table: `index = "main"`, ok: true, says: "token accepted", splunk: &hectest.Splunk{Token: testToken, Indexes: []string{"main"}}},
		{name: "wrong token", says: "check the token", splunk: &hectest.Splunk{Token: "other"}},
		{name: "disabled token", says: "token is disabled", splunk: &hectest.Splunk{Token: testToken, Disabled: true}},
		{name: "index", table: `index = "secret"`, says: `index "secret"`, splunk: &hectest.Splunk{Token: testToken, Indexes: []string{"main"}}},
		{name: "index of a rule", table: `index_rules = [{ index = "secret", min_severity = 3 }]`, says: `index "secret"`, splunk: &hectest.Splunk{Token: testToken, Indexes: []string{"main"}}},
		{name: "ack needed", says: "set indexer_ack = true", splunk: &hectest.Splunk{Token: testToken, Ack: true}},
		{name: "ack missing", table: ackOn, says: "set indexer_ack = false", splunk: &hectest.Splunk{Token: testToken}},
		{name: "ack", table: ackOn, ok: true, says: "indexer acknowledgement is on", splunk: &hectest.Splunk{Token: testToken, Ack: true}},
		{name: "one event", table: "probe_event = true", ok: true, says: "one test event", events: 1, splunk: &hectest.Splunk{Token: testToken}},
		{name: "busy", says: "code 18", splunk: &hectest.Splunk{Token: testToken, Fault: func(w http.ResponseWriter, _ *http.Request) bool {
			hectest.Answer(w, 503, 18, "HEC is unhealthy, queues are full")
			return true
		}}},
		{name: "no HEC", says: "check urls", splunk: &hectest.Splunk{Token: testToken, Fault: func(w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		}}},
		{name: "web page", says: "login page", splunk: &hectest.Splunk{Token: testToken, Fault: func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>welcome</html>"))
			return true
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.splunk)
			defer server.Close()
			dead := httptest.NewServer(nil)
			dead.Close()
			out, _ := buildOutput(t, c.table, server.URL, dead.URL)
			defer closeOutput(t, out)
			findings, err := out.Probe(t.Context())
			if err != nil || len(findings) != 2 {
				t.Fatalf("%v, %v", findings, err)
			}
			checkFinding(t, findings[0], c.ok, c.says)
			checkFinding(t, findings[1], false, "connection refused")
			if n := len(c.splunk.Events()); n != c.events {
				t.Errorf("%d events are left in the index", n)
			}
			if out.Status().State != outputs.StateIdle {
				t.Error("a probe is no delivery")
			}
		})
	}
}

func checkFinding(t *testing.T, f outputs.Finding, ok bool, says string) {
	t.Helper()
	if f.OK != ok || !strings.Contains(f.Text, says) || strings.Contains(f.Text, "\n") || strings.Contains(f.Text, testToken) {
		t.Errorf("%+v, want OK=%v and %q", f, ok, says)
	}
}
