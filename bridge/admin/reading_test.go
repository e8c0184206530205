package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs b's HTTP listener until the test ends and returns its URL.
func serve(t *testing.T, b *admintest.Bridge) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := admin.Listen(ctx, "127.0.0.1:0", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("admin listener: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

type request struct {
	method, path, host, user, password string
}

func (r request) do(t *testing.T, base string) (*http.Response, string) {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, base+r.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.host != "" {
		req.Host = r.host
	}
	if r.user+r.password != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestHost: a page that an operator visits can make the browser send any name that the attacker's DNS resolves to
// 127.0.0.1, but not an address and not a name that the operator allowed.
func TestHost(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	b.Server.SetAccess(admin.Access{AllowedHosts: []string{"bridge.example.com"}})
	base := serve(t, b)
	for host, want := range map[string]int{
		"":                        200, // the listener's own address
		"localhost":               200,
		"LOCALHOST:9464":          200,
		"127.0.0.1":               200,
		"127.8.8.8:1":             200,
		"[::1]:9464":              200,
		"bridge.example.com":      200,
		"Bridge.Example.COM.:443": 200,
		"evil.example.com":        421,
		"evil.example.com:9464":   421,
		"localhost.evil.example":  421,
		"192.0.2.1":               421,
		"127.0.0.1.evil.example":  421,
		"bridge.example.com.evil": 421,
	} {
		for _, path := range []string{"/", "/metrics", "/readyz", "/healthz"} {
			resp, body := request{path: path, host: host}.do(t, base)
			got := resp.StatusCode
			if got == 503 && path == "/readyz" {
				got = 200 // the sample isn't ready: that is an answer
			}
			if got != want {
				t.Errorf("Host %q, %s: %d, want %d: %.80s", host, path, got, want, body)
			}
		}
	}
}

func TestReadingDoorOnlyReads(t *testing.T) {
	t.Parallel()
	base := serve(t, admintest.New(quiet()))
	for _, c := range []request{
		{method: "POST", path: "/"}, {method: "DELETE", path: "/metrics"}, {path: "/v1/status"}, {path: "/v1/quarantine"}, {path: "/debug/pprof/"}, {path: "/index.html"},
	} {
		resp, _ := c.do(t, base)
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", c.method, c.path, resp.StatusCode)
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := admintest.New(slog.New(slog.NewTextHandler(&log, nil)))
	b.Server.SetAccess(admin.Access{Username: "ops", Password: secret.NewValue("correct horse")})
	base := serve(t, b)
	for _, c := range []struct {
		request
		want int
	}{
		{request{path: "/"}, 401},
		{request{path: "/metrics"}, 401},
		{request{path: "/", user: "ops", password: "correct horse"}, 200},
		{request{path: "/metrics", user: "ops", password: "correct horse"}, 200},
		{request{path: "/", user: "root", password: "correct horse"}, 401},
		{request{path: "/", user: "ops", password: "correct"}, 401},
	} {
		if resp, _ := c.do(t, base); resp.StatusCode != c.want {
			t.Errorf("%+v: %d, want %d", c.request, resp.StatusCode, c.want)
		}
	}
	// The clock stands still, so the ten guesses are used up for good: two were.
	for range 8 {
		request{path: "/", user: "ops", password: "guess"}.do(t, base)
	}
	if resp, _ := (request{path: "/", user: "ops", password: "guess"}).do(t, base); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the eleventh guess: %d", resp.StatusCode)
	}
	if resp, _ := (request{path: "/", user: "ops", password: "correct horse"}).do(t, base); resp.StatusCode != http.StatusOK {
		t.Errorf("the right password behind wrong ones: %d", resp.StatusCode)
	}
	if strings.Contains(log.String(), "correct horse") || !strings.Contains(log.String(), "event=admin_refused") {
		t.Errorf("log: %s", log.String())
	}
}

func TestHealthTellsReasonsOnlyToThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	base := serve(t, b)
	check := func(r request, code int, want admin.Health) {
		t.Helper()
		resp, body := r.do(t, base)
		var got admin.Health
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %v in %q", r.path, err, body)
		}
		if resp.StatusCode != code || got.Status != want.Status || strings.Join(got.Reasons, "|") != strings.Join(want.Reasons, "|") {
			t.Errorf("%s: %d %+v, want %d %+v", r.path, resp.StatusCode, got, code, want)
		}
	}
	check(request{path: "/healthz"}, 200, admin.Health{Status: "ok"})
	check(request{path: "/readyz"}, 503, admin.Health{Status: "failed", Reasons: []string{"output splunk is blocked until an operator acts: 403: the token is disabled"}})
	b.Queue.State.Healthy, b.Queue.State.Problem = false, "no space left on device"
	b.Source.Says.Outputs[1].Stuck, b.Source.Says.Outputs[2].Blocked = true, false
	want := admin.Health{Status: "failed", Reasons: []string{
		"the queue can't take events, webhooks get 503: no space left on device", "the worker of output siem makes no progress; a restart may help",
	}}
	check(request{path: "/healthz"}, 503, want)
	check(request{path: "/readyz"}, 503, want)
	b.Server.SetAccess(admin.Access{Password: secret.NewValue("x")})
	check(request{path: "/healthz"}, 503, admin.Health{Status: "failed"})
	check(request{path: "/readyz", user: "any", password: "x"}, 503, want)
}

func TestExposure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address       string
		tls, password bool
		ok            bool
	}{
		{"127.0.0.1:1", false, false, true},
		{"[::1]:1", false, false, true},
		{"[::ffff:127.0.0.1]:1", false, false, true},
		{"0.0.0.0:1", false, false, false},
		{"[::]:1", true, false, false},
		{"192.0.2.1:1", false, true, false},
		{"192.0.2.1:1", true, true, true},
	} {
		addr := net.TCPAddrFromAddrPort(mustAddrPort(t, c.address))
		if err := admin.CheckExposure(addr, c.tls, c.password); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if l, err := admin.Listen(t.Context(), "0.0.0.0:0", nil, true); err == nil {
		_ = l.Close()
		t.Error("listened beyond loopback without TLS")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	problems, err := testutil.CollectAndLint(admin.NewCollector(b.Source, b.Queue, admintest.Now))
	if err != nil || len(problems) > 0 {
		t.Errorf("promtool's rules: %v %v", problems, err)
	}
	_, body := request{path: "/metrics"}.do(t, serve(t, b))
	if problems, err := promlint.New(strings.NewReader(body)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promtool's rules: %v %v", problems, err)
	}
	for _, want := range []string{
		`linuxguard_bridge_build_info{goversion="go1.`, `version="1.2.3"} 1`,
		"linuxguard_bridge_ready 0\n",
		`linuxguard_bridge_output_oldest_age_seconds{output="archive"} 0`, `linuxguard_bridge_output_oldest_age_seconds{output="siem"} 540`,
		"linuxguard_bridge_config_last_reload_successful 0\n",
		`linuxguard_bridge_config_info{hash="5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"} 1`,
		`linuxguard_bridge_certificate_expiry_timestamp_seconds{certificate="server"} 1.7971632e+09`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestMetricsSurviveTwoCertificatesOfOneName(t *testing.T) {
	t.Parallel()
	b := admintest.New(quiet())
	b.Source.Says.Certificates = append(b.Source.Says.Certificates, b.Source.Says.Certificates...)
	if n := testutil.CollectAndCount(admin.NewCollector(b.Source, b.Queue, admintest.Now), "linuxguard_bridge_certificate_expiry_timestamp_seconds"); n != 1 {
		t.Errorf("%d series", n)
	}
}

// TestServeEndsWhileARequestHangs: a slow client can't hold up the stop for longer than the good-bye.
func TestServeEndsWhileARequestHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := admin.Listen(ctx, "127.0.0.1:0", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- admintest.New(quiet()).Server.Serve(ctx, l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: loc")); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Serve did not end")
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	t.Parallel()
	l, err := admin.Listen(t.Context(), "127.0.0.1:0", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := admintest.New(quiet()).Server.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
