package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

func TestSendWrongArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"--count 0", "--count is at least 1"},
		{"--severity 6", "--severity is 1 to 5 or all"},
		{"--url https://x", "--url needs --secret"},
		{"--url ftp://x --secret env:S", "--url begins with"},
		{"--url https://x --secret literal", "--secret: a secret is a reference"},
		{"--url https://x --secret env:S", "the secret is empty"},
		{"--delivery-id x --count 2", "--delivery-id is for a single signal"},
		{"--forge --wait", "--wait has nothing to wait for"},
		{"--file /nonexistent --url https://x --secret env:S", "no such file"},
		{"--header nonsense --url https://x --secret env:S", "is not of the form"},
		{"--config /nonexistent.toml", "give --url and --secret"},
	} {
		g, _, stderr := testGlobals(t)
		if code := execute(t.Context(), g, append([]string{"send"}, strings.Fields(c.args)...)); code != exitUsage {
			t.Errorf("send %s: exit code %d", c.args, code)
		}
		if !strings.Contains(stderr.String(), c.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("send %s says %q, want one line with %q", c.args, stderr, c.want)
		}
	}
}

// receiver is a webhook receiver of another make: it verifies and names no outcome.
type receiver struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.bodies = append(r.requests, req), append(r.bodies, string(body))
	if req.Header.Get(sender.SignatureHeader) != sender.Sign("open sesame", body) {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func TestSendElsewhere(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(payload, []byte(`{"a": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     string
		code     int
		requests int
		want     string
	}{
		{"--insecure", exitOK, 1, "200 OK"},
		{"", exitFailed, 0, "certificate"},
		{"--insecure --severity all", exitOK, 5, "severity 5"},
		{"--insecure --duplicate", exitOK, 2, "200 OK"},
		{"--insecure --forge", exitOK, 1, "401 Unauthorized"},
		{"--insecure --count 50", exitOK, 50, "50 sent in"},
		{"--insecure --http1 --delivery-id chosen -H X-Team:soc --file " + payload, exitOK, 1, "no signal  delivery chosen"},
	} {
		r := &receiver{}
		server := httptest.NewTLSServer(r)
		g, stdout, stderr := testGlobals(t)
		args := append([]string{"send", "--url", server.URL + "/hook", "--secret", "file:" + secret}, strings.Fields(c.args)...)
		code := execute(t.Context(), g, args)
		server.Close()
		if code != c.code || len(r.requests) != c.requests || !strings.Contains(stdout.String()+stderr.String(), c.want) {
			t.Errorf("send %s: exit code %d, %d requests\n%s%s", c.args, code, len(r.requests), stdout, stderr)
		}
		if strings.Contains(c.args, payload) && (r.bodies[0] != `{"a": 1}` || r.requests[0].Header.Get("X-Team") != "soc") {
			t.Errorf("send %s: %q %v", c.args, r.bodies[0], r.requests[0].Header)
		}
		if strings.Contains(stdout.String()+stderr.String(), "sesame") {
			t.Errorf("send %s prints the secret", c.args)
		}
	}
}

// TestUnexpected: who sent something says what was expected and what came.
func TestUnexpected(t *testing.T) {
	t.Parallel()
	of := func(want expectation, status int, outcome string) sent {
		return sent{plannedDelivery: plannedDelivery{want: want}, answer: sender.Answer{Status: status, Outcome: outcome}}
	}
	good := []sent{of(wantAccepted, 200, "accepted"), of(wantDuplicate, 200, "duplicate"), of(wantRefused, 401, "")}
	if err := unexpected(good); err != nil {
		t.Error(err)
	}
	for want, wrong := range map[string]sent{
		"1 of 4 answers were not the expected ones: accepted was expected, and the last such answer is quarantined":              of(wantAccepted, 200, "quarantined"),
		"1 of 4 answers were not the expected ones: 401 was expected, and the last such answer is accepted":                      of(wantRefused, 200, "accepted"),
		"1 of 4 answers were not the expected ones: duplicate was expected, and the last such answer is 503 service unavailable": of(wantDuplicate, 503, ""),
	} {
		if err := unexpected(append(slices.Clone(good), wrong)); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// controlAnswering is a control socket that gives one answer for the status, and one to every other question.
func controlAnswering(t *testing.T, trace, status string) *admin.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // t.TempDir can be longer than a socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := trace
		if strings.Contains(r.URL.Path, "status") {
			answer = status
		}
		_, _ = io.WriteString(w, answer)
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return admin.NewClient(path, "")
}

// TestWaitShowsHowItStands: when the time is up before the bridge has answered once, the outputs are shown all the same.
func TestWaitShowsHowItStands(t *testing.T) {
	t.Parallel()
	results := []sent{{plannedDelivery: plannedDelivery{delivery: sender.Delivery{ID: "d"}}, answer: sender.Answer{Status: http.StatusOK, Outcome: "accepted"}}}
	for outcome, want := range map[string]string{
		"queued":    "not delivered everywhere within 0s\noutput siem: 1 queued\noutput siem fails, 2s ago: connection refused",
		"delivered": "", // meanwhile
	} {
		g, stdout, _ := testGlobals(t)
		control := controlAnswering(t, `{"id":"d","events":[{"bridge_seq":1,"outputs":[{"output":"siem","outcome":"`+outcome+`","level":"stored"}]}]}`,
			`{"at":"2026-11-26T12:00:02Z","outputs":[{"name":"siem","failing":true,"last_error":"connection refused","last_error_at":"2026-11-26T12:00:00Z"}]}`)
		err := g.awaitOutputs(t.Context(), control, results, 0)
		if !strings.Contains(stdout.String(), "siem    "+outcome) || (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v\n%s", outcome, err, stdout)
		}
	}
}

func TestLocalAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ listeners, want string }{
		{"0.0.0.0:8443", "127.0.0.1:8443"},
		{"[::]:8443", "[::1]:8443"},
		{"unix:/run/x.sock 192.0.2.1:443", "192.0.2.1:443"},
		{"/run/x.sock", ""},
	} {
		got, err := localAddress(strings.Fields(c.listeners))
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.listeners, got, err)
		}
	}
}
