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

// A client address may guess ten passwords, and then one a second; the last 1024 addresses that guessed are known.
const (
	guesses      = 10
	guessEvery   = time.Second
	guessersKept = 1024
)

type guessers = lru.Cache[string, *rate.Limiter]

func newGuessers() *guessers {
	c, err := lru.New[string, *rate.Limiter](guessersKept)
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
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	if l, known := s.guessers.Get(client); known && l.TokensAt(s.opts.Now()) < 1 {
		return http.StatusTooManyRequests
	}
	right := sameText(password, a.Password.Reveal())
	if a.Username != "" {
		right &= sameText(name, a.Username)
	}
	if right == 1 {
		return http.StatusOK
	}
	s.wrongPassword(client)
	return http.StatusUnauthorized
}

func (s *Server) wrongPassword(client string) {
	fresh := rate.NewLimiter(rate.Every(guessEvery), guesses)
	l, known, _ := s.guessers.PeekOrAdd(client, fresh)
	if !known {
		l = fresh
	}
	l.AllowN(s.opts.Now(), 1)
	s.opts.Log.Warn("wrong password on the admin listener", slog.String("event", "admin_refused"), slog.String("client", client))
}

// sameText compares digests, so that the time taken tells no length either.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
