package admin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

// TestBeyondLoopback is the listener as it stands on a network: TLS, a password, and the address as the Host.
func TestBeyondLoopback(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is for example.com and 127.0.0.1
	certified.Close()
	b := admintest.New(quiet())
	b.Server.SetAccess(admin.Access{Username: "ops", Password: secret.NewValue("pw"), AllowedHosts: []string{"example.com"}})
	ctx, cancel := context.WithCancel(context.Background())
	l, err := admin.Listen(ctx, "0.0.0.0:0", &tls.Config{Certificates: certified.TLS.Certificates}, true)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}}
	defer client.CloseIdleConnections()
	for host, want := range map[string]int{"example.com": 200, "evil.example": 421} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addressOnLoopback(t, l.Addr().String())+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.SetBasicAuth("ops", "pw")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func addressOnLoopback(t *testing.T, address string) string {
	t.Helper()
	ap := mustAddrPort(t, address)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ap.Port())))
}
