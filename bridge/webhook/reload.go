package webhook

import (
	"crypto/tls"
	"errors"
	"slices"
	"time"
)

// Prepare checks opts, reads the files that it names, and returns the function that puts it into effect at once:
// certificates, client CAs, max_connections and trusted proxies for all connections that begin afterwards.
// needsRestart names what differs from the running configuration and stays as it is until the next start.
func (s *Server) Prepare(opts ServerOptions) (apply func(), needsRestart []string, err error) {
	s.mu.Lock()
	running := s.opts
	s.mu.Unlock()
	opts.Listeners, opts.StateDirectory, opts.Log, opts.Now = running.Listeners, running.StateDirectory, running.Log, running.Now
	opts.setDefaults()
	if err := opts.check(); err != nil {
		return nil, nil, err
	}
	needsRestart = running.fixedDifferences(&opts)
	opts.keepFixed(&running)
	apply, err = s.prepare(&opts)
	return apply, needsRestart, err
}

// prepare does for a checked opts what can fail, and returns what can't.
func (s *Server) prepare(opts *ServerOptions) (apply func(), err error) {
	useTLS, err := s.prepareTLS(opts)
	if err != nil {
		return nil, err
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		useTLS()
		s.opts = *opts
		s.conns.limit.Store(int64(opts.MaxConnections))
		s.conns.peers.Store(nil)
		if opts.Plaintext && len(opts.TrustedProxies) > 0 {
			proxies := slices.Clone(opts.TrustedProxies)
			s.conns.peers.Store(&proxies)
		}
	}, nil
}

func (s *Server) prepareTLS(opts *ServerOptions) (apply func(), err error) {
	switch {
	case opts.TLSCert != "":
		return s.certs.prepare(files{opts.TLSCert, opts.TLSKey, opts.ClientCAFile})
	case opts.ACME != nil:
		return s.acme.prepare(opts.ClientCAFile)
	}
	return func() {}, nil
}

// configFor is the tls.Config of one handshake.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, ok := hello.Conn.(*conn); ok && s.certs.http2 && slices.Contains(hello.SupportedProtos, "h2") {
		c.http2.Store(true)
	}
	if s.acme != nil {
		return s.acme.configFor(hello), nil
	}
	if config := s.certs.current.Load(); config != nil {
		return config, nil
	}
	return nil, errors.New("no certificate")
}

// CertificateNotAfter is the end of the certificate in use: with ACME the earliest one. Zero: there is none (yet).
func (s *Server) CertificateNotAfter() time.Time {
	if s.acme != nil {
		return s.acme.notAfter()
	}
	return leafNotAfter(s.certs.current.Load())
}

// Connections is the number of open connections.
func (s *Server) Connections() int { return s.conns.len() }

// protection is the way in which connections are protected.
func (o *ServerOptions) protection() string {
	switch {
	case o.Plaintext:
		return "plaintext"
	case o.ACME != nil:
		return "acme"
	}
	return "tls"
}

// fixedDifferences names the configuration keys whose new values only a restart puts into effect.
func (o *ServerOptions) fixedDifferences(other *ServerOptions) []string {
	var keys []string
	add := func(key string, differs bool) {
		if differs {
			keys = append(keys, key)
		}
	}
	add("server.listen", !slices.Equal(o.Listen, other.Listen))
	switch {
	case o.protection() != other.protection():
		add("server.plaintext, tls_cert or acme", true)
	case o.ACME != nil:
		add("server.acme", !o.ACME.equal(other.ACME))
	}
	add("server timeouts", o.HeaderTimeout != other.HeaderTimeout || o.ReadTimeout != other.ReadTimeout ||
		o.WriteTimeout != other.WriteTimeout || o.IdleTimeout != other.IdleTimeout)
	add("server.max_header_bytes", o.MaxHeaderBytes != other.MaxHeaderBytes)
	return keys
}

// keepFixed takes over from the running configuration what only a restart changes.
func (o *ServerOptions) keepFixed(running *ServerOptions) {
	if o.protection() != running.protection() {
		o.TLSCert, o.TLSKey, o.ClientCAFile = running.TLSCert, running.TLSKey, running.ClientCAFile
	}
	if running.Plaintext && (!o.Plaintext || !slices.Equal(o.Listen, running.Listen)) {
		o.TrustedProxies = running.TrustedProxies // who may send in clear to the addresses that stay
	}
	o.Listen, o.ACME, o.Plaintext = running.Listen, running.ACME, running.Plaintext
	o.HeaderTimeout, o.ReadTimeout, o.WriteTimeout = running.HeaderTimeout, running.ReadTimeout, running.WriteTimeout
	o.IdleTimeout, o.MaxHeaderBytes = running.IdleTimeout, running.MaxHeaderBytes
}
