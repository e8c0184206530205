package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// sendTarget is where test signals go and how they are signed.
type sendTarget struct {
	url        string
	secret     secret.Value
	header     http.Header
	roots      *x509.CertPool // nil: as the flags say
	serverName string
	control    *admin.Client // of the bridge of the configuration
}

func (t *sendTarget) options(o sendOptions) sender.ClientOptions {
	c := sender.ClientOptions{
		CAFile: o.CAFile, ServerName: o.ServerName, Insecure: o.Insecure, HTTP1: o.HTTP1, Timeout: o.Timeout,
	}
	if o.CAFile == "" && !o.Insecure && t.roots != nil {
		c.Roots = t.roots
	}
	if c.ServerName == "" {
		c.ServerName = t.serverName
	}
	return c
}

// target finds out where to send: to --url, or to the bridge that runs with the configuration file.
func (g *globals) target(ctx context.Context, o sendOptions) (*sendTarget, error) {
	header, err := parseHeaders(o.Header)
	if err != nil {
		return nil, &usageError{err}
	}
	t := &sendTarget{url: o.URL, header: header}
	if o.Secret != "" {
		if t.secret, err = g.clearSecret(o.Secret); err != nil {
			return nil, &usageError{fmt.Errorf("--secret: %w", err)}
		}
	}
	t.control = (&controlFlags{globals: g}).client()
	if o.URL != "" {
		return t, nil
	}
	loaded, report := g.loader().Load(g.ConfigPath)
	if loaded == nil {
		return nil, &usageError{fmt.Errorf("%w; to send without the configuration, give --url and --secret", report.Err())}
	}
	return t, t.fromConfig(ctx, loaded.Config, o.Endpoint)
}

// fromConfig aims at the running bridge's own listener. Its certificate is trusted as the file that it was read from,
// under the first name in it: what is tested here is the bridge, not the name resolution.
func (t *sendTarget) fromConfig(ctx context.Context, cfg *config.Config, endpoint string) error {
	e, err := findEndpoint(cfg, endpoint)
	if err != nil {
		return &usageError{err}
	}
	status, err := t.control.Status(ctx)
	if err != nil {
		return err
	}
	address, err := localAddress(status.Receiver.Listeners)
	if err != nil {
		return err
	}
	scheme := "https"
	if cfg.Server.Plaintext {
		scheme = "http"
	}
	t.url = scheme + "://" + address + e.Path
	if t.secret.IsZero() {
		t.secret = e.Secrets[0].Value
	}
	for name, values := range e.RequiredHeaders {
		if t.header.Get(name) == "" {
			t.header.Set(name, values[0].Value.Reveal())
		}
	}
	if cfg.Server.Plaintext || cfg.Server.TLSCert == "" {
		return nil
	}
	return t.trust(cfg.Server.TLSCert)
}

// trust makes the certificate in the file the only one that is accepted.
func (t *sendTarget) trust(file string) error {
	certs, err := pemfile.Certificates(file)
	if err != nil {
		return fmt.Errorf("read the bridge's certificate: %w", err)
	}
	if len(certs) == 0 {
		return fmt.Errorf("%s holds no PEM certificate", file)
	}
	cert := certs[0]
	t.roots = x509.NewCertPool()
	t.roots.AddCert(cert)
	switch {
	case len(cert.DNSNames) > 0:
		t.serverName = cert.DNSNames[0]
	case len(cert.IPAddresses) > 0:
		t.serverName = cert.IPAddresses[0].String()
	}
	return nil
}

func findEndpoint(cfg *config.Config, name string) (config.Endpoint, error) {
	for _, e := range cfg.Endpoints {
		if name == "" || e.Name == name {
			return e, nil
		}
	}
	return config.Endpoint{}, fmt.Errorf("the configuration has no endpoint %q", name)
}

// localAddress turns the first TCP listener into an address that can be dialled from this host.
func localAddress(listeners []string) (string, error) {
	for _, l := range listeners {
		at, err := netip.ParseAddrPort(l)
		if err != nil {
			continue // a Unix socket
		}
		host := at.Addr()
		switch {
		case host.IsUnspecified() && host.Is4():
			host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		case host.IsUnspecified():
			host = netip.IPv6Loopback()
		}
		return net.JoinHostPort(host.String(), fmt.Sprint(at.Port())), nil
	}
	return "", errors.New("the bridge listens on no TCP address: give --url")
}
