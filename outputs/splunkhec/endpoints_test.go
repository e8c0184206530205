package splunkhec

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// TestRoundRobin: healthy collectors take turns.
func TestRoundRobin(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		var nodes []*hectest.Splunk
		for _, name := range []string{"a:1", "b:1", "c:1"} {
			s := &hectest.Splunk{Token: testToken}
			nodes = append(nodes, s)
			w.add(name, s)
		}
		out, _ := w.output("", "http://a:1", "http://b:1", "http://c:1")
		for i := range 9 {
			if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range nodes {
			if n := len(s.Sequences()); n != 3 {
				t.Errorf("collector %d got %d of 9 requests", i, n)
			}
		}
	})
}

// TestDeadEndpointCostsNothing: of two collectors one becomes a black hole. One request finds out, no other is slow, it
// is asked for its health ever more rarely, and gets requests again when it is back.
func TestDeadEndpointCostsNothing(t *testing.T) {
	t.Parallel()
	for _, ack := range []string{"", ackOn} {
		inWorld(t, func(t *testing.T, w *world) {
			live := &hectest.Splunk{Token: testToken, Ack: ack != ""}
			dead := &hectest.Splunk{Token: testToken, Ack: ack != ""}
			w.add("live:1", live)
			w.add("dead:1", dead)
			w.set("dead:1", func(h *host) { h.blackHole = true })
			out, log := w.output(ack, "http://dead:1", "http://live:1")
			slow := 0
			for i := range 900 {
				start := time.Now()
				if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
					t.Fatal(err)
				}
				if time.Since(start) > 2*time.Second {
					slow++
				}
				time.Sleep(time.Second)
			}
			if slow > 1 {
				t.Errorf("%d requests were slow", slow)
			}
			if n := w.dials("dead:1"); n < 8 || n > 40 {
				t.Errorf("the dead collector was tried %d times in a quarter of an hour", n)
			}
			if s := out.Status(); s.State != outputs.StateUp || !strings.Contains(strings.Join(s.Warnings, " "), "http://dead:1") {
				t.Errorf("status %+v: want up, with a warning", s)
			}
			if n := strings.Count(log.String(), "does not work"); n != 1 {
				t.Errorf("%d lines about the dead collector", n)
			}
			w.set("dead:1", func(h *host) { h.blackHole = false })
			for range 120 {
				if err := send(t, out, outputtest.Records(t, 1, 1)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if len(dead.Sequences()) < 10 {
				t.Errorf("%d requests for the collector that is back", len(dead.Sequences()))
			}
			if s := out.Status(); len(s.Warnings) != 2 { // the two http:// URLs
				t.Errorf("warnings are left: %v", s.Warnings)
			}
			if n := strings.Count(log.String(), "works again"); n != 1 {
				t.Errorf("%d lines about its return", n)
			}
		})
	}
}

// TestOneBadToken: a token that one collector refuses costs the events nothing while another takes them, and holds only
// when all refuse it.
func TestOneBadToken(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		good := &hectest.Splunk{Token: testToken}
		bad := &hectest.Splunk{Token: "another"}
		w.add("good:1", good)
		w.add("bad:1", bad)
		out, _ := w.output("", "http://bad:1", "http://good:1")
		for i := range 100 {
			if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		checkAll(t, good.Sequences(), 100, 1)
		if n := len(bad.Requests()); n > 30 {
			t.Errorf("%d requests to a collector that refuses the token", n)
		}
		good.Set(func(s *hectest.Splunk) { s.Disabled = true })
		time.Sleep(2 * time.Minute)
		if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "blocked" {
			t.Errorf("all refuse the token, but %v", err)
		}
		w.set("good:1", func(h *host) { h.down = true })
		w.cut("good:1")
		time.Sleep(2 * time.Minute)
		if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "retry" {
			t.Errorf("one refuses the token, the other is away, but %v", err)
		}
	})
}

// TestOneBadTokenOneAway: a collector that is away holds nothing, whether it was tried with the other or still rests.
func TestOneBadTokenOneAway(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("away:1", &hectest.Splunk{Token: testToken})
		w.set("away:1", func(h *host) { h.down = true })
		w.add("bad:1", &hectest.Splunk{Token: "another"})
		out, _ := w.output("", "http://bad:1", "http://away:1")
		for i := range 60 {
			if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "retry" {
				t.Fatalf("attempt %d: %v", i, err)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestFailover: a request that fails at one collector goes to the other within the same attempt, with nothing lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.ResponseWriter){
		"reset":       func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"busy":        func(w http.ResponseWriter) { hectest.Answer(w, 503, 9, "busy") },
		"retry after": func(w http.ResponseWriter) { w.Header().Set("Retry-After", "100"); hectest.Answer(w, 429, 26, "full") },
		"gone":        func(w http.ResponseWriter) { hectest.Answer(w, 404, 404, "Not Found") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				a, b := &hectest.Splunk{Token: testToken}, &hectest.Splunk{Token: testToken}
				a.Fault = func(w http.ResponseWriter, _ *http.Request) bool { fault(w); return true }
				w.add("a:1", a)
				w.add("b:1", b)
				out, _ := w.output("", "http://a:1", "http://b:1")
				for i := range 10 {
					if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
						t.Fatal(err)
					}
				}
				checkAll(t, b.Sequences(), 10, 1)
				if n := len(a.Requests()); n != 1 {
					t.Errorf("%d requests to the collector that fails, within no time", n)
				}
			})
		})
	}
}

// TestAllDown: while none works, every attempt tries one, in turn, and the first that is back is found.
func TestAllDown(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		a, b := &hectest.Splunk{Token: testToken}, &hectest.Splunk{Token: testToken}
		w.add("a:1", a)
		w.add("b:1", b)
		down := func(h *host) { h.down = true }
		w.set("a:1", down)
		w.set("b:1", down)
		out, _ := w.output("", "http://a:1", "http://b:1")
		for range 50 {
			if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "retry" {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if x, y := w.dials("a:1"), w.dials("b:1"); x < 15 || y < 15 || x-y < -1 || x-y > 1 {
			t.Errorf("tried %d and %d times, want as often each", x, y)
		}
		if s := out.Status(); s.State != outputs.StateDown {
			t.Errorf("state %q", s.State)
		}
		w.set("b:1", func(h *host) { h.down = false })
		tries := 0
		for send(t, out, outputtest.Records(t, 1, 1)) != nil {
			if tries++; tries > 1 {
				t.Fatal("the collector that is back isn't found, although each of the two had its turn")
			}
			time.Sleep(time.Second)
		}
	})
}

// TestConnectionAge: connections are reused, and renewed after max_connection_age, with the name looked up anew.
func TestConnectionAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		table string
		dials int
	}{{"", 3}, {"max_connection_age = \"1m\"", 11}, {"max_connection_age = \"0s\"", 1}, {ackOn, 3}} {
		inWorld(t, func(t *testing.T, w *world) {
			splunk := &hectest.Splunk{Token: testToken, Ack: c.table == ackOn}
			w.add("splunk:8088", splunk)
			out, _ := w.output(c.table, "http://splunk:8088")
			for i := range 130 {
				if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
			}
			checkAll(t, splunk.Sequences(), 130, 1)
			if n := w.dials("splunk:8088"); n != c.dials {
				t.Errorf("%q: %d connections in 650 s, want %d", c.table, n, c.dials)
			}
		})
	}
}

// TestAgeWithAcks: what waits for its acknowledgement when its connection gets too old is still confirmed, where it was
// sent.
func TestAgeWithAcks(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 2 * time.Minute}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn+`max_connection_age = "30s"`, "http://splunk:8088")
		var fates []*fate
		for i := range 100 {
			fates = append(fates, sendBatch(context.Background(), out, outputtest.Records(t, uint64(i)+1, 1)))
			time.Sleep(5 * time.Second)
		}
		for i, f := range fates {
			if <-f.done; f.err != nil {
				t.Errorf("batch %d: %v", i, f.err)
			}
		}
		checkAll(t, splunk.Sequences(), 100, 1)
	})
}

// TestRequests: what a request looks like.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ table, encoding string }{{"", "gzip"}, {"gzip = false", ""}} {
		inWorld(t, func(t *testing.T, w *world) {
			splunk := &hectest.Splunk{Token: testToken}
			w.add("splunk:8088", splunk)
			out, _ := w.output(c.table, "http://splunk:8088/services/collector/event")
			if err := send(t, out, outputtest.Records(t, 1, 3)); err != nil {
				t.Fatal(err)
			}
			r := splunk.Requests()[0]
			if r.Path != "/services/collector/event" || r.Method != "POST" || r.Encoding != c.encoding || r.Length <= 0 ||
				r.Channel != "" || r.UserAgent != "linuxguard-bridge/0.0.0-test" || r.Events != 3 {
				t.Errorf("%+v", r)
			}
			for _, e := range splunk.Events() {
				if e.Time == "" || e.Host == "" || e.Source != "linuxguard" || e.SourceType != "linuxguard:signal" || e.Fields["delivery_id"] != outputtest.DeliveryID(e.Seq) {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}
