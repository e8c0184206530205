package webhook

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// instantQueue accepts everything at once.
type instantQueue struct{}

func (instantQueue) Append(context.Context, *queue.Event, string) (queue.Receipt, error) {
	return queue.Receipt{Verdict: queue.Accepted, Seq: 1}, nil
}

func (instantQueue) Generation() uint64 { return 1 }

// nullWriter is an http.ResponseWriter that keeps nothing.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }

type rewinder struct{ bytes.Reader }

func (*rewinder) Close() error { return nil }

// BenchmarkHandler measures one request from its parsed header to the written answer, without net/http and the queue.
func BenchmarkHandler(b *testing.B) {
	body := payload("sig_abc123", time.Now())
	for name, change := range map[string]func(*http.Request){
		"accepted": func(*http.Request) {},
		"forged": func(r *http.Request) {
			r.Header.Set("LinuxGuard-Signature", sign("another", body))
			r.Header.Del("LinuxGuard-Delivery")
		},
		"stray": func(r *http.Request) { r.URL.Path = "/" },
	} {
		b.Run(name, func(b *testing.B) {
			opts := Options{Endpoints: []Endpoint{testEndpoint()}, Queue: instantQueue{}, Log: slog.New(slog.DiscardHandler), Tail: &tail.Hub{}}
			h, err := NewHandler(opts)
			if err != nil {
				b.Fatal(err)
			}
			r := delivery(b, "https://localhost"+testPath, body)
			r.RemoteAddr = "203.0.113.9:4711"
			change(r)
			reader := &rewinder{}
			w := &nullWriter{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				r.Body = io.NopCloser(reader)
				clear(w.header)
				h.ServeHTTP(w, r)
			}
			b.StopTimer()
			want := map[string]int{"accepted": 200, "forged": 429, "stray": 404}[name]
			if w.status != want {
				b.Fatalf("status %d, want %d", w.status, want)
			}
		})
	}
}
