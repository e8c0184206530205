package mapping_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The targets differ only in the formats that they look at: each finds its own corners.

func FuzzSyslog(f *testing.F) {
	fuzz(f, func(name string) bool {
		return name == "rfc5424" || name == "rfc3164" || name == "rfc5424-all" || name == "cut"
	})
}
func FuzzCEF(f *testing.F) {
	fuzz(f, func(name string) bool { return strings.HasSuffix(name, "-cef") })
}
func FuzzLEEF(f *testing.F) {
	fuzz(f, func(name string) bool { return strings.HasSuffix(name, "-leef") })
}
func FuzzHEC(f *testing.F) {
	fuzz(f, func(name string) bool {
		return strings.HasPrefix(name, "hec") || strings.HasSuffix(name, "json")
	})
}

func fuzz(f *testing.F, wanted func(name string) bool) {
	for _, c := range cases(f) {
		f.Add([]byte(c.Must(f, "webhook.json")), "6f1f3c0a-2f4e-4a53-9f0e-6f1d2a7b9c10", "linuxguard", uint64(42), uint64(0))
	}
	f.Add([]byte(documented), "\n] \"\xff", "a=b|c^d\\", uint64(1), uint64(7))
	var wantedFormats []format
	for _, format := range formats(f) {
		if wanted(format.name) {
			wantedFormats = append(wantedFormats, format)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, deliveryID, endpoint string, seq, resendOf uint64) {
		sig, err := signal.Decode(bytes.Clone(body))
		if err != nil {
			body = wrap(string(body), endpoint, deliveryID)
			if sig, err = signal.Decode(body); err != nil {
				t.Fatalf("%v: %q", err, body)
			}
		}
		rec := &outputs.Record{
			BridgeID: "0198f1c2-7a1e-7c3b-9d4f-2b6a8c0e1f35", Seq: seq, ResendOf: resendOf, Endpoint: endpoint, DeliveryID: deliveryID,
			ReceivedAt: time.Date(2026, 3, 2, 14, 32, 2, 345678900, time.UTC), Body: body, Signal: sig, Synthetic: seq%7 == 3,
		}
		for _, format := range wantedFormats {
			checkLine(t, format, rec, string(format.encode(nil, rec)))
		}
	})
}

// wrap makes a body of what the fuzzer gave instead of one, so that no try is in vain: text as description and as nearly
// everything else, name as the name of an unknown field.
func wrap(text, name, value string) []byte {
	q := func(s string) string {
		var b strings.Builder
		b.WriteByte('"')
		for i := range len(s) { // bytes: what is no UTF-8 stays so
			if c := s[i]; c < ' ' || c == '"' || c == '\\' {
				fmt.Fprintf(&b, "\\u%04x", c)
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		return b.String()
	}
	return fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","tenant_id":%[3]s,"data":{"signal_id":%[3]s,"description":%[1]s,`+
		`"signal_type":%[1]s,"server_name":%[1]s,"created_at":%[3]s,"severity":%[3]s,%[2]s:%[1]s,%[2]s:{%[2]s:%[3]s},"x":%[1]s}}`, q(text), q(name), q(value))
}
