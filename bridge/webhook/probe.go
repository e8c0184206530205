package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"
)

// probe is the server's request to itself, for the watchdog: over every listener, through TLS and HTTP, without a
// signature, a client certificate or a line in the log. Its path, and the name that it asks for in TLS, are made up at
// start and known to this process alone; under that name nothing but the path is served.
type probe struct {
	path, name string
	config     *tls.Config    // for the server's side
	roots      *x509.CertPool // for the client's
}

func newProbe() (*probe, error) {
	secret := strings.ToLower(rand.Text())
	p := &probe{path: "/" + secret, name: secret + ".invalid", roots: x509.NewCertPool()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "probe"}, DNSNames: []string{p.name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // whatever the clock says
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	p.roots.AddCert(leaf)
	p.config = baseTLS(false, nil)
	p.config.SessionTicketsDisabled = true // no session of the probe's is of use elsewhere
	p.config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
	return p, nil
}

// middleware stands before the handler: it answers probes, and notes a connection's first request (see awaitFirstRequests).
type middleware struct {
	probe *probe
	next  http.Handler

	readTimeout, writeTimeout time.Duration // for a request; zero: net/http sees to them
}

// ServeHTTP implements http.Handler.
func (f *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	if c != nil && !c.sawRequest.Load() {
		c.sawRequest.Store(true)
	}
	if c != nil {
		defer c.set.end(c)
		if !c.set.begin(c) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	if f.readTimeout > 0 {
		defer f.limitTimes(w, r)()
	}
	switch {
	case r.URL.Path == f.probe.path:
		w.WriteHeader(http.StatusNoContent)
	case r.TLS != nil && r.TLS.ServerName == f.probe.name:
		w.WriteHeader(http.StatusNotFound)
	default:
		f.next.ServeHTTP(w, r)
	}
}

// limitTimes sets a request's times, and returns what ends them.
func (f *middleware) limitTimes(w http.ResponseWriter, r *http.Request) (end func()) {
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		now := time.Now()
		_ = rc.SetReadDeadline(now.Add(f.readTimeout)) // it fails on a connection that has ended
		_ = rc.SetWriteDeadline(now.Add(f.writeTimeout))
		return func() {}
	}
	// The answer's time is that of the connection: WriteByteTimeout.
	timer := time.AfterFunc(f.readTimeout, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	return func() { timer.Stop() }
}

// Probe sends one request over every listener and reports the first that is not answered before ctx ends.
func (s *Server) Probe(ctx context.Context) error {
	for _, addr := range s.Addrs() {
		if err := s.probeOne(ctx, addr); err != nil {
			return fmt.Errorf("no answer on %s: %w", addr, err)
		}
	}
	return nil
}

func (s *Server) probeOne(ctx context.Context, addr net.Addr) error {
	network, address := addr.Network(), reachable(addr)
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: s.probe.roots, ServerName: s.probe.name, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	scheme := "https"
	if s.http.TLSConfig == nil {
		scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+s.probe.name+s.probe.path, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("another server answers there: %s", response.Status)
	}
	return nil
}

// reachable is the address at which this host reaches a listener: that of all interfaces by loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	loopback := *tcp
	loopback.IP = net.IPv6loopback
	if tcp.IP.To4() != nil {
		loopback.IP = net.IPv4(127, 0, 0, 1)
	}
	return loopback.String()
}
