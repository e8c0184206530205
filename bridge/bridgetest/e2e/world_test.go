package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
)

const arrive = 3 * time.Minute // how long anything may take to arrive: milliseconds, but after an outage on a crowded machine a back-off alone is a minute

// world is one bridge with every kind of output at once.
type world struct {
	*bridgetest.Bridge

	rsyslog  *counterparts.Daemon
	syslogNG *counterparts.Daemon
	hec      *counterparts.HEC
	archive  string // the file output's path
}

// newWorld starts everything. The outputs are called rs_tcp, rs_udp, ng_tcp, ng_tls, splunk and archive.
func newWorld(t *testing.T, o bridgetest.Options) *world {
	t.Helper()
	w := &world{
		rsyslog:  counterparts.Rsyslog(t, counterparts.RsyslogOptions{}),
		syslogNG: counterparts.SyslogNG(t, counterparts.SyslogNGOptions{}),
		hec:      counterparts.HECReceiver(t, counterparts.HECOptions{TLS: true}),
		archive:  filepath.Join(t.TempDir(), "archive.ndjson"),
	}
	o.Env = append(o.Env, "LINUXGUARD_TEST_TOKEN=hec-token")
	o.Outputs += w.outputs()
	w.Bridge = bridgetest.Start(t, o)
	return w
}

func (w *world) outputs() string {
	var b strings.Builder
	table := func(name string, lines ...string) {
		fmt.Fprintf(&b, "\n[output.%s]\n%s\n", name, strings.Join(lines, "\n"))
	}
	syslog := func(name, url string, lines ...string) {
		table(name, append([]string{`type = "syslog"`, "addresses = [" + bridgetest.Quote(url) + "]", "enterprise_id = 55555"}, lines...)...)
	}
	syslog("rs_tcp", w.rsyslog.URL("tcp"), "max_message_bytes = 60000")
	syslog("rs_udp", w.rsyslog.URL("udp"), "max_message_bytes = 8192")
	syslog("ng_tcp", w.syslogNG.URL("tcp"))
	syslog("ng_tls", w.syslogNG.URL("tls"), "ca_file = "+bridgetest.Quote(w.syslogNG.TLS.CAFile), `server_name = "localhost"`,
		"cert_file = "+bridgetest.Quote(w.syslogNG.TLS.ClientCert), "key_file = "+bridgetest.Quote(w.syslogNG.TLS.ClientKey))
	table("splunk", `type = "splunk_hec"`, "urls = ["+bridgetest.Quote(w.hec.URL())+"]", `token = "env:LINUXGUARD_TEST_TOKEN"`,
		`index = "security"`, "ca_file = "+bridgetest.Quote(w.hec.TLS.CAFile))
	table("archive", `type = "file"`, "path = "+bridgetest.Quote(w.archive), `format = "json"`)
	return b.String()
}

// archived returns the file output's complete lines.
func (w *world) archived(t *testing.T) []map[string]any {
	t.Helper()
	return bridgetest.JSONLines(t, w.archive)
}

// named returns the records that came in over one input.
func named(all []counterparts.Record, input string) []counterparts.Record {
	var found []counterparts.Record
	for _, r := range all {
		if r.In == input {
			found = append(found, r)
		}
	}
	return found
}

// escaped is how syslog writes text: control characters as rsyslog does, "#" and three octal digits.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x20 || r == 0x7f {
			fmt.Fprintf(&b, "#%03o", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
