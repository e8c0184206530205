package webhook

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
)

// Lines of net/http itself are logged up to this rate: anybody can cause them.
const (
	httpLogBurst = 20
	httpLogEvery = 10 * time.Second
)

// errorLog passes net/http's own lines on: what a client did wrong in TLS or HTTP/2 at info, handshakes that it just went
// away from at debug, the rest (panics, accept errors) at error.
type errorLog struct {
	log     *slog.Logger
	metrics *serverMetrics
	now     func() time.Time

	lines *logging.Limit
}

func newErrorLog(to *slog.Logger, metrics *serverMetrics, now func() time.Time) *log.Logger {
	return log.New(&errorLog{log: to, metrics: metrics, now: now, lines: logging.NewLimit(httpLogBurst, httpLogEvery)}, "", 0)
}

// Write implements io.Writer: one call is one line.
func (l *errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelError
	switch {
	case strings.HasPrefix(text, "http: TLS handshake error"):
		l.metrics.handshakeErrors.Inc()
		level = handshakeLevel(text)
	case strings.HasPrefix(text, "http2: server connection error"):
		level = slog.LevelInfo
	}
	if notLogged, ok := l.lines.Line(l.now()); ok {
		l.log.LogAttrs(context.Background(), level, "http server", append(logging.NotLogged(notLogged), slog.String("detail", text))...)
	}
	return len(line), nil
}

func handshakeLevel(text string) slog.Level {
	for _, gone := range []string{"EOF", "i/o timeout", "connection reset by peer", "use of closed network connection"} {
		if strings.HasSuffix(text, gone) {
			return slog.LevelDebug
		}
	}
	return slog.LevelInfo
}
