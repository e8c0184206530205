package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options are what Open needs to know. The zero value of a field other than Directory stands for its default.
type Options struct {
	Directory          string // created when missing, with mode 0700
	MaxBytes           int64  // allowance of live events, default 2 GiB
	QuarantineMaxBytes int64  // allowance of the quarantine, default 256 MiB

	Capacity int           // remembered deliveries, default 100,000
	Window   time.Duration // how long a delivery is remembered, default 72 h

	// CursorInterval is how long an advanced cursor may stay uncommitted, default 1 s. It bounds, with what is in
	// flight, the duplicates after a crash.
	CursorInterval time.Duration
	// TailBytes bounds the memory for recent events that outputs have not read yet, default 8 MiB.
	TailBytes int

	// Outputs, when not nil, are set as by SetOutputs before Open returns.
	Outputs []OutputSpec

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default: nothing is logged

	hooks hooks
}

// hooks are the places where tests stop, kill or disturb the queue. All are nil outside of tests.
type hooks struct {
	at         func(step string) // "append", "filled", "committed", "published": the steps of a commit
	failCommit func() error      // an error stands for a failed write or sync
	openFile   func(string, int, os.FileMode) (*os.File, error)

	compactSooner int64 // bytes by which a file may be smaller than compactMinFile
}

func (h *hooks) reach(step string) {
	if h.at != nil {
		h.at(step)
	}
}

func (o *Options) setDefaults() {
	setDefault(&o.MaxBytes, 2<<30)
	setDefault(&o.QuarantineMaxBytes, 256<<20)
	setDefault(&o.Capacity, 100_000)
	setDefault(&o.Window, 72*time.Hour)
	setDefault(&o.CursorInterval, time.Second)
	setDefault(&o.TailBytes, 8<<20)
	if o.hooks.at == nil {
		o.hooks.at = failpoint()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Open opens the embedded queue in a folder, or makes it. A database that is damaged is set aside under a dated name and
// what can be salvaged of it becomes the new one; Status says so. Errors: ErrLocked when another process has the
// folder, or what the system says about the folder. The result is a prometheus.Collector too.
func Open(ctx context.Context, opts Options) (Queue, error) {
	opts.setDefaults()
	if err := makeFolder(opts.Directory); err != nil {
		return nil, fmt.Errorf("make the queue's folder: %w", err)
	}
	lock, err := lockFolder(opts.Directory)
	if err != nil {
		return nil, err
	}
	q := newEmbedded(opts, lock)
	if err := q.start(ctx); err != nil {
		return nil, errors.Join(err, unlockFolder(lock))
	}
	return q, nil
}

func newEmbedded(opts Options, lock *os.File) *embedded {
	q := &embedded{
		opts:    opts,
		lock:    lock,
		keys:    hasher{seed: maphash.MakeSeed()},
		path:    filepath.Join(opts.Directory, "queue.db"),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		health:  health{ok: true},
	}
	q.metrics = newMetrics(q)
	q.SetLimits(opts.MaxBytes, opts.QuarantineMaxBytes)
	q.tail.limit = opts.TailBytes
	q.outputs.byName = make(map[string]*output)
	return q
}

func (q *embedded) start(ctx context.Context) error {
	if err := q.openStore(); err != nil {
		return err
	}
	go q.run()
	if q.opts.Outputs == nil {
		return nil
	}
	if _, err := q.SetOutputs(ctx, q.opts.Outputs); err != nil {
		return errors.Join(err, q.closeAll(ctx))
	}
	return nil
}

// newBridgeID draws the identity of a new queue.
func newBridgeID() string { return rand.Text()[:16] }
