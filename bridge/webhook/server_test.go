package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/unixsocket"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
)

func send(t testing.TB, client *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestDeliveryOverBothProtocols(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		rig := newRig(t, nil)
		client := rig.client(http2)
		body := payload("sig_1", time.Now())
		for i, want := range []string{`{"status":"accepted"}` + "\n", `{"status":"duplicate"}` + "\n"} {
			status, got := send(t, client, delivery(t, rig.url(), body))
			if status != 200 || got != want {
				t.Errorf("HTTP/2 %v, delivery %d: got %d %q, want 200 %q", http2, i, status, got, want)
			}
		}
		if n := len(rig.queue.taken()); n != 1 {
			t.Errorf("HTTP/2 %v: %d events in the queue, want 1", http2, n)
		}
	}
}

func TestServerOptionsAreChecked(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		opts ServerOptions
		want string // "": fine
	}{
		{ServerOptions{Listen: []string{"127.0.0.1:0"}, Plaintext: true}, ""},
		{ServerOptions{Listen: []string{"[::1]:0", "localhost:0", "unix:/run/x"}, Plaintext: true}, ""},
		{ServerOptions{Listen: []string{"0.0.0.0:0"}, Plaintext: true}, "only loopback and unix sockets"},
		{ServerOptions{Listen: []string{":8080"}, Plaintext: true}, "only loopback and unix sockets"},
		{ServerOptions{Listen: []string{"127.0.0.1:0", "192.0.2.1:0"}, Plaintext: true}, "only loopback and unix sockets"},
		{ServerOptions{Listen: []string{"0.0.0.0:0"}, Plaintext: true, TrustedProxies: proxies}, ""},
	} {
		_, err := NewServer(c.opts, http.NotFoundHandler())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.opts, err, c.want)
		}
	}
}

// TestPlaintextKeepsItsProxies: a reload that leaves the addresses in clear as they are until a restart leaves them closed
// to others, too.
func TestPlaintextKeepsItsProxies(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	rig := newRig(t, func(_ *Options, s *ServerOptions) {
		s.Plaintext, s.Listen, s.TrustedProxies = true, []string{"0.0.0.0:0"}, proxies
	})
	elsewhere := rig.srvOpts
	elsewhere.Listen, elsewhere.TrustedProxies = []string{"127.0.0.1:0"}, nil
	if needs, err := rig.reload(elsewhere); err != nil || len(needs) != 1 {
		t.Fatalf("needs %q, %v", needs, err)
	}
	if peers := rig.server.conns.peers.Load(); peers == nil || !slices.Equal(*peers, proxies) {
		t.Errorf("who may connect in clear: %v", peers)
	}
	fewer := rig.srvOpts
	fewer.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	if _, err := rig.reload(fewer); err != nil || !slices.Equal(*rig.server.conns.peers.Load(), fewer.TrustedProxies) {
		t.Errorf("other proxies at the same addresses: %v, %v", rig.server.conns.peers.Load(), err)
	}
}

func TestStartFailsWhole(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // the test is over
	socket := filepath.Join(t.TempDir(), "s")
	server, err := NewServer(ServerOptions{Listen: []string{"unix:" + socket, taken.Addr().String()}, Plaintext: true}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	err = server.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "listen on "+taken.Addr().String()) {
		t.Errorf("start: %v", err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the first listener was left open")
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown after a failed start: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bridge.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close() // as a killed process leaves it
	rig := newRig(t, func(o *Options, s *ServerOptions) {
		s.Plaintext, s.Listen = true, []string{"unix:" + path}
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	r := delivery(t, "http://bridge"+testPath, payload("sig_1", time.Now()))
	r.Header.Set("X-Forwarded-For", "192.0.2.7, 203.0.113.9")
	if status, _ := send(t, client, r); status != 200 {
		t.Errorf("answered %d", status)
	}
	if got := rig.queue.taken()[0].ClientAddr; got != "203.0.113.9" {
		t.Errorf("the client is %s", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != unixsocket.Mode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := listen(t.Context(), []string{"unix:" + path}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a socket in use was taken over: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, []byte("precious"))
	if _, err := listen(t.Context(), []string{"unix:" + file}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file was taken for a stale socket: %v", err)
	}
}

func TestServerReload(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	opts := rig.srvOpts
	opts.Listen, opts.ReadTimeout = []string{"127.0.0.1:1"}, time.Minute
	opts.MaxConnections = 7
	opts.TLSCert, opts.TLSKey = rig.ca.write(t, t.TempDir(), 9, time.Now().AddDate(1, 0, 0))
	needs, err := rig.reload(opts)
	if err != nil || !reflect.DeepEqual(needs, []string{"server.listen", "server timeouts"}) {
		t.Errorf("needs %q, %v", needs, err)
	}
	if got := rig.serial(); got != 9 {
		t.Errorf("certificate %d is served", got)
	}
	if got := rig.server.conns.limit.Load(); got != 7 {
		t.Errorf("limit %d", got)
	}
	if needs, err = rig.reload(rig.srvOpts); err != nil || len(needs) != 0 {
		t.Errorf("back again: needs %q, %v", needs, err)
	}
	for name, change := range map[string]func(*ServerOptions){
		"a missing key": func(o *ServerOptions) { o.TLSKey += ".absent" },
		"a bad CA":      func(o *ServerOptions) { o.ClientCAFile = o.TLSKey },
	} {
		bad := rig.srvOpts
		bad.MaxConnections = 3
		change(&bad)
		if _, err := rig.reload(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
		if rig.server.conns.limit.Load() != DefaultMaxConnections || rig.serial() != 2 {
			t.Errorf("%s: part of a refused reload is in effect", name)
		}
	}
	plain := rig.srvOpts
	plain.TLSCert, plain.TLSKey, plain.Plaintext, plain.MaxConnections = "", "", true, 5
	if needs, err = rig.reload(plain); err != nil || len(needs) != 1 || rig.server.conns.limit.Load() != 5 || rig.serial() != 2 {
		t.Errorf("to plaintext: needs %q, %v", needs, err)
	}
}

// TestSocketHandOver does what systemd does in a restart: the socket stays, its process changes. No connection attempt
// is refused in between.
func TestSocketHandOver(t *testing.T) {
	t.Parallel()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held, err := socket.(*net.TCPListener).File() // systemd's own descriptor
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() //nolint:errcheck // the test is over
	address := socket.Addr().String()
	_ = socket.Close()

	url := "http://" + address + testPath
	start := func() *rig {
		inherited, err := net.FileListener(held)
		if err != nil {
			t.Fatal(err)
		}
		return newRig(t, func(_ *Options, s *ServerOptions) {
			s.Plaintext, s.Listen, s.Listeners = true, nil, []net.Listener{inherited}
		})
	}
	stop := make(chan struct{})
	var sent, answered atomic.Int64
	var clients sync.WaitGroup
	for worker := range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				resp, err := client.Do(delivery(t, url, payload(fmt.Sprintf("sig_%d_%d", worker, i), time.Now())))
				if err != nil {
					t.Errorf("a connection attempt was lost: %v", err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode == 200 {
					answered.Add(1)
				}
			}
		})
	}
	for range 5 {
		rig, before := start(), answered.Load()
		eventually(t, "the new process answers", func() bool { return answered.Load() > before+20 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := rig.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		cancel()
	}
	last := start()
	close(stop)
	clients.Wait()
	if sent.Load() != answered.Load() {
		t.Errorf("%d sent, %d answered 200", sent.Load(), answered.Load())
	}
	_ = last
}

// TestShutdownUnderLoad: every answer is true. What was acknowledged is in the queue, whatever is in the queue was
// acknowledged unless its client was cut off, and what comes after is refused at the socket.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		rig := newRig(t, func(_ *Options, s *ServerOptions) { s.Listen = []string{port.HoldTCP(t)} })
		rig.queue.before = func(context.Context) error { time.Sleep(2 * time.Millisecond); return nil }
		url := rig.url()
		var mu sync.Mutex
		acknowledged, failed := map[string]bool{}, 0
		var clients sync.WaitGroup
		for worker := range 16 {
			client := rig.client(http2)
			clients.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("sig_%d_%d", worker, i)
					resp, err := client.Do(delivery(t, url, payload(id, time.Now())))
					if err != nil {
						mu.Lock()
						failed++
						mu.Unlock()
						return
					}
					_ = resp.Body.Close()
					mu.Lock()
					acknowledged[id] = resp.StatusCode == 200
					mu.Unlock()
					if resp.StatusCode != 200 {
						t.Errorf("answered %d during shutdown", resp.StatusCode)
					}
				}
			})
		}
		eventually(t, "there is load", func() bool { return len(rig.queue.taken()) > 200 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := rig.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		cancel()
		stored := map[string]bool{}
		for _, e := range rig.queue.taken() {
			stored[e.Signal.SignalID] = true
		}
		clients.Wait()
		for id := range acknowledged {
			if !stored[id] {
				t.Errorf("HTTP/2 %v: %s was acknowledged and is not in the queue", http2, id)
			}
		}
		if missing := len(stored) - len(acknowledged); missing != 0 {
			t.Errorf("HTTP/2 %v: %d in flight were stored and not answered", http2, missing)
		}
		if _, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(url, testPath), "https://")); err == nil {
			t.Error("a new connection was let in after the shutdown")
		}
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	release := make(chan struct{})
	defer close(release)
	rig.queue.before = func(context.Context) error { <-release; return nil }
	client := rig.client(true)
	go func() {
		if resp, err := client.Do(delivery(t, rig.url(), payload("sig_1", time.Now()))); err == nil {
			_ = resp.Body.Close()
		}
	}()
	eventually(t, "a request is in flight", func() bool { return rig.server.Connections() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := rig.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
}

// TestHTTP2IsOff: HTTP/2 is offered to nobody unless it is turned on, and a client that would like it falls back.
func TestHTTP2IsOff(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		rig := newRig(t, func(_ *Options, o *ServerOptions) { o.HTTP2 = on })
		resp, err := rig.client(true).Get(rig.url())
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if (resp.ProtoMajor == 2) != on {
			t.Errorf("HTTP2 %v: answered over %s", on, resp.Proto)
		}
		if !on {
			raw, err := net.Dial("tcp", rig.addr())
			if err != nil {
				t.Fatal(err)
			}
			secure := tls.Client(raw, &tls.Config{RootCAs: rig.ca.pool(), ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
			if err := secure.Handshake(); err == nil {
				t.Error("a client that speaks HTTP/2 only got a connection")
			}
			_ = secure.Close()
		}
	}
}
