package outputtest

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// HTTPFault is one way in which an HTTP request fails.
type HTTPFault int

// The faults.
const (
	HTTPGood        HTTPFault = iota // as the handler says
	HTTPUnavailable                  // 503 with a body, not handled
	HTTPLateError                    // handled, then 502 with a page of HTML: the client can't know that it was handled
	HTTPReset                        // the connection is reset before an answer, not handled
	HTTPLost                         // handled, then the connection is reset instead of an answer
	HTTPTruncated                    // handled, then an answer that ends in the middle
	httpFaults
)

// HTTP wraps a handler so that requests fail. By default one in five does, in every way in turn.
type HTTP struct {
	handler http.Handler
	n       atomic.Uint64

	mu   sync.Mutex
	next func(n uint64) HTTPFault
}

// NewHTTP returns h with the default share of failing requests.
func NewHTTP(h http.Handler) *HTTP {
	return &HTTP{handler: h, next: func(n uint64) HTTPFault {
		if n%5 != 2 {
			return HTTPGood
		}
		return HTTPFault(1 + n/5%uint64(httpFaults-1))
	}}
}

// Faults makes next decide over every request from now on; n counts requests from 0.
func (s *HTTP) Faults(next func(n uint64) HTTPFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// ServeHTTP implements http.Handler.
func (s *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.next(s.n.Add(1) - 1)
	s.mu.Unlock()
	switch fault {
	case HTTPUnavailable:
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "try later", http.StatusServiceUnavailable)
	case HTTPLateError:
		s.handler.ServeHTTP(discard{}, r)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html><body><h1>502 Bad Gateway</h1></body></html>")
	case HTTPReset:
		abort(w)
	case HTTPLost:
		s.handler.ServeHTTP(discard{}, r)
		abort(w)
	case HTTPTruncated:
		s.handler.ServeHTTP(discard{}, r)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"text":"Succ`)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

// abort resets the connection; over HTTP/2 the stream.
func abort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// discard is an answer that nobody gets.
type discard struct{}

// Header implements http.ResponseWriter.
func (discard) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (discard) WriteHeader(int) {}
