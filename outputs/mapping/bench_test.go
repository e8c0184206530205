package mapping_test

import (
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// documented is a body shaped as LinuxGuard documents it.
const documented = `{"event_type":"signal_created","version":"v1","timestamp":"2026-03-02T14:32:02Z","tenant_id":"tn_7f3a",
 "data":{"signal_id":"sig_abc123","signal_type":"sudo_command_executed","severity":4,"description":"Sudo command executed",
 "server_id":"srv_01","server_name":"web-01","identity_id":"idn_42","identity_name":"jsmith","environment":"production",
 "created_at":"2026-03-02T14:32:01Z"},"console_url":"https://console.example.com/signals/sig_abc123"}`

// record wraps body as the queue would.
func record(t testing.TB, body string) *outputs.Record {
	t.Helper()
	sig, err := signal.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &outputs.Record{
		BridgeID: "0198f1c2-7a1e-7c3b-9d4f-2b6a8c0e1f35", Seq: 42, Endpoint: "linuxguard",
		DeliveryID: "6f1f3c0a-2f4e-4a53-9f0e-6f1d2a7b9c10", ReceivedAt: time.Date(2026, 3, 2, 14, 32, 2, 345678900, time.UTC),
		Body: []byte(body), Signal: sig,
	}
}

func BenchmarkAppend(b *testing.B) {
	rec := record(b, documented)
	hec, err := mapping.NewHEC(mapping.HECOptions{Index: "main", IndexedFields: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("hec", func(b *testing.B) {
		b.ReportAllocs()
		buf := hec.Append(nil, rec)
		for b.Loop() {
			buf = hec.Append(buf[:0], rec)
		}
	})
	for _, o := range []mapping.SyslogOptions{{}, {Message: "json"}, {Message: "cef"}, {Message: "leef"}, {Message: "ocsf"}, {Format: "rfc3164"}} {
		syslog, err := mapping.NewSyslog(o)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(o.Format+o.Message, func(b *testing.B) {
			b.ReportAllocs()
			buf, _ := syslog.Append(nil, rec)
			for b.Loop() {
				buf, _ = syslog.Append(buf[:0], rec)
			}
		})
	}
}

// BenchmarkLongDescription is a description that no syslog message can hold: what is behind its beginning must cost nothing.
func BenchmarkLongDescription(b *testing.B) {
	rec := record(b, strings.Replace(documented, "Sudo command executed", strings.Repeat("x", 256<<10), 1))
	syslog, err := mapping.NewSyslog(mapping.SyslogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = syslog.Append(dst[:0], rec)
	}
}
