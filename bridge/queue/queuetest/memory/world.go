package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// World is what survives a queue: the durable state, and who has it open. Its fields are guarded by mu.
type World struct {
	shared bool
	turn   chan struct{} // held by the one change that is under way

	mu         sync.Mutex
	live       *state        // what queues see; never changed, only replaced
	disk       *state        // what survives a kill
	changed    chan struct{} // closed and replaced whenever a waiter may go on
	open       map[*Queue]bool
	owners     map[string]*lease
	generation uint64
	wrong      Mutation

	failing bool
	stalled chan struct{} // closed when writes go on
	crashAt int           // steps until the crash; 0: none is due
	crashed bool
}

// New returns an empty world that one queue at a time can have open.
func New() *World {
	w := &World{turn: make(chan struct{}, 1), changed: make(chan struct{}), open: make(map[*Queue]bool), owners: make(map[string]*lease)}
	w.disk = newState(rand.Text())
	w.live = w.disk
	return w
}

// NewShared returns an empty world that any number of queues can have open, as a shared database.
func NewShared() *World {
	w := New()
	w.shared = true
	return w
}

// Options say how a queue behaves. What is zero has a default.
type Options struct {
	Bridge           string        // the bridge's name; default "bridge"
	Window           time.Duration // how long a delivery counts; default 72 hours
	Capacity         int           // deliveries that are remembered; default 10,000
	Limits           queue.Limits  // default 64 MiB, half of that for the quarantine
	ProgressInterval time.Duration // how long progress waits for an append to ride along with; default 10 ms
	Now              func() time.Time
}

func (o *Options) setDefaults() {
	defaultTo(&o.Bridge, "bridge")
	defaultTo(&o.Window, 72*time.Hour)
	defaultTo(&o.Capacity, 10_000)
	defaultTo(&o.Limits.MaxBytes, 64<<20)
	defaultTo(&o.Limits.QuarantineMaxBytes, 32<<20)
	defaultTo(&o.ProgressInterval, 10*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
}

func defaultTo[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Open opens the world's queue.
func (w *World) Open(ctx context.Context, o Options) (*Queue, error) {
	o.setDefaults()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) > 0 && !w.shared && w.wrong != opensTwice {
		return nil, fmt.Errorf("open the queue in memory: %w", queue.ErrLocked)
	}
	if len(w.open) == 0 {
		w.crashed = false
		w.disk = w.wrong.reopened(w.disk)
		w.live = w.disk
	}
	if w.wrong != keepsGeneration || w.generation == 0 {
		w.generation++
	}
	q := newQueue(w, o, w.generation)
	w.open[q] = true
	go q.run()
	return q, ctx.Err()
}

// Kill ends q as SIGKILL would: what it has not synced is gone, and nothing of it is written any more.
func (w *World) Kill(q *Queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q.end()
	w.crashed = false
	w.live = w.disk
	w.wake()
}

// FailWrites makes every write fail until it is called with false.
func (w *World) FailWrites(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = on
}

// StallWrites makes every write wait until it is called with false.
func (w *World) StallWrites(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case on && w.stalled == nil:
		w.stalled = make(chan struct{})
	case !on && w.stalled != nil:
		close(w.stalled)
		w.stalled = nil
	}
}

// CrashAt makes the queue die at its nth write or sync from now on; 0: at none. Afterwards nothing reaches the disk until
// the queue has been killed and opened again.
func (w *World) CrashAt(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashAt, w.crashed = n, false
}

// Crashed reports whether the crash that CrashAt asked for has happened.
func (w *World) Crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed
}

// The faults of a disk.
var (
	errFailed  = errors.New("the disk fails")
	errCrashed = errors.New("the process has crashed")
)

// step is one write or sync. The caller holds mu, which is released while the disk stalls.
func (w *World) step() error {
	for w.stalled != nil {
		stalled := w.stalled
		w.mu.Unlock()
		<-stalled
		w.mu.Lock()
	}
	if w.crashAt > 0 {
		w.crashAt--
		w.crashed = w.crashAt == 0
	}
	switch {
	case w.crashed:
		return errCrashed
	case w.failing:
		return errFailed
	}
	return nil
}

// commit makes next the state: it is written, then synced. A crash between the two leaves it on the disk, although nobody
// is told so. The caller holds the turn and mu.
func (w *World) commit(q *Queue, next *state) error {
	if err := w.step(); err != nil {
		return err
	}
	err := w.step()
	if !w.open[q] {
		return errCrashed
	}
	if err == nil || w.crashed {
		if w.wrong != answersBeforeSync {
			w.disk = next
		}
	}
	if err != nil {
		return err
	}
	next.commits++
	w.live = next
	if w.wrong != neverWakes {
		w.wake()
	}
	return nil
}

// wake lets everybody who waits look again. The caller holds mu.
func (w *World) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}
