package admin

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readingRoutes is the HTTP listener: it shows, and changes nothing.
func (s *Server) readingRoutes() http.Handler {
	metrics := promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 20 * time.Second,
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.withPassword(metrics))
	mux.Handle("GET /{$}", s.withPassword(http.HandlerFunc(s.servePage)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		s.serveHealth(w, r, func(j Judgment) []string { return j.Unhealthy })
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s.serveHealth(w, r, func(j Judgment) []string { return j.NotReady })
	})
	return s.withHost(mux)
}

// withHost refuses names that this listener doesn't answer to. A browser that was lured to a rebound DNS name sends
// that name here.
func (s *Server) withHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if !knownHost(r.Host, local, s.access.Load().AllowedHosts) {
			http.Error(w, "this Host is not known here: use the listener's address, or name it in allowed_hosts of [admin]", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost reports whether host (with or without a port) is loopback's, the listener's own address or allowed. An
// address can't be rebound, so that of the connection itself is always good.
func knownHost(host string, local net.Addr, allowed []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if name == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip = ip.Unmap(); ip.IsLoopback() {
			return true
		}
		if local != nil {
			own, err := netip.ParseAddrPort(local.String())
			if err == nil && own.Addr().Unmap().WithZone("") == ip.WithZone("") {
				return true
			}
		}
	}
	for _, a := range allowed {
		if name != "" && strings.EqualFold(name, strings.TrimSuffix(a, ".")) {
			return true
		}
	}
	return false
}

// Health is the JSON answer of /healthz and /readyz.
type Health struct {
	Status  string   `json:"status"` // "ok", or "failed" with 503
	Reasons []string `json:"reasons,omitempty"`
}

// serveHealth answers load balancers without a password, but tells them no reasons.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request, wrong func(Judgment) []string) {
	reasons := wrong(s.status().Judgment)
	answer, code := Health{Status: "ok"}, http.StatusOK
	if len(reasons) > 0 {
		answer, code = Health{Status: "failed", Reasons: reasons}, http.StatusServiceUnavailable
	}
	if s.authorise(r) != http.StatusOK {
		answer.Reasons = nil
	}
	writeJSON(w, code, answer)
}

func (s *Server) servePage(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	if err := s.page.render(&out, s.status(), s.history); err != nil {
		s.opts.Log.Error("the status page failed", "error", err)
		http.Error(w, "the page failed, see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", s.page.policy)
	w.Header().Set("X-Frame-Options", "DENY")
	_, _ = w.Write(out.Bytes())
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer can't be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}
