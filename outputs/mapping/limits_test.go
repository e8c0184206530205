package mapping_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// everythingLong is a record whose every value is n characters that grow by escaping.
func everythingLong(n int) *outputs.Record {
	long := strings.Repeat("\x01\"", n/2)
	sig := &signal.Signal{
		EventType: long, Version: long, Timestamp: long, TenantID: long, ConsoleURL: long, SignalID: long, SignalType: long, SeverityRaw: `"` + long,
		Description: long, ServerID: long, ServerName: long, IdentityID: long, IdentityName: long, Environment: long, CreatedAt: long,
		Notes: []string{long}, Extra: []signal.Field{{Name: long, Raw: []byte(`"x"`), Text: "x"}},
	}
	return &outputs.Record{
		BridgeID: long, Seq: 1<<64 - 1, ResendOf: 1<<64 - 1, Endpoint: long, DeliveryID: long, Synthetic: true,
		ReceivedAt: time.Date(2026, 3, 2, 14, 32, 2, 345678900, time.UTC), Signal: sig,
	}
}

// TestLimitHolds: no record is so long that the smallest limit would not hold, with every optional element.
func TestLimitHolds(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"text", "json", "cef", "leef", "ocsf"} {
		for _, version := range []string{"rfc5424", "rfc3164"} {
			o := mapping.SyslogOptions{
				Format: version, Message: message, MaxMessageBytes: mapping.MinMaxStructuredBytes, AppName: strings.Repeat("a", 48),
				EnterpriseID: strings.Repeat("9", 21), SequenceID: true, Origin: true, TimeQuality: true, Version: strings.Repeat("1", 50),
			}
			if message == "text" {
				o.MaxMessageBytes = mapping.MinMaxMessageBytes
				o.BOM = version == "rfc5424"
			}
			syslog, err := mapping.NewSyslog(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{200, 500, 5000} {
				out, cut := syslog.Append(nil, everythingLong(n))
				if len(out) > o.MaxMessageBytes || !cut {
					t.Errorf("%s %s, values of %d: %d octets, cut %t: %s", version, message, n, len(out), cut, out)
				}
				for _, id := range []string{"signal", "delivery", "bridge"} {
					if !strings.Contains(strings.ToLower(strings.ReplaceAll(string(out), "_", "")), id+"id") && message != "cef" && message != "ocsf" {
						t.Errorf("%s %s: no %s ID: %s", version, message, id, out)
					}
				}
			}
		}
	}
}

// TestCutGrows: the more room there is, the more is kept, and a message is as long as it may be.
func TestCutGrows(t *testing.T) {
	t.Parallel()
	body := strings.Replace(documented, "Sudo command executed", strings.Repeat("é\\u0001", 3000), 1)
	rec := record(t, body)
	for _, message := range []string{"text", "json", "cef", "leef", "ocsf"} {
		for size := mapping.MinMaxStructuredBytes; size < 24000; size += 997 {
			syslog, err := mapping.NewSyslog(mapping.SyslogOptions{Message: message, MaxMessageBytes: size})
			if err != nil {
				t.Fatal(err)
			}
			out, cut := syslog.Append(nil, rec)
			if len(out) > size || cut && len(out) < size-9 {
				t.Errorf("%s: %d octets where %d may be, cut %t", message, len(out), size, cut)
			}
			if cut != strings.Contains(string(out), "ridge"+map[bool]string{true: "_cut", false: "Cut"}[message == "text" || message == "json" || message == "ocsf"]) {
				t.Errorf("%s: cut %t is not marked: %s", message, cut, out)
			}
		}
	}
}

// TestFieldsFillTheRoom: of many unknown fields as many are kept as fit, the small ones rather than the large.
func TestFieldsFillTheRoom(t *testing.T) {
	t.Parallel()
	var fields strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&fields, `"f%03d":"equal","g%03d":"%s",`, i, i, strings.Repeat("larger", 3))
	}
	rec := record(t, strings.Replace(documented, `"signal_id"`, fields.String()+`"signal_id"`, 1))
	for message, most := range map[string]int{"text": 30, "json": 60, "cef": 60} { // of octets left over
		syslog, err := mapping.NewSyslog(mapping.SyslogOptions{Message: message})
		if err != nil {
			t.Fatal(err)
		}
		out, cut := syslog.Append(nil, rec)
		if !cut || len(out) > mapping.DefaultMaxMessageBytes || len(out) < mapping.DefaultMaxMessageBytes-most {
			t.Errorf("%s: %d octets, cut %t", message, len(out), cut)
		}
		first := map[string]string{"text": "f000=", "json": `"f000":`, "cef": "lg_f000="}[message]
		if !strings.Contains(string(out), first) || strings.Contains(string(out), "larger") {
			t.Errorf("%s: not the smallest fields, or not the first of them: %s", message, out)
		}
	}
}

func TestSequenceID(t *testing.T) {
	t.Parallel()
	syslog, err := mapping.NewSyslog(mapping.SyslogOptions{SequenceID: true})
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want < 4; want++ {
		out, _ := syslog.Append(nil, record(t, documented))
		if !strings.Contains(string(out), fmt.Sprintf(`][meta sequenceId="%d"] `, want)) {
			t.Errorf("want sequenceId %d: %s", want, out)
		}
	}
}

// TestOptions: what can't be is refused with its key.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key     string
		options mapping.SyslogOptions
		text    string
	}{
		{"format", mapping.SyslogOptions{Format: "rfc9999"}, "rfc5424 or rfc3164"},
		{"message", mapping.SyslogOptions{Message: "xml"}, "text, json, cef, leef or ocsf"},
		{"facility", mapping.SyslogOptions{Facility: "security"}, "4 (auth) to rsyslog and 13"},
		{"facility", mapping.SyslogOptions{Facility: "24"}, "0 to 23"},
		{"facility", mapping.SyslogOptions{Facility: "-1"}, "0 to 23"},
		{"app_name", mapping.SyslogOptions{AppName: "two words"}, "printable"},
		{"app_name", mapping.SyslogOptions{AppName: strings.Repeat("a", 49)}, "48"},
		{"enterprise_id", mapping.SyslogOptions{EnterpriseID: "1..2"}, "digits"},
		{"enterprise_id", mapping.SyslogOptions{EnterpriseID: strings.Repeat("1", 22)}, "21"},
		{"max_message_bytes", mapping.SyslogOptions{MaxMessageBytes: 1023}, "1024"},
		{"max_message_bytes", mapping.SyslogOptions{MaxMessageBytes: 2047, Message: "cef"}, "2048"},
		{"bom", mapping.SyslogOptions{BOM: true, Message: "leef"}, "text"},
		{"bom", mapping.SyslogOptions{BOM: true, Format: "rfc3164"}, "RFC 3164"},
	} {
		_, err := mapping.NewSyslog(c.options)
		var keyed *outputs.KeyError
		if !errors.As(err, &keyed) || keyed.Key != c.key || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v, want %s: ... %s", c.options, err, c.key, c.text)
		}
	}
	for _, c := range []struct {
		key     string
		options mapping.HECOptions
	}{{"layout", mapping.HECOptions{Layout: "ecs"}}, {"sourcetype", mapping.HECOptions{Sourcetype: "linuxguard:bridge"}}} {
		_, err := mapping.NewHEC(c.options)
		var keyed *outputs.KeyError
		if !errors.As(err, &keyed) || keyed.Key != c.key {
			t.Errorf("%+v: %v, want %s", c.options, err, c.key)
		}
	}
}

// TestFields: the table that documentation is held to names every field that the bridge emits, and no name twice.
func TestFields(t *testing.T) {
	t.Parallel()
	documented := plain(&outputs.Record{
		BridgeID: "x", Seq: 1, ResendOf: 1, Endpoint: "x", DeliveryID: "x", ReceivedAt: time.Unix(1, 0), Synthetic: true,
		Signal: &signal.Signal{EventType: "x", Version: "x", Timestamp: "x", TenantID: "x", ConsoleURL: "x", SignalID: "x", SignalType: "x", SeverityRaw: "x",
			Description: "x", ServerID: "x", ServerName: "x", IdentityID: "x", IdentityName: "x", Environment: "x", CreatedAt: "x"},
	})
	documented["bridge_notes"], documented["bridge_cut"] = "x", "x"
	seen := map[string]bool{}
	for _, f := range mapping.Fields() {
		if documented[f.Name] == "" || f.Doc == "" || f.CIM == "" || f.Type == "" {
			t.Errorf("%+v is not emitted, or not described", f)
		}
		delete(documented, f.Name)
		for format, name := range map[string]string{"": f.Name, "CIM": f.CIM, "CEF": f.CEF, "LEEF": f.LEEF} {
			if name != "" && seen[format+" "+name] {
				t.Errorf("%s name %s is there twice", format, name)
			}
			seen[format+" "+name] = true
		}
	}
	if len(documented) > 0 {
		t.Errorf("not listed: %v", documented)
	}
}

// TestHost: without an index nothing is said about it, and a host that is set counts for every event.
func TestHost(t *testing.T) {
	t.Parallel()
	hec, err := mapping.NewHEC(mapping.HECOptions{Host: "siem-gw", Source: `a"b`, Sourcetype: "custom"})
	if err != nil {
		t.Fatal(err)
	}
	out := string(hec.Append(nil, record(t, documented)))
	if want := `{"time":1772461921.000,"host":"siem-gw","source":"a\"b","sourcetype":"custom","event":{`; !strings.HasPrefix(out, want) {
		t.Errorf("got %s, want %s...", out, want)
	}
}

// TestNoAllocation: the steady state of the hot path.
func TestNoAllocation(t *testing.T) {
	rec := record(t, documented)
	for _, f := range formats(t) {
		if strings.HasPrefix(f.name, "cut") {
			continue
		}
		buf := f.encode(nil, rec)
		if n := testing.AllocsPerRun(100, func() { buf = f.encode(buf[:0], rec) }); n > 0 {
			t.Errorf("%s: %v allocations a record", f.name, n)
		}
	}
}
