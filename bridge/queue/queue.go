package queue

import (
	"context"
	"errors"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// Event is one verified webhook, as it is stored: the body as received and the proof of where it came from.
type Event struct {
	Seq uint64 // bridge_seq: set by the queue, gap-free, from 1

	ReceivedAt time.Time
	Endpoint   string
	DeliveryID string // LinuxGuard-Delivery as received; may be empty, it is not signed
	Signature  string // the LinuxGuard-Signature header
	SecretName string // of the secret that verified it
	ClientAddr string
	Header     []Header // the request headers that some output's match names
	Body       []byte

	ResendOf  uint64   // the sequence that this one repeats by an operator's command
	Only      []string // the outputs that a re-sent event is for; empty: all
	Synthetic bool     // made by the bridge itself, not by LinuxGuard

	// Signal is Body decoded. The appender sets it (nil: Body is no JSON object); Read returns it set for
	// every event that can be decoded, from memory where the queue still has it.
	Signal *signal.Signal
}

// Header is one kept request header.
type Header struct{ Name, Value string }

// Outcome is what Append did with an event.
type Outcome int

// The outcomes. All of them are durable when Append returns.
const (
	Accepted    Outcome = iota + 1
	Duplicate           // known already; Receipt.Seq is the first one's
	Quarantined         // kept, not forwarded; Receipt.Reason says why
)

// String returns the outcome's name as the webhook's answer and the metrics show it.
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Duplicate:
		return "duplicate"
	case Quarantined:
		return "quarantined"
	default:
		return "unknown"
	}
}

// Receipt is Append's answer.
type Receipt struct {
	Outcome Outcome
	Seq     uint64 // of the event, or of the first one for a duplicate; 0 for a quarantined one
	Reason  string // why it is quarantined
	// Reused reports that the delivery ID is known with another signal_id; the event was accepted all the same.
	Reused bool
}

// Reasons of the queue's own for the quarantine. The others come from signal and from bridge/webhook.
const (
	ReasonEvicted = "evicted" // a body no newer than what the full dedupe memory had to forget
	ReasonDamaged = "damaged" // a stored value that fails its checksum
)

// Errors of Append. All of them mean: nothing was made durable, answer 503.
var (
	// ErrFull says that the disk allowance (max_bytes) is used up by events that some output still holds.
	ErrFull = errors.New("the queue is full")
	// ErrUnavailable says that the queue can't write now: no space, failed write or sync, closed.
	ErrUnavailable = errors.New("the queue is unavailable")
	// ErrLocked says that another process has the queue's folder open.
	ErrLocked = errors.New("the queue's folder is in use by another process")
)

// Appender is the receiving side's view of a queue.
type Appender interface {
	// Append judges e against the memory of seen deliveries and makes it durable. It returns after the commit that
	// holds the event, its delivery ID and its body digest is fsynced; a duplicate of an append in flight waits for
	// that one's commit and shares its outcome. hold, when not empty, is the reason for which e goes to the
	// quarantine instead of to the outputs unless it is a duplicate. An ended ctx ends the wait, not a commit
	// that has begun: the event may then be durable all the same. e and its body must not change afterwards.
	Append(ctx context.Context, e *Event, hold string) (Receipt, error)
}

// Reader is one output's view of a queue.
type Reader interface {
	// Cursor returns the highest sequence that output is done with.
	Cursor(output string) (uint64, error)
	// Read returns committed events with a sequence above after, in order: at most limit, and no more than
	// maxBytes of bodies except for the first. It waits until there is at least one or ctx ends. Sequences that
	// are missing in the result (dropped, damaged, deleted) will never come. The events are shared: read-only.
	Read(ctx context.Context, after uint64, limit, maxBytes int) ([]*Event, error)
	// Range returns the committed events with a sequence in first..last, in order, and no more than maxBytes of
	// bodies except for the first. It never waits: none means that none of them is left.
	Range(ctx context.Context, first, last uint64, maxBytes int) ([]*Event, error)
	// Advance says that output is done with everything up to p.Through. It returns at once; the queue commits
	// progress within its cursor interval and on Close, and deletes events that every output is past.
	Advance(output string, p Progress)
	// Quarantine makes refused records durable in the quarantine. It returns after the commit.
	Quarantine(ctx context.Context, items []QuarantineItem) error
}

// Progress is what became of the sequences up to Through since the last Progress of the same output. Runs at or below the
// cursor that the queue has itself moved (drop_oldest) are ignored.
type Progress struct {
	Through uint64
	Runs    []Run // contiguous, in order, ending at Through
}

// Fate is what became of one event at one output.
type Fate uint8

// The fates.
const (
	Delivered Fate = iota + 1
	Filtered       // the output's match does not want it, or a re-sent event is for others
	Refused        // quarantined: the destination refuses it for good
	Dropped        // by when_full = "drop_oldest"
	Lost           // damaged on disk; its raw bytes are in the quarantine
)

// String returns the fate's name as reconcile and trace show it.
func (f Fate) String() string {
	switch f {
	case Delivered:
		return "delivered"
	case Filtered:
		return "filtered"
	case Refused:
		return "quarantined"
	case Dropped:
		return "dropped"
	case Lost:
		return "damaged"
	default:
		return "unknown"
	}
}

// Run is a range of sequences with one fate.
type Run struct {
	First, Last uint64
	Fate        Fate
	Level       string    // of a delivery, e.g. "kernel-acknowledged"
	At          time.Time // when the last of them was done
}

// QuarantineItem is one event that is kept and not forwarded.
type QuarantineItem struct {
	ID     uint64 // set by the queue
	Reason string
	Output string // the output that refused it, or "receive"
	At     time.Time
	Event  Event  // Seq is 0 for one that never was in the queue
	Raw    []byte // of a damaged value, the bytes as they were read
}

// ReceiveQuarantine is the Output of items that were quarantined before the queue.
const ReceiveQuarantine = "receive"

// OutputSpec names one output to the queue.
type OutputSpec struct {
	Name          string
	DropOldest    bool // when_full = "drop_oldest"
	StartAtOldest bool // a new output begins with the oldest kept event instead of now
}

// Operator is the view of the command line and the status page.
type Operator interface {
	// SetOutputs makes specs the outputs that hold events back. A new one gets a cursor, a removed one stops holding
	// events back; the result maps each removed one to the number of events that it had left.
	SetOutputs(ctx context.Context, specs []OutputSpec) (left map[string]uint64, err error)
	// ListQuarantine returns up to limit items with an ID above after, without their bodies when brief.
	ListQuarantine(ctx context.Context, after uint64, limit int, brief bool) ([]QuarantineItem, error)
	// Resend puts a quarantined item back into the queue, for the named outputs (none: for all when it came from
	// "receive", else for the one that refused it), and removes it from the quarantine in the same transaction.
	Resend(ctx context.Context, id uint64, outputs []string) (seq uint64, err error)
	// DropQuarantine deletes an item.
	DropQuarantine(ctx context.Context, id uint64) error
	// Fates returns what became of the sequences first..last at output, as far as it is remembered (the dedupe
	// window). Sequences that are still queued are in no run.
	Fates(ctx context.Context, output string, first, last uint64) ([]Run, error)
	// Find returns the remembered events with this delivery ID or signal ID, oldest first.
	Find(ctx context.Context, id string) ([]Seen, error)
	// Ping returns nil as soon as the part of the queue that makes appends durable has shown that it goes on, and an
	// error when it hasn't by the end of ctx. A queue that refuses appends for a reason (no space) goes on.
	Ping(ctx context.Context) error
	// SetLimits changes max_bytes and quarantine_max_bytes, for what comes from now on: what is kept already stays. Values
	// below one change nothing.
	SetLimits(maxBytes, quarantineMaxBytes int64)
	// Status is a snapshot.
	Status() Status
}

// Seen is one remembered delivery.
type Seen struct {
	Seq        uint64 // 0: quarantined on receipt
	Endpoint   string
	DeliveryID string
	SignalID   string
	ReceivedAt time.Time
	Outcome    Outcome
	Reason     string
	Duplicates int // answered "duplicate" since the process started, as far as is remembered
}

// Status is a snapshot of the queue.
type Status struct {
	BridgeID string
	Healthy  bool   // false: appends answer ErrUnavailable
	Problem  string // why it isn't healthy, or what was salvaged at start

	FirstSeq, LastSeq uint64 // of the live events; LastSeq is the newest ever given
	Events            uint64
	Bytes, MaxBytes   int64 // live events and the allowance
	FileBytes         int64

	Quarantine                          int
	QuarantineBytes, QuarantineMaxBytes int64

	Remembered, Capacity int
	WindowCovered        time.Duration // age of the oldest remembered delivery
	Evicted              uint64        // forced out younger than the window, since start
	Damaged              uint64        // values that failed their checksum, since start
	Commits, Syncs       uint64

	Outputs []OutputStatus // in the order of their names
}

// OutputStatus is one output's place in the queue.
type OutputStatus struct {
	Name    string
	Cursor  uint64    // as committed or about to be
	Queued  uint64    // events that wait for it
	Oldest  time.Time // when the oldest of them was received; zero when none waits
	Dropped uint64    // by drop_oldest, since start
}

// Queue is all of it. Open returns the embedded one.
type Queue interface {
	Appender
	Reader
	Operator
	// Close commits what it was told, cursors included, and releases the folder. Appends in flight end first.
	Close(ctx context.Context) error
}
