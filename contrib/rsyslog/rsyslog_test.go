package rsyslog

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// TestReceiver runs linuxguard.conf: the same signal over RELP with TLS and over TLS, each field read back from JSON.
func TestReceiver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, args := counterparts.RsyslogProgram(t)
	t.Log(program.Version)
	var host string
	var certs *testcert.Set
	out := filepath.Join(dir, "log", "signals.json")
	program.Serve(t, dir, func(address string) ([]string, []string, error) {
		host, certs = address, testcert.NewSet(t, dir, address)
		conf := contribtest.Fill(t, "linuxguard.conf",
			"/etc/rsyslog.d/tls/ca.pem", certs.CAFile, "/etc/rsyslog.d/tls/server.pem", certs.ServerCert,
			"/etc/rsyslog.d/tls/server.key", certs.ServerKey, "0.0.0.0", address, "/var/log/linuxguard/signals.json", out)
		path := filepath.Join(dir, "rsyslog.conf")
		contribtest.WriteFile(t, path, fmt.Sprintf("global(workDirectory=%q)\n%s", dir, conf))
		return append(args, "-f", path), []string{"tcp " + address + ":2514", "tcp " + address + ":6514"}, nil
	})
	output := func(name, url string) string {
		return fmt.Sprintf("[output.%s]\ntype = \"syslog\"\naddresses = [%q]\nca_file = %q\ncert_file = %q\nkey_file = %q\n",
			name, url+host+map[string]string{"relps": ":2514", "tls": ":6514"}[name], certs.CAFile, certs.ClientCert, certs.ClientKey)
	}
	b := bridgetest.Start(t, bridgetest.Options{Outputs: output("relps", "relps://") + output("tls", "tls://")})
	description := "quoted \" bracket ] backslash \\ \n line feed, größer 🔥"
	d := b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(5, description), "accepted")

	for _, line := range contribtest.WaitLines(t, out, 2) {
		sd, _ := line["sd"].(map[string]any)
		fields, _ := sd["linuxguard@32473"].(map[string]any)
		want := `quoted " bracket ] backslash \ #012 line feed, größer 🔥`
		if fields["delivery_id"] != d.ID || fields["description"] != want || fields["bridge_seq"] != "1" || fields["severity"] != "5" {
			t.Errorf("structured data %v", sd)
		}
		if line["message"] != want || line["severity_text"] != "crit" || line["host"] == "" || line["msgid"] == "" || line["time"] == "" {
			t.Errorf("header and message %v", line)
		}
	}
}
