package splunkhec

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// TestReal delivers to OpenTelemetry's splunkhecreceiver and reads back what it understood: every envelope key and every
// field of the event, hostile bodies included.
func TestReal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		o     counterparts.HECOptions
		table string
	}{
		{name: "plain"},
		{name: "gzip off", table: "gzip = false"},
		{name: "tls", o: counterparts.HECOptions{TLS: true}},
		{name: "tls with client certificates", o: counterparts.HECOptions{TLS: true, ClientCerts: true}},
		{name: "ack", o: counterparts.HECOptions{Ack: true}, table: ackOn},
		{name: "ack over tls", o: counterparts.HECOptions{Ack: true, TLS: true}, table: ackOn},
		{name: "ack at the receiver only", o: counterparts.HECOptions{Ack: true}},
		{name: "cim", table: `layout = "cim"`},
		{name: "raw", table: `layout = "raw"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			receiver := counterparts.HECReceiver(t, c.o)
			out := realOutput(t, receiver, c.o, c.table+"\nindex = \"main\"\n")
			defer closeOutput(t, out)
			records := outputtest.Records(t, 1, 40)
			for i, body := range outputtest.HostileBodies() {
				records = append(records, outputtest.Record(t, 1000+uint64(i), body))
			}
			for batch := range slices.Chunk(records, 7) {
				if err := send(t, out, slices.Clone(batch)); err != nil {
					t.Fatal(err)
				}
			}
			events := receiver.WaitEvents(len(records), 20*time.Second)
			if len(events) != len(records) {
				t.Errorf("%d events for %d records", len(events), len(records))
			}
			checkReal(t, out, records, events)
		})
	}
}

func realOutput(t *testing.T, receiver *counterparts.HEC, o counterparts.HECOptions, table string) *Output {
	t.Helper()
	if o.TLS {
		table += fmt.Sprintf("ca_file = %q\n", receiver.TLS.CAFile)
	}
	if o.ClientCerts {
		table += fmt.Sprintf("cert_file = %q\nkey_file = %q\n", receiver.TLS.ClientCert, receiver.TLS.ClientKey)
	}
	out, _ := buildOutput(t, table, receiver.URL())
	return out
}

// checkReal compares what the receiver wrote with what was rendered for each record.
func checkReal(t *testing.T, out *Output, records []outputs.Record, events []counterparts.HECEvent) {
	t.Helper()
	found := map[string]counterparts.HECEvent{}
	for _, e := range events {
		found[fmt.Sprint(e.Fields["delivery_id"])] = e
	}
	for _, rec := range records {
		e, ok := found[rec.DeliveryID]
		if !ok {
			t.Errorf("record %d is missing", rec.Seq)
			continue
		}
		var want struct {
			Time                            float64
			Host, Source, Sourcetype, Index string
			Event                           any
		}
		text, _ := out.Render(rec)
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if e.Time != want.Time || e.Host != want.Host || e.Source != want.Source || e.SourceType != want.Sourcetype ||
			e.Index != want.Index || e.Token != testToken {
			t.Errorf("record %d: envelope %v %q %q %q %q, want %+v", rec.Seq, e.Time, e.Host, e.Source, e.SourceType, e.Index, want)
		}
		// Through JSON again, so that both sides have the same types.
		if got, sent := canonical(t, e.Event), canonical(t, want.Event); got != sent {
			t.Errorf("record %d: event\n%s, want\n%s", rec.Seq, got, sent)
		}
	}
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	text, _ = json.Marshal(again)
	return string(text)
}

// TestRealProbe: the receiver has no token check, but an acknowledgement endpoint or none.
func TestRealProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ack   bool
		table string
		ok    bool
	}{{false, "", true}, {true, ackOn, true}, {false, ackOn, false}} {
		receiver := counterparts.HECReceiver(t, counterparts.HECOptions{Ack: c.ack})
		out, _ := buildOutput(t, c.table, receiver.URL())
		findings, err := out.Probe(t.Context())
		if err != nil || len(findings) != 1 || findings[0].OK != c.ok {
			t.Errorf("ack=%v %q: %+v, %v", c.ack, c.table, findings, err)
		}
		if n := len(receiver.Events()); n != 0 {
			t.Errorf("%d events were left", n)
		}
		// Without acknowledgement at the receiver nothing must be sent either.
		if err := send(t, out, outputtest.Records(t, 1, 3)); (err == nil) != c.ok {
			t.Errorf("ack=%v %q: %v", c.ack, c.table, err)
		}
		if n := len(receiver.Events()); (n == 3) != c.ok {
			t.Errorf("ack=%v %q: %d events", c.ack, c.table, n)
		}
		closeOutput(t, out)
	}
}

// TestRealOutage: the receiver is killed under load again and again. Nothing is lost; copies are bounded by what was in
// flight at each kill.
func TestRealOutage(t *testing.T) {
	t.Parallel()
	const n, size, kills = 3000, 25, 3
	for _, ack := range []bool{false, true} {
		t.Run(fmt.Sprintf("ack=%v", ack), func(t *testing.T) {
			t.Parallel()
			receiver := counterparts.HECReceiver(t, counterparts.HECOptions{Ack: ack})
			out, _ := buildOutput(t, fmt.Sprintf("indexer_ack = %v\nack_timeout = \"3s\"\nbatch_max_events = %d", ack, size), receiver.URL())
			defer closeOutput(t, out)
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for range kills {
					time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
					receiver.Kill()
					receiver.Start()
				}
			}()
			tries := (&forwarder{out: out, t: t, size: size, retry: 50 * time.Millisecond, pace: 2 * time.Millisecond}).run(n)
			<-stop
			got := map[string]int{}
			for _, e := range receiver.WaitEvents(n, 20*time.Second) {
				got[fmt.Sprint(e.Fields["delivery_id"])]++
			}
			lost, copies := 0, 0
			for _, rec := range outputtest.Records(t, 1, n) {
				switch c := got[rec.DeliveryID]; {
				case c == 0:
					lost++
				default:
					copies += c - 1
				}
			}
			t.Logf("%d events in %d batches, %d attempts: %d lost, %d copies", n, n/size, tries, lost, copies)
			if lost > 0 {
				t.Errorf("%d lost", lost)
			}
			inFlight := 8 * size
			if most := kills * inFlight; copies > most {
				t.Errorf("%d copies, at most %d were in flight at the kills", copies, most)
			}
		})
	}
}
