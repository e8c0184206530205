package forward

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// StateStandby is the state of an output that this bridge doesn't own now: another bridge may be delivering.
const StateStandby outputs.State = "standby"

// Status is a snapshot of one worker. Its counts go from the worker's start.
type Status struct {
	Name, Kind string
	Owned      bool // this bridge owns the output now
	Dest       outputs.Status

	InFlight    int // records
	Delivered   uint64
	Retried     uint64
	Quarantined uint64
	Filtered    uint64

	// Events that were not sent because the queue no longer has them: given up for this output (drop_oldest), lost, and done
	// with before and no longer kept.
	Dropped, Lost, Unknown uint64

	Batches, Failures uint64 // handed to the output, and failed

	Failing      bool // the last attempt failed
	Blocked      bool // and needs an operator
	FailingSince time.Time
	FirstError   string // with which that began
	LastError    string
	LastErrorAt  time.Time
	LastSentAt   time.Time // of the last delivery
	NextTry      time.Time
}

// status is what a worker's goroutine shows to others.
type status struct {
	mu sync.Mutex
	Status
	out        outputs.Output       // nil on standby
	outMetrics prometheus.Collector // its own
	aliveTo    time.Time            // a sign of life is due before; zero: none is due
}

// maxBusy is longer than any time-out that an output may be given for one write.
const maxBusy = 10 * time.Minute

// heartbeat shows that the loop goes round.
func (s *status) heartbeat(now time.Time) { s.expect(now.Add(6 * heartbeatInterval)) }

// busy announces a call that blocks, for back-pressure for instance. It is bounded by others' time-outs.
func (s *status) busy(now time.Time) { s.expect(now.Add(maxBusy)) }

func (s *status) expect(next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliveTo = next
}

// standBy says that the worker has no tenure. It may wait for one for any time.
func (s *status) standBy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.outMetrics, s.Owned, s.aliveTo = nil, nil, false, time.Time{}
	s.InFlight, s.NextTry = 0, time.Time{}
}

// lose says that a tenure has ended. What failed in it is the next owner's to see.
func (s *status) lose() {
	s.standBy()
	s.recovered()
}

// own says that a tenure has begun. Nothing is known to fail in it.
func (s *status) own(out outputs.Output, metrics prometheus.Collector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.outMetrics, s.Owned = out, metrics, true
	s.succeed()
}

// waitFor says that the next attempt is made after d.
func (s *status) waitFor(d time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.NextTry, s.aliveTo = now.Add(d), now.Add(d+6*heartbeatInterval)
}

func (s *status) inFlight(n int, nextTry time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.InFlight, s.NextTry = n, nextTry
}

func (s *status) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Batches++
}

func (s *status) delivered(n int, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Delivered += uint64(n) //nolint:gosec // a count
	s.LastSentAt = at
}

func (s *status) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.succeed()
}

// succeed says that nothing is known to fail. The caller holds mu.
func (s *status) succeed() {
	s.Failing, s.Blocked, s.FailingSince, s.FirstError = false, false, time.Time{}, ""
}

func (s *status) failed(err error, blocked bool, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Failures++
	if !s.Failing {
		s.FailingSince, s.FirstError = at, display.Error(err)
	}
	s.Failing, s.Blocked, s.LastError, s.LastErrorAt = true, blocked, display.Error(err), at
}

func (s *status) retried(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Retried += uint64(n) //nolint:gosec // a count
}

func (s *status) filtered(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Filtered += uint64(n) //nolint:gosec // a count
}

func (s *status) quarantined(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Quarantined += uint64(n) //nolint:gosec // a count
}

// unsent counts what the queue no longer had.
func (s *status) unsent(outcomes []queue.OutcomeRange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range outcomes {
		n := r.Last - r.First + 1
		switch r.Outcome {
		case queue.Dropped:
			s.Dropped += n
		case queue.Lost:
			s.Lost += n
		case queue.Unknown:
			s.Unknown += n
		}
	}
}

// Status returns a snapshot. It may be called at any time.
func (w *Worker) Status() Status {
	s, out, _ := w.snapshot()
	s.Dest.State = StateStandby
	if out != nil {
		s.Dest = out.Status()
	}
	return s
}

func (w *Worker) snapshot() (Status, outputs.Output, prometheus.Collector) {
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	return w.status.Status, w.status.out, w.status.outMetrics
}

// Alive reports whether the worker shows signs of life as often as it should. One that waits for its output is alive.
func (w *Worker) Alive(now time.Time) bool {
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	return w.status.aliveTo.IsZero() || now.Before(w.status.aliveTo)
}
