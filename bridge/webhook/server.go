package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of ServerOptions.
const (
	DefaultMaxConnections = 1024
	DefaultHeaderTimeout  = 5 * time.Second
	DefaultReadTimeout    = 15 * time.Second
	DefaultWriteTimeout   = 30 * time.Second
	DefaultIdleTimeout    = 2 * time.Minute
	DefaultMaxHeaderBytes = 16 << 10
)

// HTTP/2 limits. A stream's window lets a body of the usual size in at once, the connection's bounds what lies unread.
const (
	http2Streams      = 64
	http2StreamBuffer = 128 << 10
	http2ConnBuffer   = 256 << 10
)

// ServerOptions configures a Server. Zero values mean the defaults. Exactly one of TLSCert with TLSKey, ACME and
// Plaintext says how connections are protected.
type ServerOptions struct {
	Listen    []string       // host:port or unix:/path
	Listeners []net.Listener // already open, handed over by systemd; closed on Shutdown

	TLSCert, TLSKey string // PEM files, read again when they change
	ClientCAFile    string // PEM; clients must show a certificate of one of these
	ACME            *ACME
	// Plaintext serves without TLS: on loopback and unix sockets, elsewhere only to TrustedProxies.
	Plaintext      bool
	TrustedProxies []netip.Prefix

	MaxConnections int
	HeaderTimeout  time.Duration // for a request's header, and for the TLS handshake
	ReadTimeout    time.Duration // for header and body
	WriteTimeout   time.Duration // for the answer, from the end of the header on
	IdleTimeout    time.Duration // between two requests
	MaxHeaderBytes int

	// The rest can't be changed by Reload.

	StateDirectory string           // for ACME's account and certificates
	Log            *slog.Logger     // nil: none
	Now            func() time.Time // nil: time.Now

	certificatePoll time.Duration // how often certificate files are looked at; tests shorten it
}

func (o *ServerOptions) setDefaults() {
	setDefault(&o.certificatePoll, certificatePoll)
	setDefault(&o.MaxConnections, DefaultMaxConnections)
	setDefault(&o.HeaderTimeout, DefaultHeaderTimeout)
	setDefault(&o.ReadTimeout, DefaultReadTimeout)
	setDefault(&o.WriteTimeout, DefaultWriteTimeout)
	setDefault(&o.IdleTimeout, DefaultIdleTimeout)
	setDefault(&o.MaxHeaderBytes, DefaultMaxHeaderBytes)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (o *ServerOptions) check() error {
	var errs []error
	if len(o.Listen)+len(o.Listeners) == 0 {
		errs = append(errs, errors.New("no address to listen on"))
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		errs = append(errs, errors.New("tls_cert and tls_key belong together"))
	}
	ways := 0
	for _, chosen := range []bool{o.TLSCert != "", o.ACME != nil, o.Plaintext} {
		if chosen {
			ways++
		}
	}
	if ways != 1 {
		errs = append(errs, errors.New("set one of tls_cert with tls_key, [server.acme] and plaintext"))
	}
	if o.Plaintext {
		errs = append(errs, o.checkPlaintext())
	}
	if o.ACME != nil {
		errs = append(errs, o.ACME.check(o.StateDirectory))
	}
	if o.MaxConnections < 0 {
		errs = append(errs, errors.New("max_connections is negative"))
	}
	return errors.Join(errs...)
}

func (o *ServerOptions) checkPlaintext() error {
	if o.ClientCAFile != "" {
		return errors.New("client_ca_file needs TLS, and plaintext is set")
	}
	addresses := slices.Clone(o.Listen)
	for _, l := range o.Listeners {
		addresses = append(addresses, addressOf(l))
	}
	for _, address := range addresses {
		if !isLocal(address) && len(o.TrustedProxies) == 0 {
			return errors.New("plaintext on " + address + ": only loopback and unix sockets may go without TLS, or set trusted_proxies")
		}
	}
	return nil
}

// Server owns the listeners, TLS and the limits on connections, and hands requests to its handler.
type Server struct {
	opts  ServerOptions
	log   *slog.Logger
	conns *conns
	certs *certificates // nil without certificate files
	acme  *acmeManager  // nil without ACME
	http  *http.Server

	mu        sync.Mutex // orders Start, Reload and Shutdown
	listeners []net.Listener
	stop      context.CancelFunc // ends the goroutines
	running   sync.WaitGroup     // the goroutines, but those that accept
	accepting sync.WaitGroup
	failed    chan error
	closing   atomic.Bool // the listeners are closed on purpose
	metrics   serverMetrics
}

// NewServer returns a Server that does not listen yet, or every error of opts at once. Certificate files are read.
func NewServer(opts ServerOptions, handler http.Handler) (*Server, error) {
	opts.setDefaults()
	s := &Server{
		log: opts.Log, conns: newConns(opts.Now, opts.Log), failed: make(chan error, 1), metrics: newServerMetrics(),
	}
	s.certs = &certificates{log: opts.Log, now: opts.Now}
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.ACME != nil {
		var err error
		if s.acme, err = newACME(opts.ACME, &opts); err != nil {
			return nil, err
		}
	}
	apply, err := s.prepare(&opts)
	if err != nil {
		return nil, err
	}
	apply()
	s.http = s.newHTTP(greeting{handler})
	return s, nil
}

func (s *Server) newHTTP(handler http.Handler) *http.Server {
	o := &s.opts
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!o.Plaintext)
	server := &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            o.HeaderTimeout,
		ReadTimeout:                  o.ReadTimeout,
		WriteTimeout:                 o.WriteTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxHeaderBytes:               o.MaxHeaderBytes,
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true,
		ConnContext:                  withConn,
		ErrorLog:                     newErrorLog(s.log, &s.metrics, o.Now),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          http2Streams,
			MaxReceiveBufferPerConnection: http2ConnBuffer,
			MaxReceiveBufferPerStream:     http2StreamBuffer,
			SendPingTimeout:               30 * time.Second,
			WriteByteTimeout:              o.WriteTimeout,
		},
	}
	if !o.Plaintext {
		server.TLSConfig = baseTLS()
		server.TLSConfig.GetConfigForClient = s.configFor
	}
	return server
}

// Start opens every listener and begins to serve. When it returns nil, all of them accept; ctx bounds only that.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	opened, err := listen(ctx, s.opts.Listen)
	if err != nil {
		return err
	}
	for _, l := range append(opened, s.opts.Listeners...) {
		s.listeners = append(s.listeners, &listener{Listener: l, conns: s.conns})
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	if s.acme != nil {
		if err := s.acme.start(running, &s.running); err != nil {
			stop()
			closeAll(s.listeners)
			return err
		}
	}
	s.stop = stop
	for _, l := range s.listeners {
		s.accepting.Go(func() { s.serve(l) })
	}
	if s.opts.TLSCert != "" {
		every := s.opts.certificatePoll
		s.running.Go(func() { s.certs.watch(running, every) })
	}
	return nil
}

func (s *Server) serve(l net.Listener) {
	var err error
	if s.http.TLSConfig == nil {
		err = s.http.Serve(l)
	} else {
		err = s.http.ServeTLS(l, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) || s.closing.Load() {
		return
	}
	s.log.Error("a listener has failed", "address", addressOf(l), "error", err)
	select {
	case s.failed <- err:
	default:
	}
}

// Failed delivers the error of the first listener that stopped accepting by itself, if one ever does.
func (s *Server) Failed() <-chan error { return s.failed }

// Addrs returns where the server listens, in the order of Listen and then Listeners.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, 0, len(s.listeners))
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// Shutdown closes the listeners first, so that new connections are refused at the socket (or wait in systemd's for the
// next process), then lets every request in flight finish with its true answer. When ctx ends before that, the rest is
// cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		closeAll(s.opts.Listeners)
		return nil
	}
	s.stop()
	s.closing.Store(true)
	closeAll(s.listeners)
	s.accepting.Wait() // now conns knows every connection that was accepted
	s.http.SetKeepAlivesEnabled(false)
	s.conns.awaitGreetings(ctx)
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	if s.acme != nil {
		s.acme.stop()
	}
	return errors.Join(err, s.join(ctx))
}

// join waits for the goroutines. Only a talk with an ACME server can keep one of them for longer than a moment.
func (s *Server) join(ctx context.Context) error {
	joined := make(chan struct{})
	go func() {
		s.running.Wait()
		close(joined)
	}()
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
