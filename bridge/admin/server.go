package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// Bounds of both doors: whatever comes, the bridge's own work goes on.
const (
	maxConnections  = 32
	maxHeaderBytes  = 16 << 10
	maxBodyBytes    = 64 << 10
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	writeTimeout    = 60 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Second // for requests under way when a door closes
)

// Queue is the queue as this package sees it.
type Queue interface {
	queue.Reporter
	queue.DeadLetters
	queue.History
	queue.LossLog
	OutputMover
}

// OutputMover sends an output again what it has had, and ends one; see queue.Outputs.
type OutputMover interface {
	Replay(ctx context.Context, output string, since time.Time) (events uint64, err error)
	Forget(ctx context.Context, output string) (left uint64, err error)
}

// BridgeForgetter is a queue that several bridges share.
type BridgeForgetter interface {
	// ForgetBridge takes back what a bridge has declared last. queue.ErrNotFound: there is no such bridge.
	ForgetBridge(ctx context.Context, name string) error
}

// Options is what New needs; every field must be set, Access may be zero.
type Options struct {
	Source  Source
	Queue   Queue
	Metrics prometheus.Gatherer
	Log     *slog.Logger
	Now     func() time.Time
	Access  Access
	// Reload reads the configuration again and says what still needs a restart, or why the old configuration stays in force.
	Reload func(context.Context) (restartNeeded []string, err error)
	Tail   *tail.Hub
}

// Access says who may read over the HTTP listener.
type Access struct {
	AllowedHosts []string     // accepted in the Host header beside loopback names and the listener's own address
	Username     string       // empty: any name
	Password     secret.Value // zero: none is asked for; CheckExposure allows that on loopback only
}

// Server answers both listeners. It owns no goroutine beside those that Serve, ServeControl and Record run.
type Server struct {
	opts          Options
	access        atomic.Pointer[Access]
	page          *page
	loginLimiters *loginLimiters
	history       *history
	reading       http.Handler
	control       http.Handler
}

// New returns a Server that serves nothing yet.
func New(opts Options) *Server {
	s := &Server{opts: opts, page: newPage(), loginLimiters: newLoginLimiters(), history: newHistory()}
	s.SetAccess(opts.Access)
	s.reading = s.readingRoutes()
	s.control = s.controlRoutes()
	return s
}

// SetAccess replaces the access rules, on a reload.
func (s *Server) SetAccess(a Access) { s.access.Store(&a) }

// Serve answers HTTP on l until ctx ends, and closes l. It returns nil after an end in good order.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.reading, nil)
}

// ServeControl answers the control socket l (ListenControl) until ctx ends, and closes l.
func (s *Server) ServeControl(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.control, func(ctx context.Context, c net.Conn) context.Context {
		p, err := identify(unlimited(c))
		if err != nil {
			s.opts.Log.Debug("who calls on the control socket is unknown", slog.Any("error", err))
		}
		return withPeer(ctx, p)
	})
}

func (s *Server) serve(ctx context.Context, l net.Listener, routes http.Handler, identified func(context.Context, net.Conn) context.Context) error {
	h := &http.Server{
		Handler:           routes,
		ConnContext:       identified,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if h.Shutdown(last) != nil {
			_ = h.Close()
		}
	})
	err := h.Serve(limit(l, maxConnections))
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// Listen opens the HTTP listener at address ("host:port"), with TLS when tlsConfig is not nil, and refuses what
// CheckExposure refuses.
func Listen(ctx context.Context, address string, tlsConfig *tls.Config, hasPassword bool) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	if err := CheckExposure(l.Addr(), tlsConfig != nil, hasPassword); err != nil {
		_ = l.Close()
		return nil, err
	}
	if tlsConfig != nil {
		l = tls.NewListener(l, tlsConfig)
	}
	return l, nil
}

// CheckExposure refuses an HTTP listener beyond loopback without TLS and a password.
func CheckExposure(address net.Addr, hasTLS, hasPassword bool) error {
	ap, err := netip.ParseAddrPort(address.String())
	if err == nil && ap.Addr().Unmap().IsLoopback() || hasTLS && hasPassword {
		return nil
	}
	return fmt.Errorf("admin.listen: %s is beyond loopback, which needs tls_cert, tls_key and a password in [admin]; or listen on 127.0.0.1", address)
}
