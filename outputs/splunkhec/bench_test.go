package splunkhec

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	fast "github.com/klauspost/compress/gzip"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// variedRecords are as different from each other as signals of one fleet are: names repeat, IDs and times don't.
func variedRecords(t testing.TB, n int) []outputs.Record {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	types := []string{"sudo_command_executed", "ssh_login_failed", "file_permission_changed", "service_account_created"}
	hex := func() string { return fmt.Sprintf("%016x", r.Uint64()) }
	batch := make([]outputs.Record, n)
	for i := range batch {
		body := fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","timestamp":"2026-03-02T14:%02d:%02d.%03dZ","tenant_id":"tn_7f3a",`+
			`"data":{"signal_id":"sig_%s","signal_type":%q,"severity":%d,"description":"User user-%d ran /usr/bin/tool-%d --flag=%d as root on web-%02d",`+
			`"server_id":"srv_%s","server_name":"web-%02d.prod.example.com","identity_id":"idn_%d","identity_name":"user-%d","environment":"production",`+
			`"created_at":"2026-03-02T14:%02d:%02d.%03dZ"},"console_url":"https://console.example.com/signals/sig_%s"}`,
			i/60%60, i%60, i%1000, hex(), types[i%4], 1+i%5, r.IntN(200), r.IntN(50), r.IntN(1000), i%80, hex(), i%80, r.IntN(200), r.IntN(200),
			i/60%60, i%60, i%1000, hex())
		sig, err := signal.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		batch[i] = outputs.Record{BridgeID: outputtest.BridgeID, Seq: uint64(i) + 1, Endpoint: "linuxguard",
			DeliveryID: outputtest.DeliveryID(r.Uint64N(1 << 48)), ReceivedAt: outputtest.Start, Body: body, Signal: sig}
	}
	return batch
}

func encodedBatch(b testing.TB, n int) []byte {
	out, _ := buildOutput(b, "", "http://127.0.0.1:1")
	var text []byte
	for _, rec := range variedRecords(b, n) {
		text = append(out.routing.appendEvent(text, &rec), '\n')
	}
	return text
}

type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// BenchmarkGzip is why gzipLevel is what it is: time for an event of a batch of 500, and bytes left of it.
func BenchmarkGzip(b *testing.B) {
	text := encodedBatch(b, 500)
	std := func(level int) compressor { w, _ := gzip.NewWriterLevel(nil, level); return w }
	klauspost := func(level int) compressor { w, _ := fast.NewWriterLevel(nil, level); return w }
	for _, c := range []struct {
		name string
		w    compressor
	}{
		{"klauspost-1", klauspost(1)}, {"klauspost-2", klauspost(2)}, {"klauspost-3", klauspost(3)}, {"klauspost-5", klauspost(5)},
		{"klauspost-huffman", klauspost(fast.HuffmanOnly)}, {"klauspost-stateless", klauspost(fast.StatelessCompression)},
		{"stdlib-1", std(1)}, {"stdlib-huffman", std(gzip.HuffmanOnly)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var out bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				c.w.Reset(&out)
				_, _ = c.w.Write(text)
				_ = c.w.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/event")
			b.ReportMetric(float64(out.Len())/500, "B/event")
			b.ReportMetric(float64(len(text))/500, "plainB/event")
		})
	}
}

// BenchmarkEncode is a request's body, compression included.
func BenchmarkEncode(b *testing.B) {
	batch := variedRecords(b, 500)
	all := make([]int, len(batch))
	for i := range all {
		all[i] = i
	}
	for _, gzip := range []bool{true, false} {
		b.Run(fmt.Sprintf("gzip=%v", gzip), func(b *testing.B) {
			out, _ := buildOutput(b, fmt.Sprintf("gzip = %v", gzip), "http://127.0.0.1:1")
			b.ReportAllocs()
			for b.Loop() {
				body, _ := out.encode(batch, all)
				body.release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/event")
		})
	}
}

// BenchmarkSend is everything, against a server in this process that reads and answers.
func BenchmarkSend(b *testing.B) {
	for _, events := range []int{1, 12, 50, 500} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
			}))
			defer server.Close()
			out, _ := buildOutput(b, "", server.URL)
			out.env.Log = quietLog()
			batch := variedRecords(b, events)
			var wg sync.WaitGroup
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				wg.Add(1)
				out.Send(context.Background(), batch, func(err error) {
					if err != nil {
						b.Error(err)
					}
					wg.Done()
				})
			}
			wg.Wait()
			n := float64(b.N) * float64(events)
			b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(cpuTime()-before)/n, "cpu-ns/event") // the server's share included
			_ = out.Close(context.Background())
		})
	}
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
