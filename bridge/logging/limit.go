package logging

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit keeps what may happen thousands of times from becoming as many lines: it lets a burst through, then one line at a time, and
// counts what it leaves out. It is safe for concurrent use.
type Limit struct {
	mu        sync.Mutex
	lines     *rate.Limiter
	notLogged int
}

// NewLimit returns a Limit of burst lines, and one more every so often.
func NewLimit(burst int, every time.Duration) *Limit {
	return &Limit{lines: rate.NewLimiter(rate.Every(every), burst)}
}

// Line reports whether a line may be written now, and how many were left out since the last one.
func (l *Limit) Line(now time.Time) (notLogged int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lines.AllowN(now, 1) {
		l.notLogged++
		return 0, false
	}
	notLogged, l.notLogged = l.notLogged, 0
	return notLogged, true
}

// NotLogged is the attribute that says how many lines were left out; none for 0.
func NotLogged(n int) []slog.Attr {
	if n == 0 {
		return nil
	}
	return []slog.Attr{slog.Int("not_logged", n)}
}

// The lines about single events that end in the quarantine: a receiver that refuses everything is one fault, not thousands.
const (
	EventLines = 10
	EventEvery = time.Minute
)
