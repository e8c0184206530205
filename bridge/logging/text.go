package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// textHandler writes lines for people: time, level, message, then key=value.
type textHandler struct {
	level  slog.Leveler
	colour bool
	out    *lockedWriter
	groupedAttrs
}

// lockedWriter keeps the lines of several goroutines apart.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) writeLine(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.w, line+"\n")
	return err
}

func newTextHandler(level slog.Leveler, w io.Writer, colour bool) *textHandler {
	return &textHandler{level: level, colour: colour, out: &lockedWriter{w: w}}
}

// Enabled implements slog.Handler.
func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.level, h.colour, h.out, h.withAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.level, h.colour, h.out, h.withGroup(name)}
}

// Handle implements slog.Handler.
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if !r.Time.IsZero() {
		b.WriteString(h.paint(dim, r.Time.Format(time.DateTime)) + " ")
	}
	b.WriteString(h.paint(colourOf(r.Level), padded(r.Level)) + " ")
	b.WriteString(bounded(display.Line(r.Message)))
	writeFields(&b, h.of(r), func(key string) string { return h.paint(dim, key) })
	return h.out.writeLine(b.String())
}

// writeFields appends " key=value" for as many fields as fit in a record.
func writeFields(b *strings.Builder, fields []field, key func(string) string) {
	for _, f := range fields {
		if b.Len()+len(f.key)+len(f.value) > maxRecord {
			b.WriteString(" ...")
			return
		}
		b.WriteString(" " + key(f.key+"=") + quoteIfNeeded(f.value))
	}
}

func quoteIfNeeded(value string) string {
	if value != "" && !strings.ContainsAny(value, " \"=") {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
}

func padded(l slog.Level) string {
	text := l.String()
	return text + strings.Repeat(" ", max(0, 5-len(text)))
}

// SGR parameters of ECMA-48.
const (
	dim    = "2"
	red    = "31"
	yellow = "33"
	green  = "32"
	plain  = ""
)

func (h *textHandler) paint(sgr, text string) string {
	if !h.colour || sgr == plain {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func colourOf(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return red
	case l >= slog.LevelWarn:
		return yellow
	case l >= slog.LevelInfo:
		return green
	default:
		return dim
	}
}
