package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// TestShortRetry: one dropped connection or 503 is bridged within the attempt, a timeout isn't repeated.
func TestShortRetry(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		splunk := &hectest.Splunk{Token: testToken}
		faults := []func(http.ResponseWriter){
			func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			func(w http.ResponseWriter) { hectest.Answer(w, 503, 9, "Server is busy") },
		}
		splunk.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
			if len(faults) == 0 {
				return false
			}
			f := faults[0]
			faults = faults[1:]
			f(w)
			return true
		}
		w.add("splunk:8088", splunk)
		out, _ := w.output("", "http://splunk:8088")
		start := time.Now()
		if err := send(t, out, outputtest.Records(t, 1, 5)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		checkAll(t, splunk.Sequences(), 5, 1)
	})
}

// TestBadPeers: whatever goes wrong on the connection is temporary, ends in bounded time and says where.
func TestBadPeers(t *testing.T) {
	t.Parallel()
	readRequest := func(c net.Conn) bool {
		buf := make([]byte, 64<<10)
		_, err := c.Read(buf)
		return err == nil
	}
	drain := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for name, peer := range map[string]func(net.Conn){
		"closes at once":       func(c net.Conn) { _ = c.Close() },
		"closes after headers": func(c net.Conn) { readRequest(c); _ = c.Close() },
		"closes in the middle of its answer": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"text\":\"Suc")
			_ = c.Close()
		},
		"closes in the middle of its headers": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
			_ = c.Close()
		},
		"speaks no HTTP": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			_, _ = io.WriteString(c, "220 mail.example.com ESMTP "+testToken+"\r\n")
			time.Sleep(time.Second)
			_ = c.Close()
		},
		"endless answer": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		},
		"slow loris in its headers": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			for _, b := range []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 10_000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		},
		"slow loris in its body": func(c net.Conn) {
			readRequest(c)
			go drain(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
			for {
				if _, err := c.Write([]byte{' '}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		},
		"takes nothing": func(c net.Conn) { time.Sleep(time.Hour); _ = c.Close() },
		"never answers": drain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(t *testing.T, w *world) {
				w.addRaw("splunk:8088", peer)
				out, log := w.output("", "http://splunk:8088")
				start := time.Now()
				err := send(t, out, outputtest.Records(t, 1, 5))
				if kindOf(err) != "retry" || !strings.Contains(err.Error(), "http://splunk:8088") {
					t.Errorf("want a temporary failure that says where: %v", err)
				}
				if took := time.Since(start); took > 35*time.Second {
					t.Errorf("took %v", took)
				}
				if strings.Contains(log.String()+fmt.Sprint(err), testToken) {
					t.Errorf("the token is in %v or the log", err)
				}
			})
		})
	}
}

// TestNoRedirect: the token goes nowhere else.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		inWorld(t, func(t *testing.T, w *world) {
			w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "http://thief:80/", status)
			}))
			w.add("thief:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			out, _ := w.output("", "http://splunk:8088")
			if err := send(t, out, outputtest.Records(t, 1, 1)); kindOf(err) != "blocked" || !strings.Contains(err.Error(), "redirect") {
				t.Errorf("%d: %v", status, err)
			}
			if w.dials("thief:80") > 0 {
				t.Errorf("%d was followed", status)
			}
		})
	}
}

// TestSlowDown: codes 24 and 25 are successes after which less is sent.
func TestSlowDown(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { hectest.Answer(rw, 200, 24, "nearly full") }))
		out, _ := w.output("max_requests_in_flight = 2", "http://splunk:8088")
		start := time.Now()
		for range 10 {
			if err := send(t, out, outputtest.Records(t, 1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 3*time.Second || took > 10*time.Second {
			t.Errorf("ten requests took %v", took)
		}
	})
}

// TestBackPressure: Send blocks while max_requests_in_flight batches are under way, and ends with its context.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *world) {
		released := make(chan struct{})
		release := sync.OnceFunc(func() { close(released) })
		defer release()
		w.add("splunk:8088", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			<-released
			hectest.Answer(rw, 200, 0, "Success")
		}))
		out, _ := w.output("max_requests_in_flight = 3", "http://splunk:8088")
		var fates []*fate
		for range 3 {
			fates = append(fates, sendBatch(context.Background(), out, outputtest.Records(t, 1, 1)))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		f := sendBatch(ctx, out, outputtest.Records(t, 1, 1))
		if <-f.done; !errors.Is(f.err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", f.err, time.Since(start))
		}
		release()
		for _, f := range fates {
			if <-f.done; f.err != nil {
				t.Error(f.err)
			}
		}
	})
}
