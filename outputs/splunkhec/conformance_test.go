package splunkhec

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

const testToken = "11111111-2222-4333-8444-555555555555"

// buildOutput makes an output for urls with more TOML behind, buildIn one in env.
func buildOutput(t testing.TB, table string, urls ...string) (*Output, *outputtest.Log) {
	t.Helper()
	env, log := outputtest.Env(t, map[string]string{"env:TOKEN": testToken})
	return buildIn(t, env, table, urls...), log
}

func buildIn(t testing.TB, env outputs.Env, table string, urls ...string) *Output {
	t.Helper()
	list := ""
	for _, u := range urls {
		list += fmt.Sprintf("%q,", u)
	}
	out, _, err := outputtest.Build(Kind(), env, "token = \"env:TOKEN\"\nurls = ["+list+"]\n"+table)
	if err != nil {
		t.Fatal(err)
	}
	return out.(*Output)
}

// breakable answers as the handler does, or resets connections, or hangs.
type breakable struct {
	http.Handler
	broken, stalled atomic.Bool
	mute            atomic.Bool // answers 200 and nothing else
	release         chan struct{}
}

func (b *breakable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.stalled.Load() {
		// Only a server that has read the body notices that the client has gone.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-b.release:
		case <-r.Context().Done():
		}
		return
	}
	if b.broken.Load() {
		panic(http.ErrAbortHandler)
	}
	if b.mute.Load() && r.Method == http.MethodPost {
		_, _ = io.Copy(io.Discard, r.Body)
		return
	}
	b.Handler.ServeHTTP(w, r)
}

func conformanceHarness(ack bool, table string, tls bool) func(t *testing.T) outputtest.Harness {
	return func(t *testing.T) outputtest.Harness {
		t.Parallel()
		table := table
		splunk := &hectest.Splunk{Token: testToken, Ack: ack, Refuse: func(*hectest.Event) int { return 0 }}
		b := &breakable{Handler: splunk, release: make(chan struct{})}
		server := httptest.NewUnstartedServer(b)
		var connections atomic.Int64
		server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				connections.Add(1)
			}
		}
		server.Config.ErrorLog = quiet()
		server.EnableHTTP2 = true
		if tls {
			server.StartTLS()
			table += fmt.Sprintf("\nca_file = %q", writeCA(t, server))
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		t.Cleanup(func() { close(b.release) })
		env, log := outputtest.Env(t, map[string]string{"env:TOKEN": testToken})
		return outputtest.Harness{
			New: func(t *testing.T, valid func() bool) outputs.Output {
				env := env
				env.Valid = valid
				return buildIn(t, env, fmt.Sprintf("indexer_ack = %v\n%s", ack, table), server.URL)
			},
			Received:    splunk.Sequences,
			Unordered:   true,
			Connections: func() int { return int(connections.Load()) },
			Break:       func() { b.broken.Store(true) },
			Mend:        func() { b.broken.Store(false) },
			Stall:       func() { b.stalled.Store(true) },
			SayNothing:  b.mute.Store,
			Refuse: func(refused func(uint64) bool) {
				splunk.Set(func(s *hectest.Splunk) {
					s.Refuse = func(e *hectest.Event) int {
						if refused(e.Seq) {
							return 6
						}
						return 0
					}
				})
			},
			Secrets: []string{testToken},
			Logs:    log.String,
		}
	}
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name  string
		ack   bool
		table string
		tls   bool
	}{
		{name: "plain"},
		{name: "gzip off", table: "gzip = false"},
		{name: "raw", table: `layout = "raw"`},
		{name: "cim", table: `layout = "cim"`},
		{name: "ack", ack: true},
		{name: "tls and http2", tls: true},
		{name: "tls and http2 with ack", tls: true, ack: true},
		{name: "one event a request", table: "batch_max_events = 1\nmax_requests_in_flight = 1"},
		{name: "many small requests", table: "batch_max_bytes = 1024"},
	} {
		t.Run(c.name, func(t *testing.T) { outputtest.Run(t, conformanceHarness(c.ack, c.table, c.tls)) })
	}
}
