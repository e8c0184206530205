package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
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
		"client certificates, nobody allowed": func(o *Options, s *ServerOptions) {
			s.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
			writeFile(t, s.ClientCAFile, newAuthority(t).pem())
			o.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		},
		"full": func(_ *Options, s *ServerOptions) { s.MaxConnections = 1 },
	} {
		rig := newRig(t, change)
		idle, err := net.Dial(rig.server.Addrs()[0].Network(), reachable(rig.server.Addrs()[0]))
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

// TestProbeFails shows that the probe can fail: nobody accepts, and another server answers.
func TestProbeFails(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.Plaintext = true })
	deaf := loopback(t)
	defer deaf.Close() //nolint:errcheck // the test is over
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := rig.server.probeOne(ctx, deaf.Addr()); err == nil {
		t.Error("a listener that nobody serves answered")
	}
	other := newRig(t, func(_ *Options, s *ServerOptions) { s.Plaintext = true })
	if err := rig.server.probeOne(t.Context(), other.server.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("another server: %v", err)
	}
}

// TestProbeNameServesNothing: who should learn the probe's name gets past client certificates, and no further.
func TestProbeNameServesNothing(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: rig.server.probe.roots, ServerName: rig.server.probe.name}}}
	defer client.CloseIdleConnections()
	if status, _ := send(t, client, delivery(t, rig.url(), payload("sig_1", time.Now()))); status != http.StatusNotFound {
		t.Errorf("a delivery under the probe's name is answered %d", status)
	}
	if len(rig.queue.taken()) != 0 {
		t.Error("a delivery under the probe's name was taken")
	}
}
