package signal_test

import (
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// documented is a body shaped as LinuxGuard documents it.
const documented = `{"event_type":"signal_created","version":"v1","timestamp":"2026-03-02T14:32:02Z","tenant_id":"tn_7f3a",
 "data":{"signal_id":"sig_abc123","signal_type":"sudo_command_executed","severity":4,"description":"Sudo command executed",
 "server_id":"srv_01","server_name":"web-01","identity_id":"idn_42","identity_name":"jsmith","environment":"production",
 "created_at":"2026-03-02T14:32:01Z"},"console_url":"https://console.example.com/signals/sig_abc123"}`

func BenchmarkDecode(b *testing.B) {
	body := []byte(documented)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signal.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}
