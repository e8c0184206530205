package forward

import (
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Status is a snapshot of one worker.
type Status struct {
	Name, Kind string
	Dest       outputs.Status

	InFlight    int // records
	Sent        uint64
	Retried     uint64
	Quarantined uint64
	Filtered    uint64

	Failing     bool // the last attempt failed
	Held        bool // and needs an operator
	LastError   string
	LastErrorAt time.Time
	LastSentAt  time.Time // of the last delivery
	NextTry     time.Time
}

// statusBox is what the loop shows to others.
type statusBox struct {
	mu sync.Mutex
	Status
	beatAt   time.Time
	blocking bool // inside Send
}

func (b *statusBox) beat(now time.Time) {
	b.mu.Lock()
	b.beatAt = now
	b.mu.Unlock()
}

func (b *statusBox) enterSend(now time.Time) {
	b.mu.Lock()
	b.blocking, b.beatAt = true, now
	b.mu.Unlock()
}

func (b *statusBox) leaveSend(now time.Time) {
	b.mu.Lock()
	b.blocking, b.beatAt = false, now
	b.mu.Unlock()
}

func (b *statusBox) delivered(n int, at time.Time) {
	b.mu.Lock()
	b.Sent += uint64(n) //nolint:gosec // a count
	b.LastSentAt = at
	b.mu.Unlock()
}

func (b *statusBox) recovered() {
	b.mu.Lock()
	b.Failing, b.Held = false, false
	b.mu.Unlock()
}

func (b *statusBox) failed(err error, held bool, at time.Time) {
	b.mu.Lock()
	b.Failing, b.Held, b.LastError, b.LastErrorAt = true, held, err.Error(), at
	b.mu.Unlock()
}

func (b *statusBox) quarantined(n int) {
	b.mu.Lock()
	b.Quarantined += uint64(n) //nolint:gosec // a count
	b.mu.Unlock()
}

// publish shows the loop's own state.
func (w *Worker) publish() {
	w.status.mu.Lock()
	w.status.InFlight, w.status.NextTry = w.sending, w.retryAt
	w.status.mu.Unlock()
}

// Status returns a snapshot. It may be called at any time.
func (w *Worker) Status() Status {
	w.status.mu.Lock()
	s := w.status.Status
	w.status.mu.Unlock()
	s.Dest = w.opts.Output.Status()
	s.Retried, s.Filtered = w.metrics.count(w.metrics.retried), w.metrics.count(w.metrics.filtered)
	return s
}

// Alive reports whether the loop has gone round lately. A Send that blocks for back-pressure is bounded by the
// output's own time-outs and counts as alive for maxSend.
func (w *Worker) Alive(now time.Time) bool {
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	limit := 6 * beatInterval
	if w.status.blocking {
		limit = maxSend
	}
	return w.status.beatAt.IsZero() || now.Sub(w.status.beatAt) < limit
}

// maxSend is longer than any time-out that an output may be given for one write.
const maxSend = 10 * time.Minute
