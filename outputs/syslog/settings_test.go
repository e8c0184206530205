package syslog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// TestUsualFraming: what people are shown as the default is what the output uses.
func TestUsualFraming(t *testing.T) {
	t.Parallel()
	for want, addresses := range map[string][]string{
		framingOctets:  {"tcp://siem", "tls://siem"},
		framingNewline: {"unix:///dev/log"},
		"":             {"tcp://siem", "unix:///dev/log"},
	} {
		s := &Settings{Addresses: addresses}
		s.Complete()
		if s.Framing != want {
			t.Errorf("%v: %q, want %q", addresses, s.Framing, want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want, problem string }{
		{"udp://siem", "udp://siem:514", ""},
		{"tcp://siem", "tcp://siem:514", ""},
		{"tls://siem.example.com", "tls://siem.example.com:6514", ""},
		{"relp://10.0.0.1", "relp://10.0.0.1:20514", ""},
		{"relps://siem:2514", "relps://siem:2514", ""},
		{"tls://[2001:db8::1]:65535/", "tls://[2001:db8::1]:65535", ""},
		{"tls://[2001:db8::1]", "tls://[2001:db8::1]:6514", ""},
		{"unix:///dev/log", "unix:///dev/log", ""},

		{"relps://siem", "", "needs a port"},
		{"http://siem", "", `scheme "http" is not known`},
		{"siem:514", "", "not known"},
		{"siem", "", "not known"},
		{"", "", "not known"},
		{"tcp://", "", "no host"},
		{"tcp://:514", "", "no host"},
		{"tcp://siem:0", "", "out of range"},
		{"tcp://siem:65536", "", "out of range"},
		{"tcp://siem:syslog", "", "invalid port"},
		{"tcp://user:pass@siem", "", "holds no @"},
		{"tcp://siem/path", "", "nothing may follow"},
		{"tcp://siem?x=1", "", "nothing may follow"},
		{"unix://dev/log", "", "absolute path"},
		{"unix://", "", "absolute path"},
		{"unix:///" + strings.Repeat("x", 108), "", "107 bytes"},
		{"tcp://si em", "", "invalid character"},
	} {
		a, err := parseAddress(c.text)
		switch {
		case c.problem == "" && (err != nil || a.String() != c.want):
			t.Errorf("%q: %v, %v; want %v", c.text, a, err, c.want)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q: %v, %v; want an error with %q", c.text, a, err, c.problem)
		}
	}
}

// keys lists the keys that err blames, in order.
func keys(err error) (all []string) {
	var several interface{ Unwrap() []error }
	var one *outputs.KeyError
	switch {
	case err == nil:
	case errors.As(err, &several):
		for _, e := range several.Unwrap() {
			all = append(all, keys(e)...)
		}
	case errors.As(err, &one):
		all = append(all, one.Key)
	default:
		all = append(all, "?")
	}
	return all
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	set := testcert.NewSet(t, t.TempDir())
	unreadable := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(unreadable, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	const tcp, udp, tls, relp = `addresses = ["tcp://siem"]`, `addresses = ["udp://siem"]`, `addresses = ["tls://siem"]`, `addresses = ["relp://siem"]`
	for _, c := range []struct {
		table string
		keys  string
		text  string
	}{
		{``, "addresses", "at least one"},
		{`addresses = ["tcp://siem", "ftp://siem", "relps://siem"]`, "addresses addresses", `"ftp"`},
		{udp + "\nframing = \"newline\"", "framing", "only tcp, tls"},
		{relp + "\nframing = \"octet-counted\"", "framing", "only tcp, tls"},
		{tcp + "\nframing = \"lf\"", "framing", `"lf" is not known`},
		{tcp + "\nca_file = \"/etc/ca.pem\"", "ca_file ca_file", "does nothing"},
		{tls + "\ncert_file = \"" + set.ClientCert + "\"\nkey_file = \"" + unreadable + "\"", "key_file", "holds no private key in PEM form"},
		{tls + "\ncert_file = \"" + set.ClientCert + "\"\nkey_file = \"/nonexistent\"", "key_file", "no such file"},
		{tls + "\ncert_file = \"" + set.ClientCert + "\"", "key_file", "belong together"},
		{tcp + "\nrelp_window = 5", "relp_window", "does nothing"},
		{relp + "\nreset_grace = \"1s\"", "reset_grace", "does nothing"},
		{relp + "\nrelp_window = 70000", "relp_window", "from 1 to 65536"},
		{relp + "\nmax_message_bytes = \"129KiB\"", "max_message_bytes", "131072 bytes with relp"},
		{udp + "\nmax_message_bytes = 65508", "max_message_bytes", "65507 bytes with udp"},
		{tcp + "\nmax_message_bytes = \"2MiB\"", "max_message_bytes", "1048576 bytes"},
		{tcp + "\nmax_message_bytes = 100", "max_message_bytes", "1024"},
		{tcp + "\nack_timeout = \"1ms\"", "ack_timeout", "out of range"},
		{tcp + "\nconnect_timeout = \"1h\"", "connect_timeout", "out of range"},
		{tcp + "\nkeepalive = \"1ms\"", "keepalive", "out of range"},
		{tcp + "\nmax_connection_age = \"1ms\"", "max_connection_age", "too short"},
		{tcp + "\nmax_in_flight = -1", "max_in_flight", "out of range"},
		{tcp + "\nreset_grace = \"31s\"", "reset_grace", "ack_timeout"},
		{tcp + "\nformat = \"rfc1\"\nmessage = \"xml\"\nfacility = \"security\"\napp_name = \"a b\"\nenterprise_id = \"x\"", "facility format message app_name enterprise_id", "rfc1"},
		{tcp + "\ntime_zone = \"Mars/Olympus\"", "time_zone", "Mars"},
	} {
		_, _, err := build(&logBook{}, c.table)
		got := keys(err)
		want := strings.Fields(c.keys)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s\nblames %v: %v\nwant %v, %q", c.table, got, err, want, c.text)
		}
	}
}

func TestGoodConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		table    string
		warnings string // their keys
	}{
		{`addresses = ["tcp://siem"]`, ""},
		{"addresses = [\"relp://a\", \"relp://b\"]\nrelp_window = 1\nmax_message_bytes = \"128KiB\"\nfacility = 16\nenterprise_id = 12345\nmax_connection_age = \"0s\"", ""},
		{`addresses = ["udp://siem"]`, "addresses"},
		{"addresses = [\"udp://siem\"]\nmax_message_bytes = 8192", "addresses max_message_bytes"},
		{"addresses = [\"tls://siem\"]\nframing = \"newline\"\nreset_grace = \"0s\"", "framing"},
		{"addresses = [\"tls://siem\"]\ntls_skip_verify = true", "tls_skip_verify"},
		{`addresses = ["unix:///dev/log"]`, "format"},
		{"addresses = [\"unix:///dev/log\"]\nformat = \"rfc3164\"\nomit_hostname = true\ntime_zone = \"Local\"", ""},
		{"addresses = [\"tcp://siem\"]\nomit_hostname = true", "omit_hostname"},
	} {
		o, warnings, err := build(&logBook{}, c.table)
		if err != nil {
			t.Errorf("%s\n%v", c.table, err)
			continue
		}
		var got []string
		for _, w := range warnings {
			got = append(got, w.Key)
		}
		if strings.Join(got, " ") != c.warnings {
			t.Errorf("%s\nwarns of %v, want %s", c.table, warnings, c.warnings)
		}
		if b := o.Batching(); b.MaxRecords < 1 || b.MaxInFlight < b.MaxRecords {
			t.Errorf("%s\nbatching %+v", c.table, b)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		`addresses = ["tcp://siem"]`:                 "8192 30s 16384",
		`addresses = ["udp://siem"]`:                 "2048 30s 16384",
		`addresses = ["relp://siem"]`:                "8192 1m30s 1024",
		`addresses = ["relp://siem", "udp://siem"]`:  "2048 1m30s 1024",
		"addresses = [\"tcp://s\"]\nmax_in_flight=7": "8192 30s 7",
	} {
		o, _, err := build(&logBook{}, table)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(int(o.settings.MaxMessageBytes), o.settings.AckTimeout, o.Batching().MaxInFlight); !strings.EqualFold(strings.ReplaceAll(got, "  ", " "), want) {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
}
