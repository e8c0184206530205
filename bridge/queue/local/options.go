package local

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// Options are what Open needs to know. The zero value of a field other than Directory stands for its default.
type Options struct {
	Directory string // made when missing, with mode 0700
	Bridge    string // the name of this bridge, as the owner of outputs in Status

	Limits queue.Limits // default 2 GiB, 256 MiB, 2 MiB, and nothing is kept

	Capacity int           // remembered deliveries, default 1,000,000
	Window   time.Duration // how long a delivery is remembered, default 72 h

	// ProgressInterval is how long progress may stay unsynced when no append carries it, default 1 s.
	ProgressInterval time.Duration
	// TailBytes bounds the memory for recent events that outputs have not read yet, default 8 MiB.
	TailBytes int

	// Patience is how long Open tries to read a folder whose reads fail, default 10 s. A read error is not damage: nothing is
	// changed meanwhile.
	Patience time.Duration

	Now  func() time.Time // default time.Now
	Salt func() uint32    // default random
	FS   journal.FS       // default the real one
	Log  *slog.Logger     // default: nothing is logged

	Metrics prometheus.Registerer // nil: none

	takeMoved     bool // open also a folder that is marked as moved
	limits        *limits
	prepareFailed func(error)
}

func (o *Options) setDefaults() {
	o.Limits.MaxBytes = cmp.Or(o.Limits.MaxBytes, 2<<30)
	o.Limits.QuarantineMaxBytes = cmp.Or(o.Limits.QuarantineMaxBytes, 256<<20)
	o.Limits.MaxEventBytes = cmp.Or(o.Limits.MaxEventBytes, 2<<20)
	o.Capacity = cmp.Or(o.Capacity, 1_000_000)
	o.Window = cmp.Or(o.Window, 72*time.Hour)
	o.ProgressInterval = cmp.Or(o.ProgressInterval, time.Second)
	o.TailBytes = cmp.Or(o.TailBytes, 8<<20)
	o.Patience = cmp.Or(o.Patience, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Salt == nil {
		o.Salt = randomSalt
	}
	if o.FS == nil {
		o.FS = journal.OS{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.limits = &limits{now: o.Limits}
}

func randomSalt() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint32(b[:])
}

// newBridgeID draws the identity of a queue.
func (o *Options) newBridgeID() string { return rand.Text()[:16] }

// segmentSize is how large the next segments should be: an even share of the allowance, and always two of the largest event.
func (o *Options) segmentSize() int64 {
	l := o.limits.get()
	const largest = 64 << 20
	return max(min(max(l.MaxBytes/32, journal.MinSegment), largest), 2*l.MaxEventBytes+4*largestSnapshot)
}

// firstSegment is small, so that an empty queue is there at once.
func (o *Options) firstSegment() int64 {
	return min(o.segmentSize(), max(4<<20, 2*o.limits.get().MaxEventBytes+4*largestSnapshot))
}

// maxSidecarBytes is what sidecars may take that are kept for their outcomes alone.
func (o *Options) maxSidecarBytes() int64 { return max(64<<20, 256*int64(o.Capacity)) }

// largestSnapshot is room for what a segment begins with, beside its groups.
const largestSnapshot = 64 << 10

// limits are the allowances in force.
type limits struct {
	mu  sync.Mutex
	now queue.Limits
}

func (l *limits) get() queue.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// set puts into force what isn't below one; keep is taken as it is.
func (l *limits) set(next queue.Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range [...]struct{ field, value *int64 }{
		{&l.now.MaxBytes, &next.MaxBytes}, {&l.now.QuarantineMaxBytes, &next.QuarantineMaxBytes}, {&l.now.MaxEventBytes, &next.MaxEventBytes},
	} {
		if *f.value > 0 {
			*f.field = *f.value
		}
	}
	l.now.Keep = max(0, next.Keep)
}

// receiverShare is what dead letters on receipt may take.
func receiverShare(l queue.Limits) int64 { return l.QuarantineMaxBytes / 2 }

// outputShare is what the refused events of one of n outputs may take.
func outputShare(l queue.Limits, n int) int64 { return l.QuarantineMaxBytes / 2 / int64(max(1, n)) }
