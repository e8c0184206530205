package syslog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// table is the output's table for one input of a daemon.
func table(d *counterparts.Daemon, input string, more ...string) string {
	lines := append([]string{fmt.Sprintf("addresses = [%q]", d.URL(input))}, more...)
	switch input {
	case "newline":
		lines = append(lines, `framing = "newline"`)
	case "tls", "relps":
		lines = append(lines, fmt.Sprintf("ca_file = %q\ncert_file = %q\nkey_file = %q", d.TLS.CAFile, d.TLS.ClientCert, d.TLS.ClientKey))
	}
	return strings.Join(lines, "\n")
}

// hostile is what an attacker, or a careless user, can put into a signal.
var hostile = []string{
	`plain`,
	`quo"te and br]acket and back\slash and \" \] \\`,
	`trailing backslash \`,
	"line\nfeed\r\nand \ttab",
	"nul \x00 and bell \a and del \x7f",
	"emoji 🛡️ and ümläut and \u202e bidi and \u2028 separator",
	`] [fake@1 a="b"] <11>1 2026-11-23T12:00:00Z forged app - - - injected`,
	"12345 <11>1 - - - - - - counted",
	"%s %d {} ${jndi:ldap://x} $(id) #012",
}

// hostileRecord makes a record whose texts are all hostile.
func hostileRecord(t *testing.T, seq int, text string) outputs.Record {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"event_type": "signal_created", "version": "v1", "timestamp": "2026-11-23T12:00:00Z", "tenant_id": "t-1", "console_url": text,
		"data": map[string]any{"signal_id": fmt.Sprintf("sig-%d", seq), "signal_type": "sudo_root", "severity": 5, "description": text, "server_id": text,
			"server_name": "web-1", "identity_id": text, "identity_name": text, "environment": text, "created_at": "2026-11-23T11:59:59.123456Z"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := record(seq)
	r.Body = body
	if r.Signal, err = signal.Decode(body); err != nil {
		t.Fatal(err)
	}
	return r
}

// octalForm is what stands for an octet, and what must not be taken for one when somebody typed it.
var octalForm = regexp.MustCompile(`#([0-3][0-7][0-7])`)

// visible is how a hostile text must arrive: control characters as rsyslog's octal escapes, otherwise as it was.
func visible(sent string) string {
	sent = octalForm.ReplaceAllString(sent, "#043$1")
	var b strings.Builder
	for _, r := range sent {
		if r >= ' ' && (r < 0x7f || r > 0x9f) && r != '\u2028' && r != '\u2029' {
			b.WriteRune(r)
			continue
		}
		for _, octet := range []byte(string(r)) {
			fmt.Fprintf(&b, "#%03o", octet)
		}
	}
	return b.String()
}

// receiver starts one of the real daemons.
type receiver struct {
	name   string
	start  func(*testing.T) *counterparts.Daemon
	inputs []string
}

func receivers() []receiver {
	return []receiver{
		{"rsyslog", func(t *testing.T) *counterparts.Daemon { return counterparts.Rsyslog(t, counterparts.RsyslogOptions{}) },
			[]string{"udp", "tcp", "newline", "tls", "relp", "relps"}},
		{"syslog-ng", func(t *testing.T) *counterparts.Daemon {
			return counterparts.SyslogNG(t, counterparts.SyslogNGOptions{})
		},
			[]string{"udp", "tcp", "newline", "tls"}},
	}
}

// TestReadBack sends hostile records to every input of both daemons and compares what they parsed, field by field.
func TestReadBack(t *testing.T) {
	t.Parallel()
	for _, r := range receivers() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			d := r.start(t)
			for _, input := range r.inputs {
				t.Run(input, func(t *testing.T) { readBack(t, d, input) })
			}
		})
	}
}

func readBack(t *testing.T, d *counterparts.Daemon, input string) {
	o := start(t, table(d, input, `sd_meta = true`, `sd_origin = true`, `sd_timequality = true`, `facility = "local3"`, `app_name = "guard"`))
	var batch []outputs.Record
	for i, text := range hostile {
		batch = append(batch, hostileRecord(t, i+1, text))
	}
	deliverAsWorker(t, o, batch)
	got := d.WaitFor(fmt.Sprint(len(batch), " records by ", input), patience, func(all []counterparts.Record) bool {
		return len(by(input, all)) >= len(batch)
	})
	got = by(input, got)
	if len(got) != len(batch) {
		t.Fatalf("%d records for %d sent", len(got), len(batch))
	}
	for i := range got {
		checkRecord(t, &got[i], &batch[i], i+1)
	}
}

func by(input string, all []counterparts.Record) (some []counterparts.Record) {
	for _, r := range all {
		if r.In == input {
			some = append(some, r)
		}
	}
	return some
}

func checkRecord(t *testing.T, got *counterparts.Record, sent *outputs.Record, sequence int) {
	t.Helper()
	s := sent.Signal
	for _, c := range []struct{ field, got, want string }{
		{"PRI", got.Pri, "154"}, {"HOSTNAME", got.Host, "web-1"}, {"APP-NAME", got.App, "guard"}, {"MSGID", got.MsgID, "sudo_root"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.field, c.got, c.want)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, got.Time)
	if created, _ := s.Created(); err != nil || at.Sub(created).Abs() > time.Second {
		t.Errorf("TIMESTAMP is %q, want %v", got.Time, created)
	}
	want := map[string]string{
		"linuxguard@32473.signal_id": s.SignalID, "linuxguard@32473.tenant_id": s.TenantID, "linuxguard@32473.server_id": s.ServerID,
		"linuxguard@32473.identity_name": s.IdentityName, "linuxguard@32473.identity_id": s.IdentityID,
		"linuxguard@32473.environment": s.Environment, "linuxguard@32473.bridge_id": sent.BridgeID,
		"linuxguard@32473.bridge_seq": fmt.Sprint(sent.Seq), "linuxguard@32473.delivery_id": sent.DeliveryID,
		"origin.software": "linuxguard-bridge", "origin.swVersion": "1.2.3",
		"meta.sequenceId": fmt.Sprint(sequence), "timeQuality.tzKnown": "1",
	}
	for key, value := range want {
		if text, ok := parameter(got, key); !ok || text != visible(value) {
			t.Errorf("%s is %q (present: %v), want %q", key, text, ok, value)
		}
	}
	if strings.TrimPrefix(got.Msg, " ") != visible(s.Description) {
		t.Errorf("MSG is %q, want %q", got.Msg, s.Description)
	}
}

// parameter reads an SD-PARAM as the daemon parsed it (syslog-ng), or from the structured data that it kept whole.
func parameter(r *counterparts.Record, key string) (string, bool) {
	if r.Params != nil {
		text, ok := r.Params[key]
		return text, ok
	}
	_, name, _ := strings.Cut(key, ".")
	return r.Param(name)
}
