package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// A client address may guess ten passwords, and then one a second, before it is told to wait and the log hears no more of it; the last 1024
// addresses that guessed are known. The right password is never made to wait: a guesser behind the same proxy as Prometheus must not blind it.
// What guards against guessing is the password's length, which the configuration sees to.
const (
	loginBurst      = 10
	loginEvery      = time.Second
	maxLoginClients = 1024
)

type loginLimiters = lru.Cache[string, *rate.Limiter]

func newLoginLimiters() *loginLimiters {
	c, err := lru.New[string, *rate.Limiter](maxLoginClients)
	if err != nil {
		panic(err) // only for a size below one
	}
	return c
}

func (s *Server) withPassword(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch s.authorise(r) {
		case http.StatusOK:
			next.ServeHTTP(w, r)
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many wrong passwords, wait a moment", http.StatusTooManyRequests)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="linuxguard-bridge", charset="UTF-8"`)
			http.Error(w, "a password is needed", http.StatusUnauthorized)
		}
	})
}

// authorise judges the request's name and password in constant time and returns the status to answer with.
func (s *Server) authorise(r *http.Request) int {
	a := s.access.Load()
	if a.Password.IsZero() {
		return http.StatusOK
	}
	name, password, given := r.BasicAuth()
	if !given {
		return http.StatusUnauthorized
	}
	right := sameText(password, a.Password.Reveal())
	if a.Username != "" {
		right &= sameText(name, a.Username)
	}
	if right == 1 { // whatever others guess from the same address
		return http.StatusOK
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	return s.wrongPassword(client)
}

// wrongPassword counts a guess and returns how it is answered. Beyond the rate nothing is logged of it either.
func (s *Server) wrongPassword(client string) int {
	fresh := rate.NewLimiter(rate.Every(loginEvery), loginBurst)
	l, known, _ := s.loginLimiters.PeekOrAdd(client, fresh)
	if !known {
		l = fresh
	}
	if !l.AllowN(s.opts.Now(), 1) {
		return http.StatusTooManyRequests
	}
	s.opts.Log.Warn("wrong password on the admin listener", slog.String("event", "admin_refused"), slog.String("client", client))
	return http.StatusUnauthorized
}

// sameText compares digests, so that the time taken tells no length either.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
