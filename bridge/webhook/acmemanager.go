package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// Times of the ACME client.
const (
	acmeCallTimeout = 30 * time.Second // one HTTP request to the ACME server
	acmeCheck       = time.Hour        // between two looks at what is due
	acmeFirstRetry  = 15 * time.Second
)

// acmeConnections may be open to the listener for HTTP-01 at once.
const acmeConnections = 128

// acmeManager gets and renews the certificates of ACME.Domains and hands them to handshakes.
type acmeManager struct {
	opts           *ACME
	http2          bool // offered
	countHandshake func(tls.ConnectionState) error
	log            *slog.Logger
	now            func() time.Time
	manager        *autocert.Manager
	config         atomic.Pointer[tls.Config]
	http           *http.Server       // for HTTP-01, nil without
	conns          *conns             // of http: that port faces the internet as well
	hangUp         context.CancelFunc // ends every connection to the ACME server: autocert's calls take no context

	mu       sync.Mutex
	ends     map[string]time.Time // by domain
	failed   map[string]string    // the last error said, by domain
	warnedAt map[string]time.Time
}

func newACME(o *ACME, server *ServerOptions) (*acmeManager, error) {
	cache := filepath.Join(server.StateDirectory, "acme")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("server.acme: %w", err)
	}
	running, hangUp := context.WithCancel(context.Background())
	client, err := o.client(running)
	if err != nil {
		hangUp()
		return nil, fmt.Errorf("server.acme: %w", err)
	}
	a := &acmeManager{
		hangUp: hangUp, opts: o, http2: server.HTTP2, log: server.Log, now: server.Now,
		ends: map[string]time.Time{}, failed: map[string]string{}, warnedAt: map[string]time.Time{},
	}
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cache), Email: o.Email,
		HostPolicy: autocert.HostWhitelist(o.Domains...), Client: client,
	}
	if o.HTTPListen != "" || o.HTTPListener != nil {
		a.http = &http.Server{
			Handler:           withoutPort(a.manager.HTTPHandler(http.NotFoundHandler())),
			ReadHeaderTimeout: server.HeaderTimeout, ReadTimeout: server.HeaderTimeout, WriteTimeout: server.HeaderTimeout,
			MaxHeaderBytes: server.MaxHeaderBytes,
			ErrorLog:       slog.NewLogLogger(server.Log.Handler(), slog.LevelDebug),
		}
		a.http.SetKeepAlivesEnabled(false)
		a.conns = newConns(server.Now, server.Log.With("listener", "HTTP-01"))
		a.conns.limit.Store(acmeConnections)
	}
	return a, nil
}

// withoutPort takes the port off the request's host: autocert compares it with the domains, and a validation that does
// not go to port 80 (a private ACME server's, or through a forwarded port) names one.
func withoutPort(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}

// prepare reads the client CAs and returns the function that puts them into use.
func (a *acmeManager) prepare(clientCA string) (apply func(), err error) {
	config := baseTLS(a.http2, a.countHandshake)
	config.GetCertificate = a.certificate
	if err := requireClients(config, clientCA); err != nil {
		return nil, err
	}
	return func() { a.config.Store(config) }, nil
}

// configFor asks for no client certificate in a TLS-ALPN-01 validation (RFC 8737 section 3): the ACME server has none.
func (a *acmeManager) configFor(hello *tls.ClientHelloInfo) *tls.Config {
	if !isValidation(hello) {
		return a.config.Load()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acme.ALPNProto}, GetCertificate: a.manager.GetCertificate}
}

func isValidation(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto
}

// certificate is GetCertificate. A client that names no host gets the first domain's.
func (a *acmeManager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = a.opts.Domains[0]
		hello = &named
	}
	return a.manager.GetCertificate(hello)
}

// start begins to answer HTTP-01 and to get the certificates, without waiting for them.
func (a *acmeManager) start(ctx context.Context, running *sync.WaitGroup, listen []string) error {
	if a.http != nil {
		l := a.opts.HTTPListener
		if l == nil {
			var err error
			if l, err = listenOne(ctx, a.opts.HTTPListen); err != nil {
				return fmt.Errorf("listen on %s for HTTP-01: %w", a.opts.HTTPListen, err)
			}
		}
		running.Go(func() {
			if err := a.http.Serve(&listener{Listener: l, conns: a.conns}); !errors.Is(err, http.ErrServerClosed) {
				a.log.Error("the listener for HTTP-01 has failed", "error", err)
			}
		})
	}
	for _, advice := range a.opts.Advice(listen) {
		a.log.Warn("the ACME server must reach this host", "advice", advice)
	}
	for _, domain := range a.opts.Domains {
		running.Go(func() { a.keep(ctx, domain) })
	}
	return nil
}

func (a *acmeManager) stop() {
	a.hangUp()
	if a.http != nil {
		_ = a.http.Close()
	}
}

// keep sees to it that domain has a certificate before the first delivery needs it, and notes its end.
func (a *acmeManager) keep(ctx context.Context, domain string) {
	wait := acmeFirstRetry
	for {
		if a.look(domain) {
			wait = acmeCheck
		} else {
			wait = min(2*wait, acmeCheck)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// look gets domain's certificate from memory, disk or the ACME server, and reports whether there is one.
func (a *acmeManager) look(domain string) bool {
	certificate, err := a.manager.GetCertificate(modernHello(domain))
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		if a.failed[domain] != err.Error() {
			a.log.Error("no certificate from the ACME server yet, trying again", "domain", domain, "error", err)
		}
		a.failed[domain] = err.Error()
		return false
	}
	now, end := a.now(), certificate.Leaf.NotAfter
	if a.ends[domain] != end {
		a.log.Info("certificate in use", "domain", domain, "not_after", end)
	}
	a.failed[domain], a.ends[domain] = "", end
	if end.Sub(now) < pemfile.ExpiryNotice && end.Sub(now) < certificate.Leaf.NotAfter.Sub(certificate.Leaf.NotBefore)/4 &&
		now.Sub(a.warnedAt[domain]) >= warningInterval {
		a.warnedAt[domain] = now
		logExpiry(a.log, now, end, domain)
	}
	return true
}

// modernHello is the ClientHello of a client that takes ECDSA certificates, as all of today's do.
func modernHello(domain string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:        domain,
		SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		CipherSuites:      []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves:   []tls.CurveID{tls.CurveP256},
	}
}

// notAfter is the earliest end of all domains' certificates, zero when one has none yet.
func (a *acmeManager) notAfter() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	var earliest time.Time
	for _, domain := range a.opts.Domains {
		end := a.ends[domain]
		if end.IsZero() {
			return time.Time{}
		}
		if earliest.IsZero() || end.Before(earliest) {
			earliest = end
		}
	}
	return earliest
}
