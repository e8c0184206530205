package webhook

import (
	"net/http"
	"time"
)

// middleware stands before the handler: it keeps the connection's count of requests, and gives each
// its times.
type middleware struct {
	next http.Handler

	readTimeout, writeTimeout time.Duration // for a request; zero: net/http sees to them
}

// ServeHTTP implements http.Handler.
func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	if c != nil {
		c.sawRequest.Store(true)
		defer c.set.end(c)
		if !c.set.begin(c) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	if m.readTimeout > 0 {
		defer m.limitTimes(w, r)()
	}
	m.next.ServeHTTP(w, r)
}

// limitTimes sets a request's times, and returns what ends them.
func (m *middleware) limitTimes(w http.ResponseWriter, r *http.Request) (end func()) {
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		now := time.Now()
		_ = rc.SetReadDeadline(now.Add(m.readTimeout)) // it fails on a connection that has ended
		_ = rc.SetWriteDeadline(now.Add(m.writeTimeout))
		return func() {}
	}
	// The answer's time is that of the connection: WriteByteTimeout.
	timer := time.AfterFunc(m.readTimeout, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	return func() { timer.Stop() }
}
