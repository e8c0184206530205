package queue

import (
	"context"
	"time"
)

// Appender is the receiving side's view of a queue.
type Appender interface {
	// Append judges e against the memory of deliveries and makes it durable. It returns after the event, its delivery ID
	// and its body digest are synced; a duplicate of an append in flight waits for that one and shares its outcome.
	// reason, when not empty, is why e goes to the quarantine instead of to the outputs unless it is a duplicate. An
	// ended ctx ends the wait, not a write that has begun: the event may then be durable all the same. e and its body
	// must not change afterwards.
	Append(ctx context.Context, e *Event, reason string) (Receipt, error)
	// Generation changes whenever what was acknowledged before may have changed under us: a reopen, a reconnect, a
	// loss. It is 0 while the queue can't vouch for anything because it is unavailable; a full queue is available.
	Generation() uint64
}

// Outputs is where the bridge says which outputs it has, and where workers get theirs.
type Outputs interface {
	// Declare names all outputs of this bridge. A new one gets a cursor. One that no bridge names any more ends: it
	// stops holding events back and its tenure is lost; the result maps each ended one to the events it had left.
	Declare(ctx context.Context, specs []OutputSpec) (left map[string]uint64, err error)
	// Claim waits until this bridge owns the declared output and returns its tenure. A second claim waits for the
	// first one's release. ErrNotFound: it is not declared.
	Claim(ctx context.Context, output string) (*Tenure, error)
	// Wanted reports whether another running bridge has declared the output, and would own it when this one gave it up.
	Wanted(ctx context.Context, output string) bool
	// Forget ends an output that this bridge has not declared, although another bridge's last declaration may name
	// it, and returns the events that it had left. ErrNotFound: there is none.
	Forget(ctx context.Context, output string) (left uint64, err error)
	// Replay moves an output's cursor back, so that events received at or after since are sent again as far as they
	// are kept, and ends its tenure. It returns how many there are.
	Replay(ctx context.Context, output string, since time.Time) (events uint64, err error)
}

// OutputSpec names one output to the queue.
type OutputSpec struct {
	Name          string
	DropOldest    bool // when_full = "drop_oldest"
	StartAtOldest bool // a new output begins with the oldest kept event instead of now
}

// Tenure is the time during which this bridge owns one output.
type Tenure struct {
	Output   string
	BridgeID string // under which the sequences of this tenure are given; a change ends the tenure
	Lease
	Stream
}

// Lease is the ownership of an output or of a role.
type Lease interface {
	// Valid reports whether the ownership still stands, by what this process can know without asking anybody. It is
	// cheap; a worker asks it right before each send.
	Valid() bool
	// Lost is closed when the ownership has ended for whatever reason but Release.
	Lost() <-chan struct{}
	// Release gives the ownership up, after what was advanced is on its way to the disk. Afterwards the lease is not
	// valid. A second call does nothing.
	Release()
}

// Stream is an output's events and its progress. After the tenure's end every method returns ErrLost, or does nothing.
type Stream interface {
	// Cursor returns the highest sequence that the output is done with. The queue moves it for drop_oldest; a worker
	// leaves out what is at or below it before each send.
	Cursor() uint64
	// Read returns what has a sequence above after: at most limit events and no more than maxBytes of bodies, except
	// for the first. It waits until there is something or ctx ends. While the queue can't read it waits too, or
	// returns ErrUnavailable: the caller tries again. The events are shared: read-only.
	Read(ctx context.Context, after uint64, limit, maxBytes int) (Batch, error)
	// Range returns what there is of first..last, no more than maxBytes of bodies except for the first event. It never
	// waits for events; the result's Through tells how far it got, and is below first only after an error.
	Range(ctx context.Context, first, last uint64, maxBytes int) (Batch, error)
	// Advance says that the output is done with everything up to p.Through. It returns at once; the queue syncs
	// progress soon, together with appends, and on Release and Close.
	Advance(p Progress)
	// Quarantine makes refused events durable in the quarantine. It returns after the sync. An item that is there
	// already (same output and sequence) is not stored again. ErrFull: this output's share of the allowance is used up.
	Quarantine(ctx context.Context, items []DeadLetter) error
}

// Batch is a stretch of the queue: every sequence up to Through is in Events or in a Gap.
type Batch struct {
	Events  []*Event // in order
	Gaps    []Gap    // in order: what will never come
	Through uint64
}

// Gap is a range of sequences that are gone for good.
type Gap struct {
	First, Last uint64
	Outcome     Outcome // Dropped, Lost, or Unknown: done with and no longer kept
}

// Progress is what became of the sequences up to Through since the last Progress of the same output.
type Progress struct {
	Through  uint64
	Outcomes []OutcomeRange // contiguous, in order, ending at Through
}

// DeadLetter is one quarantined event: kept and not forwarded (others call the quarantine a dead-letter queue).
type DeadLetter struct {
	ID     uint64 // set by the queue
	Reason string
	Output string // the output that refused it; empty: quarantined on receipt
	At     time.Time
	Event  Event // Seq is 0 for one that was never in the queue
	// Damaged says that what is stored fails its checksum, in a line. Such an item can only be shown and dropped.
	Damaged string
	Raw     []byte // of a damaged item, the bytes as they were read
}

// MaxResent is how many re-sends a queue remembers, so that a repeated one gives the same sequence.
const MaxResent = 1024

// DeadLetters is the quarantine, for operators.
type DeadLetters interface {
	// ListDeadLetters returns up to limit items with an ID above after, in order, without their bodies when brief.
	ListDeadLetters(ctx context.Context, after uint64, limit int, brief bool) ([]DeadLetter, error)
	// GetDeadLetter returns one item whole. ErrNotFound: it isn't there (any more).
	GetDeadLetter(ctx context.Context, id uint64) (DeadLetter, error)
	// Resend puts an item back into the queue, for the named outputs (none: for all when it was quarantined on receipt,
	// else for the one that refused it), and takes it out of the quarantine in the same write. Repeated, it returns
	// the same sequence, for the newest MaxResent of them. ErrNotFound: there is no such item, or no such output.
	Resend(ctx context.Context, id uint64, outputs []string) (seq uint64, err error)
	// DropDeadLetter deletes an item. ErrNotFound: it isn't there (any more).
	DropDeadLetter(ctx context.Context, id uint64) error
}

// History answers what became of events.
type History interface {
	// Outcomes returns what became of the sequences first..last at output: ranges in order that cover all of them up to
	// the newest sequence given. The memory of outcomes lasts as long as that of deliveries.
	Outcomes(ctx context.Context, output string, first, last uint64) ([]OutcomeRange, error)
	// Find returns the remembered events with this delivery ID or signal ID, oldest first.
	Find(ctx context.Context, id string) ([]Seen, error)
	// LastAccepted returns when the last new event of each endpoint was received, also before the last restart.
	// Synthetic and re-sent events don't count.
	LastAccepted(ctx context.Context) (map[string]time.Time, error)
}

// LossLog is what the queue knows to have lost.
type LossLog interface {
	// Losses returns every loss that is not acknowledged, oldest first.
	Losses(ctx context.Context) ([]Loss, error)
	// Acknowledge says that somebody has taken note of a loss. ErrNotFound: there is none, or it is acknowledged.
	Acknowledge(ctx context.Context, id uint64, who string) error
}

// Roles are what one bridge alone must do.
type Roles interface {
	// Hold waits until this bridge has the role.
	Hold(ctx context.Context, role string) (Lease, error)
}

// Reporter is the view of status pages and of the watchdog.
type Reporter interface {
	// Status is a snapshot. It never waits for a disk or a network: Status.AsOf says when it was true.
	Status() Status
	// Ping returns nil as soon as the part of the queue that makes appends durable has shown that it goes on, and an
	// error when it hasn't by the end of ctx. A queue whose disk or database is away is alive.
	Ping(ctx context.Context) error
}

// Limiter changes the allowances of a running queue.
type Limiter interface {
	// SetLimits puts limits into force for what comes from now on: what is kept already stays. Values below one change
	// nothing.
	SetLimits(limits Limits)
}

// Limits are the allowances of a queue, in bytes.
type Limits struct {
	MaxBytes           int64         // events that some output still needs
	QuarantineMaxBytes int64         // half the receiver's, half shared equally by the outputs
	MaxEventBytes      int64         // the largest event that must fit, its frame included
	Keep               time.Duration // how long delivered events are kept for Replay, within MaxBytes
}

// Queue is all of it.
type Queue interface {
	Appender
	Outputs
	DeadLetters
	History
	LossLog
	Roles
	Reporter
	Limiter
	// Close syncs what it was told, progress included, and releases everything. Appends in flight end first; every
	// tenure and role ends.
	Close(ctx context.Context) error
}
