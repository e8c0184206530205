package splunkhec

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// oddAnswersOf are answers of 2xx that are not HEC's, and what each counts as with success = "status".
func oddAnswersOf() []struct {
	name, body string
	status     int
	lenient    string
} {
	return []struct {
		name, body string
		status     int
		lenient    string
	}{
		{"nothing", "", 200, "delivered"},
		{"accepted", "", 202, "delivered"},
		{"no content", "", 204, "delivered"},
		{"an object without a code", `{"status":"ok"}`, 200, "delivered"},
		{"a code in quotes", `{"text":"Success","code":"0"}`, 200, "delivered"},
		{"busy in quotes", `{"text":"busy","code":"9"}`, 200, "retry"},
		{"half an answer", `{"text":"Suc`, 200, "delivered"},
		{"a page", "<html>log in</html>", 200, "blocked"},
	}
}

// peer answers every post alike, and its health page with a status and a body.
func peer(status int, body string, posts *atomic.Int32, health func(http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/health") {
			health(w)
			return
		}
		posts.Add(1)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func unhealthy(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }

func healthy(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"text":"HEC is healthy","code":17}`) }

// TestSuccess: HEC's code decides, unless the status is said to be enough.
func TestSuccess(t *testing.T) {
	t.Parallel()
	for _, c := range oddAnswersOf() {
		for setting, want := range map[string]string{`success = "status"`: c.lenient, "": "retry"} {
			t.Run(c.name+setting, func(t *testing.T) {
				t.Parallel()
				inWorld(t, func(t *testing.T, w *world) {
					w.add("splunk:8088", peer(c.status, c.body, new(atomic.Int32), unhealthy))
					out, _ := w.output(setting, "http://splunk:8088")
					err := send(t, out, outputtest.Records(t, 1, 2))
					if got := kindOf(err); got != want && (want != "retry" || got != "blocked" || c.name != "a page") {
						t.Errorf("%v: %s, want %s", err, got, want)
					}
				})
			})
		}
	}
}

// TestOddAnswers: who answers nothing that says whether events were taken gets the same events a few times only, and more seldom even when its
// health page is Splunk's. One that comes to its senses is believed at once.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		health   func(http.ResponseWriter)
		min, max int32
	}{"no health page": {unhealthy, 3, 3}, "healthy": {healthy, 5, 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				var posts atomic.Int32
				var sane atomic.Bool
				odd := peer(200, "", &posts, c.health)
				w.add("splunk:8088", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if sane.Load() && !strings.HasSuffix(r.URL.Path, "/health") {
						_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
						return
					}
					if sane.Load() {
						healthy(w)
						return
					}
					odd.ServeHTTP(w, r)
				}))
				out, _ := w.output("", "http://splunk:8088")
				for range 60 { // half an hour of retries
					if err := send(t, out, outputtest.Records(t, 1, 2)); err == nil || posts.Load() >= maxUnexpected && !strings.Contains(err.Error(), `success = "status"`) {
						t.Fatalf("after %d posts: %v", posts.Load(), err)
					}
					time.Sleep(30 * time.Second)
				}
				if n := posts.Load(); n < c.min || n > c.max {
					t.Errorf("%d posts, want %d to %d", n, c.min, c.max)
				}
				sane.Store(true)
				delivered := false
				for range 70 {
					if delivered = send(t, out, outputtest.Records(t, 1, 2)) == nil; delivered {
						break
					}
					time.Sleep(30 * time.Second)
				}
				if !delivered {
					t.Error("a collector that answers as HEC does again is not believed")
				}
			})
		})
	}
}
