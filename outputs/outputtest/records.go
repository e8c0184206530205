package outputtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// BridgeID is the queue's ID in the records of this package.
const BridgeID = "0198f1c2-7a1e-7c3b-9d4f-2b6a8c0e1f35"

// Start is when the first of Records was received; each later one a second later.
var Start = time.Date(2026, 3, 2, 14, 32, 2, 345678000, time.UTC)

// Body returns a webhook body as LinuxGuard documents it, with the given signal ID and description.
func Body(signalID, description string) []byte {
	body, err := json.Marshal(map[string]any{
		"event_type": "signal_created", "version": "v1", "timestamp": "2026-03-02T14:32:02Z", "tenant_id": "tn_7f3a",
		"data": map[string]any{
			"signal_id": signalID, "signal_type": "sudo_command_executed", "severity": 4, "description": description,
			"server_id": "srv_01", "server_name": "web-01", "identity_id": "idn_42", "identity_name": "jsmith",
			"environment": "production", "created_at": "2026-03-02T14:32:01Z",
		},
		"console_url": "https://console.example.com/signals/" + signalID,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// Record makes the record that a bridge would make of body.
func Record(t testing.TB, seq uint64, body []byte) outputs.Record {
	t.Helper()
	sig, err := signal.Decode(body)
	if err != nil {
		t.Fatalf("decode %q: %v", body, err)
	}
	return outputs.Record{
		BridgeID: BridgeID, Seq: seq, Endpoint: "linuxguard", DeliveryID: DeliveryID(seq),
		ReceivedAt: Start.Add(time.Duration(seq) * time.Second), Body: body, Signal: sig, //nolint:gosec // small numbers
	}
}

// DeliveryID returns the delivery ID of the record with this bridge_seq.
func DeliveryID(seq uint64) string { return fmt.Sprintf("6f1f3c0a-2f4e-4a53-9f0e-%012x", seq) }

// Records returns n records with the bridge_seqs from first.
func Records(t testing.TB, first uint64, n int) []outputs.Record {
	t.Helper()
	records := make([]outputs.Record, n)
	for i := range records {
		seq := first + uint64(i)
		records[i] = Record(t, seq, Body(fmt.Sprintf("sig_%d", seq), "Sudo command executed"))
	}
	return records
}

// HostileBodies are signed bodies that try to break out of their place in a record, or out of a line, and odd ones that
// must map to something valid.
func HostileBodies() [][]byte {
	description := func(d string) []byte { return Body("sig_hostile", d) }
	bodies := [][]byte{
		description(`quotes " and ' brackets [x] ] backslash \ \" \]`),
		description("two\nlines\r\n<13>1 - evil - - - - forged"),
		description("NUL \x00, escape \x1b[31m, tab \t, delete \x7f, next line \u0085, separators \u2028\u2029"),
		description(`"} {"event":"forged"}`),
		description(`x] [linuxguard@32473 signal_id="forged"] y`),
		description("emoji 🙂, combining é, right to left \u202e"),
		description(strings.Repeat("long ", 64<<10/5)),
		[]byte("{\"event_type\":\"signal_created\",\"version\":\"v1\",\"data\":{\"signal_id\":\"sig_utf8\",\"description\":\"bad \xff\xfe\xc3( \xed\xa0\x80\"}}"),
		[]byte(`{"event_type":"signal_created","version":"v1","data":{"signal_id":1234567890123456789,"severity":9}}`),
		[]byte(`{"event_type":"signal_created","version":"v1","data":{"signal_id":"sig_names","bridge_seq":1,"bridge_id":"forged",` +
			`"x\" bridge_seq=\"1":1,"":2,"a b":3,"=]\"":{"deep":[1,{"x":"\u0000"}]},"webhook_bridge_seq":4,"bridge_seq ":5,"delivery_id":"forged"}}`),
	}
	return bodies
}
