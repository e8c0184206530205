package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// HTTP/2 limits. A stream's window lets a body of the usual size in at once, the connection's bounds what lies unread.
const (
	http2Streams      = 8
	http2Frame        = 16 << 10 // the least that a server must take, RFC 9113 section 6.5.2
	http2StreamBuffer = 128 << 10
	http2ConnBuffer   = 128 << 10
)

// Server owns the listeners, TLS and the limits on connections, and hands requests to its handler.
type Server struct {
	opts  ServerOptions
	log   *slog.Logger
	conns *conns
	certs *certificates // nil without certificate files
	acme  *acmeManager  // nil without ACME
	http  *http.Server

	mu        sync.Mutex // orders Start, Prepare and Shutdown
	listeners []net.Listener
	stop      context.CancelFunc // ends the goroutines
	running   sync.WaitGroup     // the goroutines, but those that accept
	accepting sync.WaitGroup
	failed    chan error
	closing   atomic.Bool // the listeners are closed on purpose
	metrics   *serverMetrics
}

// NewServer returns a Server that does not listen yet, or why opts can't work. Certificate files are read.
func NewServer(opts ServerOptions, handler http.Handler) (*Server, error) {
	opts.setDefaults()
	s := &Server{log: opts.Log, conns: newConns(opts.Now, opts.Log), failed: make(chan error, 1)}
	s.metrics = newServerMetrics(opts.Metrics, s.conns)
	s.certs = &certificates{log: opts.Log, now: opts.Now, http2: opts.HTTP2, countHandshake: s.metrics.countHandshake}
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.ACME != nil {
		var err error
		if s.acme, err = newACME(opts.ACME, &opts); err != nil {
			return nil, err
		}
		s.acme.countHandshake = s.metrics.countHandshake
	}
	apply, err := s.prepare(&opts)
	if err != nil {
		return nil, err
	}
	apply()
	s.http = s.newHTTP(&middleware{next: handler})
	return s, nil
}

func (s *Server) newHTTP(handler *middleware) *http.Server {
	o := &s.opts
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(o.HTTP2 && !o.Plaintext)
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
		ErrorLog:                     newErrorLog(s.log, s.metrics, o.Now),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          http2Streams,
			MaxReadFrameSize:              http2Frame,
			MaxReceiveBufferPerConnection: http2ConnBuffer,
			MaxReceiveBufferPerStream:     http2StreamBuffer,
			SendPingTimeout:               30 * time.Second,
			WriteByteTimeout:              o.WriteTimeout,
		},
	}
	if protocols.HTTP2() {
		// net/http's own times would keep timers for a connection that has ended, and with them all that it held, until they are over: it
		// stops those of streams too late, and starts that of an idle connection anew when it ends the streams. So middleware and conns see to them.
		server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 0, 0, 0
		handler.readTimeout, handler.writeTimeout = o.ReadTimeout, o.WriteTimeout
	}
	if !o.Plaintext {
		server.TLSConfig = baseTLS(o.HTTP2, nil)
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
		if err := s.acme.start(running, &s.running, s.listening()); err != nil {
			stop()
			closeAll(s.listeners)
			return err
		}
	}
	s.stop = stop
	for _, l := range s.listeners {
		s.accepting.Go(func() { s.serve(l) })
	}
	if s.http.IdleTimeout == 0 {
		idle := s.opts.IdleTimeout
		s.running.Go(func() { s.conns.sweep(running, idle) })
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

// listening is where the server listens, in the form of ServerOptions.Listen.
func (s *Server) listening() []string {
	addresses := make([]string, 0, len(s.listeners))
	for _, l := range s.listeners {
		addresses = append(addresses, addressOf(l))
	}
	return addresses
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
	s.conns.awaitFirstRequests(ctx)
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
