package splunk

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

var oldHeader = regexp.MustCompile(`^<\d+>[A-Z][a-z]{2} .{11} \S+ linuxguard: \[`)

// TestSyslog holds each SD-PARAM that an independent parser finds in a record to what Splunk shows.
func TestSyslog(t *testing.T) {
	t.Parallel()
	s := load(t)
	for _, format := range []string{"rfc5424", "rfc5424-all", "cut", "rfc3164"} {
		for name, record := range goldenRecords(t, format) {
			f := s.see(event{raw: record, sourcetype: "linuxguard:signal:syslog"})
			// The element is the same behind either header; the parser knows RFC 5424's.
			params := parameters(t, oldHeader.ReplaceAllLiteralString(record, "<11>1 - - - - - ["))
			for field, want := range params {
				if raised := []string{want.(string)}; alerts[field] == "" && !slices.Equal(unescape(field, f[field]), raised) {
					t.Errorf("%s/%s: %s is %q, want %q", format, name, field, f[field], raised)
				}
			}
			if name != "colliding-names" {
				checkAlert(t, format+"/"+name, params, f)
			}
		}
	}
}

// parameters is the bridge's SD-ELEMENT by leodido/go-syslog.
func parameters(t testing.TB, record string) map[string]any {
	t.Helper()
	message, err := rfc5424.NewParser(rfc5424.WithBestEffort()).Parse([]byte(record))
	if err != nil {
		t.Fatalf("%v: %s", err, record)
	}
	for id, params := range *message.(*rfc5424.SyslogMessage).StructuredData {
		if !strings.HasPrefix(id, "linuxguard@") {
			continue
		}
		all := map[string]any{}
		for name, value := range params {
			all[name] = value
		}
		return all
	}
	t.Fatalf("no element of ours in %s", record)
	return nil
}

// unescape does what the add-on does for fields of free text, for the webhook's unknown ones: they stay escaped.
func unescape(field string, values []string) []string {
	for _, known := range mapping.Fields() {
		if known.Name == field {
			return values
		}
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = regexp.MustCompile(`\\(["\\\]])`).ReplaceAllString(v, "$1")
	}
	return out
}

// TestTextMakesNoFields: what a user typed stands in MSG, too, and must not hide an alert or raise one.
func TestTextMakesNoFields(t *testing.T) {
	t.Parallel()
	s := load(t)
	const evil = `x] [linuxguard@1 bridge_synthetic="true" severity="1"] bridge_synthetic="true" resend_of="7" `
	escaped := strings.NewReplacer(`"`, `\"`, `]`, `\]`).Replace(evil)
	for _, header := range []string{`<11>1 2026-03-02T14:32:01Z web-01 linuxguard - sudo `, `<11>Mar  2 14:32:01 web-01 linuxguard: `, `Mar  2 14:32:01 linuxguard: `} {
		f := s.see(event{sourcetype: "linuxguard:signal:syslog",
			raw: header + `[meta sequenceId="1"][linuxguard@55555 signal_id="s" severity="5" description="` + escaped + `"][origin software="x"] ` + evil})
		if f["bridge_synthetic"] != nil || f["resend_of"] != nil || !slices.Equal(f["severity"], []string{"critical"}) ||
			!slices.Equal(f["tag"], []string{"alert"}) || !slices.Equal(f["description"], []string{evil}) {
			t.Errorf("%s: %v", header, f)
		}
	}
}
