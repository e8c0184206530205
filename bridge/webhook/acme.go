package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// ACME configures certificates by RFC 8555.
type ACME struct {
	Domains      []string
	Email        string
	DirectoryURL string       // empty: Let's Encrypt
	CAFile       string       // PEM roots for a private ACME server; empty: the system's
	HTTPListen   string       // host:port for HTTP-01, reachable as port 80; empty: TLS-ALPN-01 alone
	HTTPListener net.Listener // instead of HTTPListen, already open
}

// Advice returns what the operator must see to, given where the bridge listens: an ACME server validates at port 443 of
// the public name (TLS-ALPN-01) or at port 80 (HTTP-01) and nowhere else.
func (a *ACME) Advice(listen []string) []string {
	if a.HTTPListen == "" && a.HTTPListener == nil {
		for _, address := range listen {
			if _, port, err := net.SplitHostPort(address); err == nil && (port == "443" || port == "https") || address == "systemd" {
				return nil
			}
		}
		return []string{fmt.Sprintf("server.acme: TLS-ALPN-01 is validated at port 443 of %s: forward that port to %s, or set http_listen",
			strings.Join(a.Domains, ", "), strings.Join(listen, ", "))}
	}
	if _, port, err := net.SplitHostPort(a.HTTPListen); err == nil && port != "80" && port != "http" {
		return []string{fmt.Sprintf("server.acme: HTTP-01 is validated at port 80 of %s: forward that port to %s",
			strings.Join(a.Domains, ", "), a.HTTPListen)}
	}
	return nil
}

func (a *ACME) equal(b *ACME) bool {
	return slices.Equal(a.Domains, b.Domains) && a.Email == b.Email && a.DirectoryURL == b.DirectoryURL &&
		a.CAFile == b.CAFile && a.HTTPListen == b.HTTPListen
}

// client returns the ACME client, which trusts the private roots alone when there are some. Its connections end with
// running.
func (a *ACME) client(running context.Context) (*acme.Client, error) {
	directory := a.DirectoryURL
	if directory == "" {
		directory = acme.LetsEncryptURL
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: acmeCallTimeout, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: acmeCallTimeout}).DialContext(ctx, network, address)
			if err == nil {
				context.AfterFunc(running, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
	if a.CAFile != "" {
		roots, err := pemfile.Pool(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &acme.Client{
		DirectoryURL: directory, UserAgent: "linuxguard-bridge",
		HTTPClient: &http.Client{Transport: transport, Timeout: acmeCallTimeout},
	}, nil
}
