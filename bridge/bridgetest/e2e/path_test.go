package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// example is one webhook with what the receivers should make of it.
type example struct {
	name string
	body sender.Envelope

	pri     string // facility user is 8
	msgID   string
	host    string
	syslogT string // TIMESTAMP
	hecT    float64
	msg     string // of syslog; default: the description, escaped
}

func examples() []example {
	base := sender.Sample(4, time.Now(), nil)
	base.Data.CreatedAt = "2026-03-02T14:32:01.25Z"
	base.Data.Description = "Sudo command executed"
	all := []example{{name: "plain", body: base}}
	for severity, pri := range map[int]string{1: "14", 2: "13", 3: "12", 5: "10"} {
		e := example{name: fmt.Sprintf("severity %d", severity), body: base, pri: pri}
		e.body.Data.Severity = severity
		all = append(all, e)
	}
	add := func(name string, change func(e *example)) {
		e := example{name: name, body: base}
		change(&e)
		all = append(all, e)
	}
	add("quotes, brackets, backslashes", func(e *example) {
		e.body.Data.Description = `he said "no" ] [x@1 a="b"] \ \" \] end\`
		e.body.Data.IdentityName = `a"b\c]d`
		e.body.Data.Environment = `] [forged@1 signal_id="evil"`
	})
	add("control characters", func(e *example) {
		e.body.Data.Description = "first\n<13>1 2026-03-02T14:32:01Z evil su - - - forged\r\n\ttab\x1b[31m\x7f"
		e.body.Data.IdentityName = "root\n\" ]"
		e.body.Data.ServerName = "web 01\nevil"
		e.host = "web_01_evil"
	})
	add("NUL", func(e *example) { e.body.Data.Description = "before\x00after" })
	add("emoji", func(e *example) {
		e.body.Data.Description = "🔥 größer \u2713"
		e.body.Data.IdentityName = "jürgen🔥"
	})
	add("time with an offset and nine digits", func(e *example) {
		e.body.Data.CreatedAt = "2026-03-02T16:32:01.123456789+02:00"
		e.syslogT, e.hecT = "2026-03-02T16:32:01.123456+02:00", 1772461921.123456
	})
	add("long type", func(e *example) {
		e.body.Data.SignalType = strings.Repeat("abcd_", 10)
		e.msgID = strings.Repeat("abcd_", 10)[:32]
	})
	for i := range all {
		e := &all[i]
		e.body.Data.SignalID = fmt.Sprintf("sig_%02d", i)
		e.body.ConsoleURL = "https://console.example.com/signals/" + e.body.Data.SignalID
		e.pri = cmp.Or(e.pri, "11")
		e.msgID = cmp.Or(e.msgID, e.body.Data.SignalType)
		e.host = cmp.Or(e.host, e.body.Data.ServerName)
		e.syslogT = cmp.Or(e.syslogT, "2026-03-02T14:32:01.250Z")
		e.msg = cmp.Or(e.msg, escaped(e.body.Data.Description))
		if e.hecT == 0 {
			e.hecT = 1772461921.25
		}
	}
	return all
}

// fields is what every record must carry, under LinuxGuard's native names.
func (e *example) fields(d sender.Delivery) map[string]string {
	b := e.body
	return map[string]string{
		"tenant_id": b.TenantID, "signal_id": b.Data.SignalID, "signal_type": b.Data.SignalType, "severity": fmt.Sprint(b.Data.Severity),
		"description": b.Data.Description, "server_id": b.Data.ServerID, "server_hostname": b.Data.ServerName,
		"identity_id": b.Data.IdentityID, "identity_name": b.Data.IdentityName, "environment": b.Data.Environment,
		"created_at": b.Data.CreatedAt, "console_url": b.ConsoleURL, "delivery_id": d.ID, "event_type": b.EventType,
		"version": b.Version, "timestamp": b.Timestamp, "endpoint": "linuxguard",
	}
}

// TestStraightPath posts every example over HTTP/1.1 and HTTP/2, with and without a length, and compares every field
// that rsyslog, syslog-ng, OpenTelemetry's HEC receiver and the file show.
func TestStraightPath(t *testing.T) {
	w := newWorld(t, bridgetest.Options{Server: "http2 = true"})
	clients := []*sender.Client{w.Client(sender.ClientOptions{}), w.Client(sender.ClientOptions{HTTP1: true})}
	all := examples()
	deliveries := make([]sender.Delivery, len(all))
	for i, e := range all {
		d := w.Signer().Deliver(e.body.JSON())
		post := clients[i%2].Post
		var answer sender.Answer
		var err error
		if i%4 < 2 {
			answer, err = post(t.Context(), d)
		} else {
			answer, err = post(t.Context(), d, sender.Chunked)
		}
		if err != nil || answer.Outcome != "accepted" {
			t.Fatalf("%s: %v %v", e.name, answer, err)
		}
		deliveries[i] = d
	}
	n := len(all)
	rsyslog := w.rsyslog.WaitRecords(2*n, arrive)
	syslogNG := w.syslogNG.WaitRecords(2*n, arrive)
	events := w.hec.WaitEvents(n, arrive)
	bridgetest.Eventually(t, arrive, "the archive", func() bool { return len(w.archived(t)) >= n })
	bridgeID := w.Status().Queue.BridgeID
	if bridgeID == "" {
		t.Fatal("the queue has no bridge_id")
	}
	for i := range all {
		e := &all[i]
		want := e.fields(deliveries[i])
		want["bridge_id"], want["bridge_seq"] = bridgeID, fmt.Sprint(i+1)
		t.Run(e.name, func(t *testing.T) {
			for _, input := range []string{"tcp", "udp"} {
				e.compareSyslog(t, "rsyslog "+input, bySignal(t, named(rsyslog, input), e), want)
			}
			for _, input := range []string{"tcp", "tls"} {
				r := bySignal(t, named(syslogNG, input), e)
				e.compareSyslog(t, "syslog-ng "+input, r, want)
				e.compareParams(t, "syslog-ng "+input, r, want)
			}
			e.compareHEC(t, events, want)
			compareJSON(t, "archive", byID(t, w.archived(t), e.body.Data.SignalID), want)
		})
	}
	for name, got := range map[string]int{"rsyslog": len(rsyslog), "syslog-ng": len(syslogNG)} {
		if got != 2*n {
			t.Errorf("%s has %d records instead of %d: a value has started a record of its own", name, got, 2*n)
		}
	}
}

func bySignal(t *testing.T, all []counterparts.Record, e *example) counterparts.Record {
	t.Helper()
	var found []counterparts.Record
	for _, r := range all {
		if id, _ := r.Param("signal_id"); id == e.body.Data.SignalID {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d records of %s among %d", len(found), e.body.Data.SignalID, len(all))
	}
	return found[0]
}

func byID(t *testing.T, all []map[string]any, id string) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, object := range all {
		if object["signal_id"] == id {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of %s among %d", len(found), id, len(all))
	}
	return found[0]
}

// compareSyslog compares the header, MSG, and the structured data as text.
func (e *example) compareSyslog(t *testing.T, who string, r counterparts.Record, want map[string]string) {
	t.Helper()
	check := func(field, got, want string) {
		if got != want {
			t.Errorf("%s: %s is %q, want %q", who, field, got, want)
		}
	}
	check("PRI", r.Pri, e.pri)
	check("HOSTNAME", r.Host, e.host)
	check("APP-NAME", r.App, "linuxguard")
	check("MSGID", r.MsgID, e.msgID)
	if strings.HasPrefix(who, "rsyslog") { // syslog-ng shows neither the version nor more than milliseconds
		check("VERSION", r.Ver, "1")
		check("TIMESTAMP", r.Time, e.syslogT)
		check("PROCID", r.ProcID, "-")
	}
	check("MSG", strings.TrimPrefix(r.Msg, " "), e.msg)
	if !strings.HasPrefix(r.SD, "[linuxguard@55555 ") {
		t.Errorf("%s: structured data is %q", who, r.SD)
	}
	for name, value := range want {
		got, ok := r.Param(name)
		if !ok || got != escaped(value) {
			t.Errorf("%s: parameter %s is %q (present: %v), want %q", who, name, got, ok, escaped(value))
		}
	}
}

// compareParams compares the structured data as syslog-ng parsed it.
func (e *example) compareParams(t *testing.T, who string, r counterparts.Record, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.Params["linuxguard@55555."+name]; got != escaped(value) {
			t.Errorf("%s: parsed parameter %s is %q, want %q", who, name, got, escaped(value))
		}
	}
}

func (e *example) compareHEC(t *testing.T, events []counterparts.HECEvent, want map[string]string) {
	t.Helper()
	var found []counterparts.HECEvent
	for _, event := range events {
		if event.Event["signal_id"] == e.body.Data.SignalID {
			found = append(found, event)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d HEC events of %s", len(found), e.body.Data.SignalID)
	}
	got := found[0]
	if got.Host != e.body.Data.ServerName || got.Source != "linuxguard" || got.SourceType != "linuxguard:signal" || got.Index != "security" {
		t.Errorf("HEC: metadata %q %q %q %q", got.Host, got.Source, got.SourceType, got.Index)
	}
	if diff := got.Time - e.hecT; diff > 1e-6 || diff < -1e-6 {
		t.Errorf("HEC: time %f, want %f", got.Time, e.hecT)
	}
	compareJSON(t, "HEC", got.Event, want)
}

func compareJSON(t *testing.T, who string, got map[string]any, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if fmt.Sprint(got[name]) != value {
			t.Errorf("%s: %s is %q, want %q", who, name, got[name], value)
		}
	}
	for _, name := range []string{"severity", "bridge_seq"} {
		if _, ok := got[name].(json.Number); !ok {
			if _, ok := got[name].(float64); !ok {
				t.Errorf("%s: %s is a %T, want a number", who, name, got[name])
			}
		}
	}
}
