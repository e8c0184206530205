package splunkhec

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// TestRetryAfterIsObeyed: neither the same batch nor another reaches the collector before its time, given in seconds or
// as a date, and the caller is told how long.
func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func() string{
		"seconds": func() string { return "90" },
		"date":    func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(t *testing.T, w *world) {
					splunk := &hectest.Splunk{Token: testToken}
					splunk.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
						w.Header().Set("Retry-After", header())
						hectest.Answer(w, status, 26, "at capacity")
						return true
					}
					w.add("splunk:8088", splunk)
					out, _ := w.output("", "http://splunk:8088")
					start := time.Now()
					if got := kindOf(send(t, out, outputtest.Records(t, 1, 5))); got != "retry 1m30s" && got != "retry 1m29s" {
						t.Errorf("%s, want retry 1m30s", got)
					}
					time.Sleep(30 * time.Second)
					if got := kindOf(send(t, out, outputtest.Records(t, 1, 5))); got != "retry 1m0s" && got != "retry 59s" {
						t.Errorf("after half a minute: %s, want retry 1m0s", got)
					}
					if n := len(splunk.Requests()); n != 1 {
						t.Errorf("%d requests within %v", n, time.Since(start))
					}
					splunk.Set(func(s *hectest.Splunk) { s.Fault = nil })
					time.Sleep(61 * time.Second)
					if err := send(t, out, outputtest.Records(t, 1, 5)); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// forwarder stands for bridge/forward: it sends batches in order, again and again until delivered, and keeps only
// their numbers while they wait.
type forwarder struct {
	out   *Output
	t     *testing.T
	size  int
	retry time.Duration
	pace  time.Duration // between new batches
}

// run delivers the records 1..n in batches, several at a time, and returns how often a batch was handed over.
func (f *forwarder) run(n int) (tries int) {
	type result struct {
		first uint64
		err   error
	}
	results := make(chan result)
	open := 0
	start := func(first uint64) {
		tries++
		open++
		f.out.Send(context.Background(), outputtest.Records(f.t, first, f.size), func(err error) {
			go func() { results <- result{first, err} }()
		})
	}
	next := uint64(1)
	var failed []uint64
	for next <= uint64(n) || open > 0 || len(failed) > 0 {
		switch {
		case len(failed) > 0 && open == 0:
			first := failed[0]
			failed = failed[1:]
			time.Sleep(f.retry)
			start(first)
		case len(failed) == 0 && next <= uint64(n) && open < 8:
			time.Sleep(f.pace)
			start(next)
			next += uint64(f.size)
		default:
			r := <-results
			open--
			if r.err != nil {
				failed = append(failed, r.first)
			}
		}
	}
	return tries
}

// TestHourOfOutage: a collector that is away for an hour, in every way, costs nothing but time: no loss, copies within
// the bound, no growing memory, no goroutine left.
func TestHourOfOutage(t *testing.T) {
	t.Parallel()
	const n, size = 2000, 50
	for _, c := range []struct {
		name  string
		table string
		ack   bool
		begin func(*world, *hectest.Splunk)
		most  int
	}{
		{name: "refused", most: 1, begin: func(w *world, _ *hectest.Splunk) {
			w.set("splunk:8088", func(h *host) { h.down = true })
			w.cut("splunk:8088")
		}},
		{name: "black hole", most: 1, begin: func(w *world, _ *hectest.Splunk) {
			w.set("splunk:8088", func(h *host) { h.blackHole = true })
			w.cut("splunk:8088")
		}},
		{name: "busy", most: 1, begin: func(_ *world, s *hectest.Splunk) {
			s.Set(func(s *hectest.Splunk) {
				s.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
					hectest.Answer(w, 503, 9, "Server is busy")
					return true
				}
			})
		}},
		{name: "wrong token", most: 1, begin: func(_ *world, s *hectest.Splunk) {
			s.Set(func(s *hectest.Splunk) { s.Token = "another" })
		}},
		{name: "refused, with acknowledgement", ack: true, most: 2, begin: func(w *world, _ *hectest.Splunk) {
			w.set("splunk:8088", func(h *host) { h.down = true })
			w.cut("splunk:8088")
		}},
		{name: "acknowledgements stop", ack: true, table: `ack_timeout = "20m"`, most: 4, begin: func(_ *world, s *hectest.Splunk) {
			s.Set(func(s *hectest.Splunk) { s.AckNever = true })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				splunk := &hectest.Splunk{Token: testToken, Ack: c.ack, AckAfter: time.Second, Discard: true}
				w.add("splunk:8088", splunk)
				out, log := w.output(fmt.Sprintf("indexer_ack = %v\n%s", c.ack, c.table), "http://splunk:8088")
				if err := send(t, out, outputtest.Records(t, 1_000_000, 1)); err != nil {
					t.Fatal(err)
				}
				c.begin(w, splunk)
				time.AfterFunc(time.Hour, func() {
					w.set("splunk:8088", func(h *host) { h.down, h.blackHole = false, false })
					splunk.Set(func(s *hectest.Splunk) { s.Fault, s.AckNever, s.Token = nil, false, testToken })
				})
				start := time.Now()
				(&forwarder{out: out, t: t, size: size, retry: 20 * time.Second}).run(n)
				if took := time.Since(start); took < time.Hour || took > 3*time.Hour {
					t.Errorf("took %v", took)
				}
				checkAll(t, splunk.Sequences(), n, c.most)
				if p := pendingAcks(out); p != 0 {
					t.Errorf("%d acknowledgements pending", p)
				}
				if lines := strings.Count(log.String(), "level=WARN"); lines > 5 {
					t.Errorf("%d warnings", lines)
				}
				if strings.Contains(log.String(), testToken) {
					t.Error("the token is in the log")
				}
				often := "each came once"
				if c.most > 1 {
					often = fmt.Sprintf("each came at most %d times", c.most)
				}
				survived.Note(t, survived.Row{What: "a HEC collector is away for an hour: " + c.name, Times: 1, Acknowledged: n, Remark: often})
			})
		})
	}
}

// TestMemoryInOutage counts what ten minutes of failing sends leave behind, an hour in the long form. It doesn't run beside other tests.
func TestMemoryInOutage(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	minutes := 10
	if os.Getenv("LINUXGUARD_LONG") != "" {
		minutes = 60
	}
	for _, ack := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			splunk := &hectest.Splunk{Token: testToken, Ack: ack}
			w.add("splunk:8088", splunk)
			out, _ := w.output(fmt.Sprintf("indexer_ack = %v", ack), "http://splunk:8088")
			out.env.Log = quietLog()
			batch := outputtest.Records(t, 1, 500)
			_ = send(t, out, batch)
			w.set("splunk:8088", func(h *host) { h.down = true })
			w.cut("splunk:8088")
			_ = send(t, out, batch)
			goroutines, before := runtime.NumGoroutine(), heap()
			for range minutes * 60 / 4 {
				if send(t, out, batch) == nil {
					t.Fatal("delivered to nobody")
				}
				time.Sleep(4 * time.Second)
			}
			w.set("splunk:8088", func(h *host) { h.dials = nil })
			if grown := int64(heap()) - int64(before); grown > 1<<20 {
				t.Errorf("ack=%v: %d bytes more after an hour", ack, grown)
			}
			if n := runtime.NumGoroutine(); n > goroutines+2 {
				t.Errorf("ack=%v: %d goroutines, %d before", ack, n, goroutines)
			}
		})
	}
}
