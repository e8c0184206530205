package logging

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// remindEvery is how long a failure that repeats stays silent.
	remindEvery = time.Hour
	// maxTexts is how many texts one Dedup tells apart: a failure that alternates between two is still recognized.
	maxTexts = 8
)

// Dedup logs each failure of one thing, such as one output, once a text: a text is logged when it is new and
// then counted; the count comes with a reminder every hour, and with the end. It is safe for concurrent use.
type Dedup struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	since time.Time // of the first failure; zero: it works
	total int
	texts []*dedupText // oldest line first
}

type dedupText struct {
	key      string
	loggedAt time.Time
	repeated int // since that line
}

// NewDedup returns a Dedup whose lines carry log's attributes.
func NewDedup(log *slog.Logger, now func() time.Time) *Dedup { return &Dedup{log: log, now: now} }

// Failed says that it failed (again). message and attrs are used when there is a line to write.
func (f *Dedup) Failed(ctx context.Context, level slog.Level, message string, err error, attrs ...slog.Attr) {
	now := f.now()
	f.mu.Lock()
	if f.total++; f.since.IsZero() {
		f.since = now
	}
	repeated, due := f.note(dedupKey(err.Error()), now)
	since := f.since
	f.mu.Unlock()
	if !due {
		return
	}
	attrs = append([]slog.Attr{slog.Any("error", err)}, attrs...)
	if repeated > 0 {
		attrs = append(attrs, slog.Int("repeated", repeated), slog.Time("since", since))
	}
	f.log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // the caller's message is a constant
}

// note counts a failure with this text and reports whether a line is due, with the failures since its last one.
func (f *Dedup) note(key string, now time.Time) (repeated int, due bool) {
	for _, t := range f.texts {
		if t.key != key {
			continue
		}
		t.repeated++
		if now.Sub(t.loggedAt) < remindEvery {
			return 0, false
		}
		repeated, t.repeated, t.loggedAt = t.repeated, 0, now
		return repeated, true
	}
	if len(f.texts) == maxTexts {
		f.texts = f.texts[1:]
	}
	f.texts = append(f.texts, &dedupText{key: key, loggedAt: now})
	return 0, true
}

// Recovered says that it works; after a failure this is a line with the number of failures and how long it took.
func (f *Dedup) Recovered(ctx context.Context, message string, attrs ...slog.Attr) {
	f.mu.Lock()
	total, since := f.total, f.since
	f.total, f.since, f.texts = 0, time.Time{}, nil
	f.mu.Unlock()
	if total == 0 {
		return
	}
	attrs = append([]slog.Attr{slog.Int("failures", total), slog.Duration("for", f.now().Sub(since).Round(time.Millisecond))}, attrs...)
	f.log.LogAttrs(ctx, slog.LevelInfo, message, attrs...) //nolint:sloglint // the caller's message is a constant
}

// dedupKey is text without the local ports of connections ("127.0.0.1:43210->..."), which differ at every try.
func dedupKey(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], "->")
		if i < 0 {
			return text
		}
		i += from
		start := len(strings.TrimRight(text[:i], "0123456789"))
		text = text[:start] + text[i:]
		from = start + len("->")
	}
}
