package splunkhec

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// balancer sends requests to two nodes: what has a cookie to the node that it names, else events to one and polls to
// the other.
type balancer struct {
	nodes  [2]http.Handler
	sticky atomic.Bool
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	node := 0
	if strings.HasSuffix(r.URL.Path, "/ack") {
		node = 1
	}
	if c, err := r.Cookie("node"); err == nil && b.sticky.Load() {
		node = int(c.Value[0] - '0')
	}
	if b.sticky.Load() {
		http.SetCookie(w, &http.Cookie{Name: "node", Value: fmt.Sprint(node)})
	}
	b.nodes[node].ServeHTTP(w, r)
}

func TestStickyBalancer(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		a := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 30 * time.Second}
		b := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 30 * time.Second}
		lb := &balancer{nodes: [2]http.Handler{a, b}}
		lb.sticky.Store(true)
		w.add("lb:443", lb)
		out, _ := w.output(ackOn, "http://lb:443")
		for i := range 10 {
			if err := send(t, out, outputtest.Records(t, uint64(i)+1, 1)); err != nil {
				t.Error(err)
			}
		}
		checkAll(t, append(a.Sequences(), b.Sequences()...), 10, 1)
	})
}

// TestSplitBalancer: polls that always reach the wrong node confirm nothing. Nothing is lost or taken for delivered,
// and each ack_timeout costs one copy.
func TestSplitBalancer(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		a := &hectest.Splunk{Token: testToken, Ack: true}
		b := &hectest.Splunk{Token: testToken, Ack: true}
		lb := &balancer{nodes: [2]http.Handler{a, b}}
		w.add("lb:443", lb)
		out, _ := w.output(ackOn+`ack_timeout = "1m"`, "http://lb:443")
		const tries = 3
		for range tries {
			if err := send(t, out, outputtest.Records(t, 1, 10)); kindOf(err) != "retry" {
				t.Errorf("not confirmed, but %v", err)
			}
		}
		checkAll(t, a.Sequences(), 10, tries)
		lb.sticky.Store(true)
		if err := send(t, out, outputtest.Records(t, 1, 10)); err != nil {
			t.Error(err)
		}
		checkAll(t, append(a.Sequences(), b.Sequences()...), 10, tries+1)
	})
}

// TestManyAcks: under load with quick acknowledgements everything is confirmed, once, over few channels.
func TestManyAcks(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 1200 * time.Millisecond}
		w.add("splunk:8088", splunk)
		out, _ := w.output(ackOn, "http://splunk:8088")
		start := time.Now()
		var fates []*fate
		for i := range 200 {
			fates = append(fates, sendBatch(context.Background(), out, outputtest.Records(t, uint64(i)*10+1, 10)))
		}
		for i, f := range fates {
			if <-f.done; f.err != nil {
				t.Errorf("batch %d: %v", i, f.err)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("acknowledgements that take 1.2 s were noticed after %v", took)
		}
		checkAll(t, splunk.Sequences(), 2000, 1)
		var channels []string
		for _, r := range splunk.Requests() {
			if !slices.Contains(channels, r.Channel) {
				channels = append(channels, r.Channel)
			}
		}
		if len(channels) > out.settings.MaxRequestsInFlight {
			t.Errorf("%d channels", len(channels))
		}
	})
}

// TestPollTrouble: polls that fail for a while, in every way, lose no acknowledgement.
func TestPollTrouble(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(http.ResponseWriter){
		"503":   func(w http.ResponseWriter) { hectest.Answer(w, 503, 9, "Server is busy") },
		"429":   func(w http.ResponseWriter) { w.Header().Set("Retry-After", "5"); hectest.Answer(w, 429, 27, "full") },
		"403":   func(w http.ResponseWriter) { hectest.Answer(w, 403, 4, "Invalid token") },
		"reset": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"truncated": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "50")
			_, _ = w.Write([]byte(`{"acks":{"0":tr`))
		},
		"redirect": func(w http.ResponseWriter) { w.Header().Set("Location", "http://elsewhere/"); w.WriteHeader(302) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				var bad atomic.Bool
				splunk := &hectest.Splunk{Token: testToken, Ack: true, AckAfter: 5 * time.Second}
				splunk.Fault = func(w http.ResponseWriter, r *http.Request) bool {
					if bad.Load() && strings.HasSuffix(r.URL.Path, "/ack") {
						fault(w)
						return true
					}
					return false
				}
				w.add("splunk:8088", splunk)
				out, log := w.output(ackOn, "http://splunk:8088")
				f := sendBatch(context.Background(), out, outputtest.Records(t, 1, 5))
				time.Sleep(time.Second)
				bad.Store(true)
				time.Sleep(time.Minute)
				bad.Store(false)
				<-f.done
				if f.err != nil {
					t.Error(f.err)
				}
				checkAll(t, splunk.Sequences(), 5, 1)
				if strings.Contains(log.String(), testToken) {
					t.Error("the token is in the log")
				}
			})
		})
	}
}
