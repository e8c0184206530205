package syslogng

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

// TestReceiver runs linuxguard.conf and reads each field of a signal back from its JSON.
func TestReceiver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, args, version := counterparts.SyslogNGProgram(t, dir)
	t.Log(program.Version)
	var host string
	var certs *testcert.Set
	out := filepath.Join(dir, "log", "signals.json")
	program.Serve(t, dir, func(address string) ([]string, []string, error) {
		host, certs = address, testcert.NewSet(t, dir, address)
		conf := contribtest.Fill(t, "linuxguard.conf",
			"/etc/syslog-ng/tls/ca.pem", certs.CAFile, "/etc/syslog-ng/tls/server.pem", certs.ServerCert,
			"/etc/syslog-ng/tls/server.key", certs.ServerKey, "0.0.0.0", address, "/var/log/linuxguard/signals.json", out)
		path := filepath.Join(dir, "syslog-ng.conf")
		contribtest.WriteFile(t, path, "@version: "+version+"\n"+conf)
		return append(args, "-f", path), []string{"tcp " + address + ":6514"}, nil
	})
	b := bridgetest.Start(t, bridgetest.Options{Outputs: fmt.Sprintf(
		"[output.siem]\ntype = \"syslog\"\naddresses = [\"tls://%s:6514\"]\nca_file = %q\ncert_file = %q\nkey_file = %q\n",
		host, certs.CAFile, certs.ClientCert, certs.ClientKey)})
	description := "quoted \" bracket ] backslash \\ \n line feed, größer 🔥"
	d := b.MustPost(b.Client(sender.ClientOptions{}), contribtest.Sample(5, description), "accepted")

	line := contribtest.WaitLines(t, out, 1)[0]
	sd, _ := line["_SDATA"].(map[string]any)
	fields, _ := sd["linuxguard@32473"].(map[string]any)
	want := `quoted " bracket ] backslash \ #012 line feed, größer 🔥`
	if fields["delivery_id"] != d.ID || fields["description"] != want || fmt.Sprint(fields["bridge_seq"]) != "1" || fmt.Sprint(fields["severity"]) != "5" {
		t.Errorf("structured data %v", sd)
	}
	if line["message"] != want || line["severity_text"] != "crit" || line["host"] == "" || line["msgid"] == "" || line["time"] == "" {
		t.Errorf("header and message %v", line)
	}
}
