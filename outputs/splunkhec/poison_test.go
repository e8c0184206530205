package splunkhec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

func refuse(code int, seqs ...uint64) func(*hectest.Event) int {
	return func(e *hectest.Event) int {
		if slices.Contains(seqs, e.Seq) {
			return code
		}
		return 0
	}
}

// TestPoison: one refused event among 500 goes to the quarantine alone, wherever it stands, whatever the receiver says
// about it, and whether or not it has indexed the events before. The others arrive, each at most as often as stated.
func TestPoison(t *testing.T) {
	t.Parallel()
	const n = 500
	for _, c := range []struct {
		name     string
		code     int
		at       []uint64
		whole    bool // the receiver refuses the batch whole
		noNumber bool
		most     int // times that an event may be indexed
		requests int
	}{
		{name: "first", code: 12, at: []uint64{1}, most: 1, requests: 2},
		{name: "second", code: 6, at: []uint64{2}, most: 2, requests: 3},
		{name: "middle", code: 15, at: []uint64{251}, most: 2, requests: 3},
		{name: "last", code: 13, at: []uint64{500}, most: 2, requests: 2},
		{name: "middle, refused whole", code: 6, at: []uint64{251}, whole: true, most: 1, requests: 3},
		{name: "first with code 6, which may mean too long", code: 6, at: []uint64{1}, most: 2, requests: 19},
		{name: "several", code: 12, at: []uint64{1, 100, 101, 250, 500}, most: 2, requests: 11},
		{name: "without number", code: 6, at: []uint64{251}, noNumber: true, most: 10, requests: 19},
		{name: "without number, refused whole", code: 6, at: []uint64{251}, noNumber: true, whole: true, most: 1, requests: 19},
		{name: "three without number, refused whole", code: 6, at: []uint64{1, 250, 500}, noNumber: true, whole: true, most: 1, requests: 55},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				splunk := &hectest.Splunk{Token: testToken, Whole: c.whole, NoNumber: c.noNumber, Refuse: refuse(c.code, c.at...)}
				w.add("splunk:8088", splunk)
				out, _ := w.output("", "http://splunk:8088")
				err := send(t, out, outputtest.Records(t, 1, n))
				checkRefused(t, err, c.at...)
				checkAll(t, splunk.Sequences(), n, c.most, c.at...)
				if got := len(splunk.Requests()); got > c.requests {
					t.Errorf("%d requests, at most %d are enough", got, c.requests)
				}
			})
		})
	}
}

// checkRefused fails unless err refuses exactly the records with seqs, each with a reason, and nothing else is left.
func checkRefused(t *testing.T, err error, seqs ...uint64) {
	t.Helper()
	var partial *outputs.PartialError
	if !errors.As(err, &partial) {
		t.Fatalf("not refused: %v", err)
	}
	var got []uint64
	for _, r := range partial.Rejected {
		got = append(got, uint64(r.Index)+1)
		if r.Err == nil {
			t.Errorf("record %d is refused without a reason", r.Index)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, seqs) || partial.Rest != nil {
		t.Errorf("refused %v, rest %v; want %v and no rest", got, partial.Rest, seqs)
	}
}

// TestAllRefused: a collector that refuses every event is at fault itself. Nothing goes to the quarantine, gzip is tried without, and the
// output is blocked, in a bounded number of requests.
func TestAllRefused(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Refuse: func(*hectest.Event) int { return 12 }}
		w.add("splunk:8088", splunk)
		out, _ := w.output("", "http://splunk:8088")
		if err := send(t, out, outputtest.Records(t, 1, 20)); !strings.HasPrefix(kindOf(err), "retry") {
			t.Errorf("compressed: %v", err)
		}
		if err := send(t, out, outputtest.Records(t, 1, 20)); kindOf(err) != "blocked" {
			t.Errorf("not compressed: %v", err)
		}
		if got := len(splunk.Requests()); got > 40 {
			t.Errorf("%d requests for 20 events", got)
		}
		if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "blocked" {
			t.Errorf("one alone, behind those: %v", err)
		}
	})
}

// TestRefusedInARow: alone the first event may be at fault, the second one in a row need not be: the collector may refuse everything. When
// it takes what comes behind, it is those after all.
func TestRefusedInARow(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:8088", &hectest.Splunk{Token: testToken, Refuse: func(e *hectest.Event) int {
			if e.Seq < 10 {
				return 12
			}
			return 0
		}})
		out, _ := w.output("gzip = false", "http://splunk:8088")
		for _, step := range []struct {
			first uint64
			n     int
			want  string
		}{{1, 1, "refused 0"}, {2, 1, "blocked"}, {2, 1, "blocked"}, {20, 1, "delivered"}, {2, 1, "refused 0"}, {3, 2, "blocked"}, {21, 5, "delivered"}, {3, 2, "refused 0 1"}} {
			if got := kindOf(send(t, out, outputtest.Records(t, step.first, step.n))); got != step.want {
				t.Errorf("%d from %d on: %s, want %s", step.n, step.first, got, step.want)
			}
		}
	})
}

// TestFirewall: an event that a web application firewall refuses, without a word of HEC, goes to the quarantine alone once events were accepted
// before. One that refuses everything blocks the output.
func TestFirewall(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 406} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				splunk := &hectest.Splunk{Token: testToken}
				var closed atomic.Bool
				w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					if closed.Load() || bytes.Contains(body, []byte("/etc/passwd")) {
						rw.Header().Set("Content-Type", "text/html")
						rw.WriteHeader(status)
						_, _ = rw.Write([]byte("<html><body>Request blocked</body></html>"))
						return
					}
					splunk.ServeHTTP(rw, r)
				}))
				out, _ := w.output("gzip = false", "http://splunk:8088")
				bad := func(batch []outputs.Record, at int) []outputs.Record {
					batch[at].Signal.Description = "cat /etc/passwd"
					return batch
				}
				if err := send(t, out, bad(outputtest.Records(t, 1, 8), 3)); kindOf(err) != "blocked" {
					t.Errorf("before anything was accepted: %v", err)
				}
				if err := send(t, out, outputtest.Records(t, 1, 2)); err != nil {
					t.Fatal(err)
				}
				if err := send(t, out, bad(outputtest.Records(t, 3, 8), 3)); kindOf(err) != "refused 3" {
					t.Errorf("one of eight: %v", err)
				}
				closed.Store(true)
				if err := send(t, out, outputtest.Records(t, 11, 8)); kindOf(err) != "blocked" {
					t.Errorf("all of eight: %v", err)
				}
			})
		})
	}
}

// TestWrongNumber: a number beyond the batch is as good as none.
func TestWrongNumber(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Whole: true, Refuse: refuse(6, 3)}
		w.add("splunk:8088", splunk)
		splunk.Fault = nil
		out, _ := w.output("", "http://splunk:8088")
		var a answer
		a.fill(reply{Code: hecCode{n: 6, known: true}, Event: ptr(99)})
		out.wg.Add(1)
		d := out.newDelivery(t.Context(), outputtest.Records(t, 1, 4), func(error) {})
		d.parts = nil
		if err := d.judge([]int{0, 1, 2, 3}, &a, rejectedEvent); err != nil || len(d.parts) != 2 || len(d.rejected) != 0 {
			t.Errorf("parts %v, refused %v, %v: want two halves", d.parts, d.rejected, err)
		}
		d.parts = nil
		out.slots <- struct{}{}
		d.run()
	})
}

func ptr[T any](v T) *T { return &v }

// TestTooLong: what is refused as too long is halved until it fits, Splunk's way and Splunk Cloud's, and the next batch
// is cut beforehand.
func TestTooLong(t *testing.T) {
	t.Parallel()
	for _, cloud := range []bool{false, true} {
		t.Run(fmt.Sprintf("cloud=%v", cloud), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				splunk := &hectest.Splunk{Token: testToken, MaxBytes: 40_000, Cloud: cloud}
				w.add("splunk:8088", splunk)
				out, log := w.output("", "http://splunk:8088")
				batch := outputtest.Records(t, 1, 200)
				batch[99] = outputtest.Record(t, 100, outputtest.Body("sig_long", strings.Repeat("x", 50_000)))
				checkRefused(t, send(t, out, batch), 100)
				checkAll(t, splunk.Sequences(), 200, 1, 100)
				before := len(splunk.Requests())
				if err := send(t, out, outputtest.Records(t, 201, 200)); err != nil {
					t.Fatal(err)
				}
				if more := len(splunk.Requests()) - before; !cloud && more > 20 {
					t.Errorf("%d requests for a batch whose length is known to be refused", more)
				}
				if got := strings.Count(log.String(), "lower batch_max_bytes"); cloud != (got == 0) {
					t.Errorf("%d lines about batch_max_bytes", got)
				}
			})
		})
	}
}

// TestIndexRules: what a rule sent to an index that Splunk refuses is quarantined; the others are delivered.
func TestIndexRules(t *testing.T) {
	t.Parallel()
	const rules = `
index = "main"
index_rules = [
  { index = "low", environment = ["prod*"], min_severity = 5 },
  { index = "forbidden", signal_type = ["ssh_*"] },
  { index = "main", endpoint = ["other"] },
]`
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Indexes: []string{"main", "low"}}
		w.add("splunk:8088", splunk)
		out, _ := w.output(rules, "http://splunk:8088")
		batch := outputtest.Records(t, 1, 9)
		sig := func(i int, change func(*outputs.Record)) {
			r := batch[i]
			s := *r.Signal
			r.Signal = &s
			change(&r)
			batch[i] = r
		}
		sig(2, func(r *outputs.Record) { r.Signal.SignalType = "ssh_login" })
		sig(4, func(r *outputs.Record) { r.Signal.Environment, r.Signal.Severity = "production", 5 })
		sig(5, func(r *outputs.Record) { r.Signal.SignalType = "ssh_logout" })
		sig(6, func(r *outputs.Record) { r.Endpoint = "other" })
		err := send(t, out, batch)
		checkRefused(t, err, 3, 6)
		if !strings.Contains(err.Error(), `"forbidden"`) {
			t.Errorf("the reason doesn't name the index: %v", err)
		}
		checkAll(t, splunk.Sequences(), 9, 1, 3, 6)
		for _, e := range splunk.Events() {
			if want := map[bool]string{true: "low", false: "main"}[e.Seq == 5]; e.Index != want {
				t.Errorf("record %d is in index %q, want %q", e.Seq, e.Index, want)
			}
		}
	})
}

// TestWrongDefaultIndex holds everything, what rules route elsewhere is delivered or at least not quarantined.
func TestWrongDefaultIndex(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Indexes: []string{"other"}}
		w.add("splunk:8088", splunk)
		out, _ := w.output("index = \"main\"\nindex_rules = [{ index = \"other\", min_severity = 5 }]", "http://splunk:8088")
		batch := outputtest.Records(t, 1, 3)
		err := send(t, out, batch)
		if kindOf(err) != "blocked" || !strings.Contains(err.Error(), `"main"`) || !strings.Contains(err.Error(), "http://splunk:8088") {
			t.Errorf("want a blocked output that names index and URL: %v", err)
		}
		splunk.Set(func(s *hectest.Splunk) { s.Indexes = nil })
		if err := send(t, out, batch); err != nil {
			t.Errorf("after the index is allowed: %v", err)
		}
	})
}

// TestOnePartFails: a batch of several requests of which one fails is over at once, once, with what was refused so far;
// it waits for no acknowledgement of the others.
func TestOnePartFails(t *testing.T) {
	t.Parallel()
	for _, ack := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			var posts atomic.Int64
			splunk := &hectest.Splunk{Token: testToken, Ack: ack, AckAfter: time.Minute, Refuse: refuse(12, 2)}
			splunk.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/ack") && posts.Add(1) > 5 {
					w.Header().Set("Retry-After", "30")
					hectest.Answer(w, 503, 9, "Server is busy")
					return true
				}
				return false
			}
			w.add("splunk:8088", splunk)
			out, _ := w.output(fmt.Sprintf("indexer_ack = %v\nbatch_max_bytes = 4096", ack), "http://splunk:8088")
			start := time.Now()
			f := sendBatch(context.Background(), out, outputtest.Records(t, 1, 40))
			<-f.done
			if got := kindOf(f.err); got != "refused 1, rest retry 30s" || time.Since(start) > 10*time.Second {
				t.Errorf("%s after %v, want the second refused and the rest tried again in 30 s", got, time.Since(start))
			}
			time.Sleep(5 * time.Minute)
			if f.calls != 1 || pendingAcks(out) != 0 {
				t.Errorf("done was called %d times, %d acknowledgements pending", f.calls, pendingAcks(out))
			}
		})
	}
}
