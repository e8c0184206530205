package syslog

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// largeRecord has a description of 64 KiB that is not ASCII alone.
func largeRecord(t *testing.T, seq int) outputs.Record {
	t.Helper()
	r := record(seq)
	var body map[string]any
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	body["data"].(map[string]any)["description"] = strings.Repeat("0123456789ümläut", 4096)[:64<<10]
	r.Body, _ = json.Marshal(body)
	var err error
	if r.Signal, err = signal.Decode(r.Body); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLargeDescriptions: 64 KiB arrive whole where max_message_bytes allows it, and cut on a rune boundary, marked and with
// whole structured data where it doesn't.
func TestLargeDescriptions(t *testing.T) {
	t.Parallel()
	for _, r := range []receiver{
		{"rsyslog", func(t *testing.T) *counterparts.Daemon {
			return counterparts.Rsyslog(t, counterparts.RsyslogOptions{MaxMessageSize: "256k"})
		}, []string{"tcp", "newline", "tls", "relp", "relps"}},
		{"syslog-ng", func(t *testing.T) *counterparts.Daemon {
			return counterparts.SyslogNG(t, counterparts.SyslogNGOptions{Extra: "options { log-msg-size(262144); };"})
		}, []string{"tcp", "tls"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			d := r.start(t)
			sent := largeRecord(t, 1)
			for _, input := range r.inputs {
				mustDeliver(t, start(t, table(d, input, `max_message_bytes = "100KiB"`)), []outputs.Record{sent})
				mustDeliver(t, start(t, table(d, input, `max_message_bytes = "2KiB"`)), []outputs.Record{sent})
				got := by(input, d.WaitFor("2 records by "+input, patience, func(all []counterparts.Record) bool { return len(by(input, all)) >= 2 }))
				if msg := strings.TrimPrefix(got[0].Msg, " "); msg != sent.Signal.Description {
					t.Errorf("%s: %d bytes of MSG arrived, sent %d", input, len(msg), len(sent.Signal.Description))
				}
				short := strings.TrimPrefix(got[1].Msg, " ")
				if whole := sent.Signal.Description; len(short) > 2048 || len(short) < 500 || !strings.HasPrefix(whole, short[:500]) {
					t.Errorf("%s: cut to %d bytes: %.60q", input, len(short), short)
				}
				for name, want := range map[string]string{"signal_id": "sig-1", "bridge_seq": "1", "delivery_id": "d-1"} {
					if value, ok := parameter(&got[1], "linuxguard@32473."+name); !ok || value != want {
						t.Errorf("%s: %s of the cut message is %q", input, name, value)
					}
				}
				if value, ok := parameter(&got[1], "linuxguard@32473.bridge_cut"); !ok || value == "" {
					t.Errorf("%s: the cut is not marked", input)
				}
			}
		})
	}
}

// TestEveryFormatArrivesAsRendered compares what rsyslog took off the wire with what render shows.
func TestEveryFormatArrivesAsRendered(t *testing.T) {
	t.Parallel()
	d := counterparts.Rsyslog(t, counterparts.RsyslogOptions{})
	n := 0
	for _, input := range []string{"udp", "newline", "tls", "relp"} {
		for _, format := range []string{"rfc5424", "rfc3164"} {
			for _, message := range []string{"text", "json", "cef", "leef", "ocsf"} {
				o := start(t, table(d, input, fmt.Sprintf("format = %q\nmessage = %q", format, message)))
				var batch []outputs.Record
				for i, text := range hostile {
					batch = append(batch, hostileRecord(t, i+1, text))
				}
				mustDeliver(t, o, batch)
				n += len(batch)
				got := d.WaitRecords(n, patience)[n-len(batch):]
				for i := range got {
					want, err := o.Render(batch[i])
					if err != nil || got[i].Raw != string(want) {
						t.Errorf("%s, %s, %s:\narrived %q\nrender  %q %v", input, format, message, got[i].Raw, want, err)
					}
				}
			}
		}
	}
}

// TestProbeOfRealDaemons: a probe says what it found, leaves nothing, and tells a wrong port from a right one.
func TestProbeOfRealDaemons(t *testing.T) {
	t.Parallel()
	for _, r := range receivers() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			d := r.start(t)
			for _, input := range r.inputs {
				text, err := start(t, table(d, input)).Probe(t.Context())
				if err != nil || len(text) != 1 || !text[0].OK {
					t.Errorf("%s: %+v, %v", input, text, err)
				}
				t.Logf("%s: %s", text[0].Target, text[0].Text)
			}
			// Without a client certificate, and with RELP where none is spoken.
			anonymous := fmt.Sprintf("addresses = [%q, %q]\nca_file = %q", d.URL("tls"), "relp://"+d.Addr("newline"), d.TLS.CAFile)
			findings, _ := start(t, anonymous+"\nconnect_timeout = \"1s\"").Probe(t.Context())
			for _, f := range findings {
				t.Logf("%s: %s", f.Target, f.Text)
				if f.OK {
					t.Errorf("%+v", f)
				}
			}
			for _, got := range d.Records() {
				if strings.Contains(got.SD, "linuxguard") {
					t.Errorf("the probe left %+v", got)
				}
			}
		})
	}
}

// cutter forwards connections to target and resets each after a random number of bytes, so that records are torn.
func cutter(t *testing.T, target string) *peer {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	limits := make(chan int64, 30)
	for range cap(limits) {
		limits <- 2_000 + random.Int64N(400_000)
	}
	return listen(t, "tcp", func(in net.Conn) {
		out, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(in, out) }()
		limit := int64(1 << 40)
		select {
		case limit = <-limits:
		default:
		}
		_, _ = io.CopyN(out, in, limit)
		_ = in.(*net.TCPConn).SetLinger(0)
		_ = in.Close()
		_ = out.(*net.TCPConn).SetLinger(0)
		_ = out.Close()
	})
}

// TestTornOverRELP resets the connection in the middle of records again and again, by a proxy that acknowledges what
// never arrives: RELP loses nothing.
func TestTornOverRELP(t *testing.T) {
	t.Parallel()
	d := counterparts.Rsyslog(t, counterparts.RsyslogOptions{Extra: durable})
	n, _ := outageSize()
	proxy := cutter(t, d.Addr("relp"))
	p := newPump(start(t, fmt.Sprintf("addresses = [\"relp://%s\"]", proxy.Addr())), n)
	finished := p.start(t.Context())
	p.waitProgress(t, n)
	<-finished
	got := settle(t, d, p.out, n)
	t.Logf("%d records, %d batches failed: %d lost, %d repeated", n, len(p.failures), got.lost, got.extra)
	if got.lost > 0 || len(p.failures) == 0 {
		t.Errorf("%d lost with %d failures", got.lost, len(p.failures))
	}
}
