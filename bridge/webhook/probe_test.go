package webhook

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options, *ServerOptions){
		"TLS":       func(*Options, *ServerOptions) {},
		"plaintext": func(_ *Options, s *ServerOptions) { s.Plaintext = true },
		"every address, plaintext behind proxies": func(_ *Options, s *ServerOptions) {
			s.Plaintext, s.Listen = true, []string{"0.0.0.0:0", "[::]:0", "unix:" + filepath.Join(t.TempDir(), "s")}
			s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		},
		"an address from which the kernel would not connect": func(_ *Options, s *ServerOptions) { s.Listen = []string{"127.0.0.5:0", "[::ffff:127.0.0.6]:0"} },
		"client certificates, nobody allowed": func(o *Options, s *ServerOptions) {
			s.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
			writeFile(t, s.ClientCAFile, newAuthority(t).pem())
			o.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		},
		"full": func(_ *Options, s *ServerOptions) { s.MaxConnections = 1 },
	} {
		rig := newRig(t, change)
		idle, err := net.Dial(rig.server.Addrs()[0].Network(), reachable(rig.server.Addrs()[0])[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close() //nolint:errcheck // the test is over
		if err := rig.server.Probe(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		mustNotContain(t, rig.log.String(), "msg=\"refused")
	}
}

// TestProbeFails shows that the probe can fail: nobody accepts, and another server does.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.Plaintext = true })
	other := newRig(t, func(_ *Options, s *ServerOptions) { s.Plaintext = true })
	deaf := loopback(t)
	defer deaf.Close() //nolint:errcheck // the test is over
	for name, addr := range map[string]net.Addr{"a listener that nobody serves": deaf.Addr(), "another server": other.server.Addrs()[0]} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := rig.server.probeOne(ctx, addr); err == nil || !strings.Contains(err.Error(), "not accepted") {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if n := len(rig.server.conns.probes.waiting); n != 0 {
		t.Errorf("%d probes are still waited for", n)
	}
}

// TestProbeTakesNoPlace: a probe pushes nobody out, and no metric counts it.
func TestProbeTakesNoPlace(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.MaxConnections = 1 })
	addr := rig.server.Addrs()[0]
	idle, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close() //nolint:errcheck // the test is over
	for range 3 {
		if err := rig.server.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c := rig.server.conns
	if c.len() != 1 || c.evicted.Load() != 0 || c.refused.Load() != 0 || c.noRequest.Load() != 0 {
		t.Errorf("%d connections, %d evicted, %d refused, %d without a request", c.len(), c.evicted.Load(), c.refused.Load(), c.noRequest.Load())
	}
}
