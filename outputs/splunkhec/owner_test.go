package splunkhec

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// The short retry inside one attempt looks before each request, and so does the way to the next endpoint.
func TestOwnerLostBeforeTheRetry(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"broken connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"unavailable":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"busy": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	} {
		for _, urls := range [][]string{{"http://a:8088"}, {"http://a:8088", "http://b:8088"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(t *testing.T, w *world) {
					var requests atomic.Int32
					handler := func(rw http.ResponseWriter, r *http.Request) {
						requests.Add(1)
						answer(rw, r)
					}
					w.add("a:8088", http.HandlerFunc(handler))
					w.add("b:8088", http.HandlerFunc(handler))
					out, _ := w.output("", urls...)
					defer closeOutput(t, out)
					out.env.Valid = func() bool { return requests.Load() == 0 }
					if err := send(t, out, outputtest.Records(t, 1, 3)); !errors.Is(err, outputs.ErrNotOwner) {
						t.Errorf("%v, want ErrNotOwner", err)
					}
					if n := requests.Load(); n != 1 {
						t.Errorf("%d requests, want the one before the loss", n)
					}
				})
			})
		}
	}
}

// What waits for its acknowledgement ends at the next poll, which isn't sent.
func TestOwnerLostBeforeTheAcknowledgement(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken, Ack: true, AckNever: true}
		var requests atomic.Int32
		w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			splunk.ServeHTTP(rw, r)
		}))
		out, _ := w.output(ackOn, "http://splunk:8088")
		defer closeOutput(t, out)
		var lost atomic.Bool
		out.env.Valid = func() bool { return !lost.Load() }
		begin := time.Now()
		f := sendBatch(context.Background(), out, outputtest.Records(t, 1, 3))
		time.Sleep(30 * time.Second)
		lost.Store(true)
		before := requests.Load()
		<-f.done
		if !errors.Is(f.err, outputs.ErrNotOwner) || f.at.Sub(begin) > 30*time.Second+maxPoll {
			t.Errorf("after %v: %v, want ErrNotOwner at the next poll", f.at.Sub(begin), f.err)
		}
		if n := requests.Load(); n != before || before < 3 {
			t.Errorf("%d requests before and %d after the loss", before, n-before)
		}
	})
}
