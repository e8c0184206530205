package splunkhec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

const minimal = "urls = [\"https://splunk:8088\"]\ntoken = \"env:TOKEN\"\n"

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		table string
		keys  []string // to blame, in order
	}{
		{"", []string{"urls", "token"}},
		{"urls = [\"splunk:8088\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"ftp://splunk\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"https://\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"https://u:SECRETPW@splunk:8088\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"https://splunk:8088/?token=SECRETPW\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"https://splunk:8088\", \"https://SPLUNK:8088/services/collector\"]\ntoken = \"env:TOKEN\"", []string{"urls"}},
		{"urls = [\"https://splunk:8088\"]\ntoken = \"env:UNSET\"", []string{"token"}},
		{"urls = [\"https://splunk:8088\"]\ntoken = \"env:BLANKS\"", []string{"token"}},
		{minimal + `layout = "xml"`, []string{"layout"}},
		{minimal + `sourcetype = "linuxguard:bridge"`, []string{"sourcetype"}},
		{minimal + `index = "Main Index"`, []string{"index"}},
		{minimal + `index_rules = [{ min_severity = 3 }]`, []string{"index_rules[0]"}},
		{minimal + `index_rules = [{ index = "a", min_severity = 3 }, { index = "b" }]`, []string{"index_rules[1]"}},
		{minimal + `index_rules = [{ index = "a", min_severity = 6 }]`, []string{"index_rules[0]"}},
		{minimal + "batch_max_events = 0\nbatch_max_bytes = 5\nbatch_linger = \"-1s\"", []string{"batch_max_bytes", "batch_max_events", "batch_linger"}},
		{minimal + "max_requests_in_flight = 1000\nmax_pending_acks = 0", []string{"max_pending_acks", "max_requests_in_flight"}},
		{minimal + "ack_timeout = \"1ms\"\nrequest_timeout = \"1h\"\nconnect_timeout = \"0s\"\nmax_connection_age = \"1ms\"",
			[]string{"ack_timeout", "connect_timeout", "request_timeout", "max_connection_age"}},
		{minimal + `proxy = "proxy:3128"`, []string{"proxy"}},
		{minimal + `proxy = "http://u:SECRETPW@proxy:3128"`, []string{"proxy"}},
		{minimal + `proxy_auth = "env:TOKEN"`, []string{"proxy_auth"}},
		{minimal + "proxy = \"http://proxy:3128\"\nproxy_auth = \"env:UNSET\"", []string{"proxy_auth"}},
		{minimal + `ca_file = "/nonexistent/ca.pem"`, []string{"ca_file"}},
		{minimal + `cert_file = "/nonexistent/cert.pem"`, []string{"key_file"}},
		{minimal + "tls_skip_verify = true\nserver_name = \"x\"", []string{"tls_skip_verify"}},
	} {
		t.Run(fmt.Sprintf("%.60q", strings.TrimPrefix(c.table, minimal)), func(t *testing.T) {
			t.Parallel()
			env, log := outputtest.Env(t, map[string]string{"env:TOKEN": testToken, "env:BLANKS": "Splunk " + testToken})
			out, _, err := outputtest.Build(Kind(), env, c.table)
			if out != nil || err == nil {
				t.Fatal("accepted")
			}
			got := keysOf(err)
			slices.Sort(got)
			slices.Sort(c.keys)
			if !slices.Equal(got, c.keys) {
				t.Errorf("blames %v, want %v: %v", got, c.keys, err)
			}
			if text := err.Error() + log.String(); strings.Contains(text, testToken) || strings.Contains(text, "SECRETPW") {
				t.Errorf("a secret is in %q", text)
			}
		})
	}
}

// keysOf returns the keys of all KeyErrors in err.
func keysOf(err error) []string {
	var keys []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			keys = append(keys, keysOf(e)...)
		}
		return keys
	}
	var key *outputs.KeyError
	if errors.As(err, &key) {
		keys = append(keys, key.Key)
	}
	return keys
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	env, _ := outputtest.Env(t, map[string]string{"env:TOKEN": testToken})
	for table, want := range map[string][]string{
		minimal: nil,
		"token = \"env:TOKEN\"\nurls = [\"http://a\", \"https://b\"]":                      {"urls"},
		minimal + "tls_skip_verify = true":                                                 {"tls_skip_verify"},
		"token = \"env:TOKEN\"\nurls = [\"http://a\"]\nserver_name = \"b\"":                {"server_name", "urls"},
		minimal + "index = \"main\"\nlayout = \"cim\"\nsource = \"x\"\nproxy = \"none\"\n": nil,
	} {
		out, warnings, err := outputtest.Build(Kind(), env, table)
		if err != nil {
			t.Errorf("%s: %v", table, err)
			continue
		}
		var keys []string
		for _, w := range warnings {
			keys = append(keys, w.Key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, want) {
			t.Errorf("%q warns of %v, want %v", table, warnings, want)
		}
		for _, key := range want {
			if s := out.Status(); key != "server_name" && !strings.Contains(strings.Join(s.Warnings, "\n"), key) {
				t.Errorf("%q: the status doesn't warn of %s: %v", table, key, s.Warnings)
			}
		}
	}
}

func TestDerived(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]int{
		"":                                       2000,
		"batch_max_events = 100":                 400,
		"indexer_ack = true":                     maxInFlightAck,
		"indexer_ack = true\nmax_in_flight = 77": 77,
	} {
		out, _ := buildOutput(t, table, "https://splunk:8088")
		if b := out.Batching(); b.MaxInFlight != want {
			t.Errorf("%q: %+v", table, b)
		}
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"https://splunk:8088/services/collector/raw", "https://splunk:8088/services/collector/raw/1.0", "https://splunk:8088/x/services/collector/health/"} {
		if u, err := parseURL(text); err == nil || !strings.Contains(err.Error(), "another endpoint") {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for text, want := range map[string]string{
		"https://splunk.example.com:8088":                                  "https://splunk.example.com:8088",
		"https://splunk.example.com:8088/":                                 "https://splunk.example.com:8088",
		"https://Splunk.example.com:8088/services/collector":               "https://splunk.example.com:8088",
		"https://splunk.example.com:8088/services/collector/event":         "https://splunk.example.com:8088",
		"https://splunk.example.com:8088/services/collector/event/1.0/":    "https://splunk.example.com:8088",
		"https://gateway.example.com/splunk/eu/":                           "https://gateway.example.com/splunk/eu",
		"https://gateway.example.com/splunk/services/collector":            "https://gateway.example.com/splunk",
		"http://[2001:db8::1]:8088":                                        "http://[2001:db8::1]:8088",
		"https://http-inputs-stack.splunkcloud.com:443/services/collector": "https://http-inputs-stack.splunkcloud.com:443",
	} {
		if u, err := parseURL(text); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, u, err, want)
		}
	}
}
