package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// odd is a webhook that the documentation doesn't foresee. data is the inside of its "data" beside signal_id.
type odd struct {
	name string
	data string
	more string // beside "data"

	param map[string]string // syslog parameters, as text
	event map[string]string // HEC's event, as text; default: like param
	pri   string
	msg   string // a prefix of MSG
	notes string // bridge_notes holds it
	cut   string // bridge_cut in syslog
}

func odds() []odd {
	long := strings.Repeat("0123456789", 6000)
	return []odd{
		{name: "unknown fields", data: `"severity":2,"category":"privilege_escalation","count":17,"nested":{"a":[1,{"b":"c"}]},"flag":true`, more: `,"region":"eu-1"`,
			param: map[string]string{"category": "privilege_escalation", "count": "17", "nested": `{"a":[1,{"b":"c"}]}`, "flag": "true", "region": "eu-1"},
			event: map[string]string{"category": "privilege_escalation", "count": "17", "nested": `map[a:[1 map[b:c]]]`, "flag": "true", "region": "eu-1"}},
		{name: "unknown fields that would overwrite ours", data: `"severity":2,"bridge_seq":999,"server_hostname":"evil","delivery_id":"evil"`,
			param: map[string]string{"webhook_bridge_seq": "999", "webhook_server_hostname": "evil", "webhook_delivery_id": "evil"}},
		{name: "severity 9", data: `"severity":9,"description":"x"`, param: map[string]string{"severity_raw": "9"}, notes: "severity", msg: "x"},
		{name: "severity by name", data: `"severity":"critical"`, pri: "10", param: map[string]string{"severity": "5"}},
		{name: "nearly nothing", data: `"severity":3`, pri: "12"},
		{name: "numbers for IDs", data: `"severity":3,"server_id":42,"identity_id":43`, param: map[string]string{"server_id": "42", "identity_id": "43"}},
		{name: "no time that can be read", data: `"severity":3,"created_at":"yesterday"`, param: map[string]string{"created_at": "yesterday"}, notes: "created_at"},
		{name: "not UTF-8", data: "\"severity\":3,\"description\":\"bad \xff\xfe byte\",\"server_name\":\"web\xff\"", msg: "bad "},
		{name: "a description that is far too long", data: `"severity":3,"description":"` + long + `"`, cut: "description", msg: long[:1000],
			event: map[string]string{"description": long}},
	}
}

func (o *odd) id(i int) string { return fmt.Sprintf("odd_%02d", i) }

func (o *odd) body(i int) []byte {
	return fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","timestamp":%q%s,"data":{"signal_id":%q,%s}}`,
		time.Now().UTC().Format(time.RFC3339), o.more, o.id(i), o.data)
}

// TestOddPayloads: whatever is in a signed body arrives as something valid, and says what was odd.
func TestOddPayloads(t *testing.T) {
	t.Parallel()
	rsyslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	hec := counterparts.HECReceiver(t, counterparts.HECOptions{})
	b := bridgetest.Start(t, bridgetest.Options{Env: []string{"LINUXGUARD_TEST_TOKEN=x"}, Outputs: `
[output.siem]
type = "syslog"
addresses = ["` + rsyslog.URL("tcp") + `"]
[output.splunk]
type = "splunk_hec"
urls = ["` + hec.URL() + `"]
token = "env:LINUXGUARD_TEST_TOKEN"
`})
	client := b.Client(sender.ClientOptions{})
	all := odds()
	for i := range all {
		b.MustPost(client, all[i].body(i), "accepted")
	}
	records := rsyslog.WaitRecords(len(all), arrive)
	events := hec.WaitEvents(len(all), arrive)
	for i := range all {
		o := &all[i]
		t.Run(o.name, func(t *testing.T) {
			o.compareRecord(t, records[i], o.id(i)) // TCP keeps the order
			o.compareEvent(t, events, o.id(i))
		})
	}
	if len(records) != len(all) || len(events) != len(all) {
		t.Errorf("%d records and %d events for %d signals", len(records), len(events), len(all))
	}
}

func (o *odd) compareRecord(t *testing.T, r counterparts.Record, id string) {
	t.Helper()
	want := map[string]string{"signal_id": id}
	for name, value := range o.param {
		want[name] = value
	}
	if o.cut != "" {
		want["bridge_cut"] = o.cut
	}
	for name, value := range want {
		if got, ok := r.Param(name); !ok || got != value {
			t.Errorf("syslog: parameter %s is %q (present: %v), want %q", name, got, ok, value)
		}
	}
	if notes, _ := r.Param("bridge_notes"); !strings.Contains(notes, o.notes) {
		t.Errorf("syslog: bridge_notes is %q, want it to tell of %s", notes, o.notes)
	}
	if o.pri != "" && r.Pri != o.pri || r.Ver != "1" {
		t.Errorf("syslog: PRI %s, VERSION %s", r.Pri, r.Ver)
	}
	if !strings.HasPrefix(strings.TrimPrefix(r.Msg, " "), o.msg) || len(r.Raw) > 8192 {
		t.Errorf("syslog: %d octets, MSG %.80q", len(r.Raw), r.Msg)
	}
}

func (o *odd) compareEvent(t *testing.T, events []counterparts.HECEvent, id string) {
	t.Helper()
	for _, e := range events {
		if e.Event["signal_id"] != id {
			continue
		}
		want := o.event
		if want == nil {
			want = o.param
		}
		for name, value := range want {
			if got := fmt.Sprint(e.Event[name]); got != value {
				t.Errorf("HEC: %s is %.200q, want %.200q", name, got, value)
			}
		}
		if notes := fmt.Sprint(e.Event["bridge_notes"]); o.notes != "" && !strings.Contains(notes, o.notes) {
			t.Errorf("HEC: bridge_notes is %q, want it to tell of %s", notes, o.notes)
		}
		if e.Host == "" || e.Time == 0 {
			t.Errorf("HEC: host %q, time %f", e.Host, e.Time)
		}
		if _, err := json.Marshal(e.Event); err != nil {
			t.Error(err)
		}
		return
	}
	t.Errorf("HEC: no event of %s", id)
}

// TestFullQueue: when the allowance is used up the answer is 503 with Retry-After, a known duplicate is still 200, and
// when the output is back everything that was acknowledged arrives and new signals are accepted again.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	rsyslog := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	rsyslog.Stop()
	b := bridgetest.Start(t, bridgetest.Options{Server: `max_body_bytes = "64KiB"`, Queue: `max_bytes = "1MiB"`, Outputs: `
[output.siem]
type = "syslog"
addresses = ["` + rsyslog.URL("tcp") + `"]
`})
	client := b.Client(sender.ClientOptions{})
	var first []byte
	accepted := 0
	for {
		e := sender.Sample(3, time.Now(), nil)
		e.Data.Description = strings.Repeat("x", 10<<10)
		answer, err := client.Post(t.Context(), b.Signer().Deliver(e.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status == 503 {
			if answer.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			break
		}
		if answer.Outcome != "accepted" || accepted > 1000 {
			t.Fatalf("answer %v after %d", answer, accepted)
		}
		if first == nil {
			first = e.JSON()
		}
		accepted++
	}
	b.MustPost(client, first, "duplicate")
	rsyslog.Start()
	if got := len(rsyslog.WaitRecords(accepted, 2*arrive)); got != accepted {
		t.Errorf("%d records of %d", got, accepted)
	}
	bridgetest.Eventually(t, arrive, "room in the queue", func() bool {
		answer, err := client.Post(t.Context(), b.Signer().Deliver(body(func(*sender.Envelope) {})))
		return err == nil && answer.Outcome == "accepted"
	})
	t.Logf("%d signals of 10 KiB fit into 1 MiB", accepted)
}
