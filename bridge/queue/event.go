package queue

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// Event is one verified webhook, as it is stored: the body as received and the proof of where it came from.
type Event struct {
	Seq uint64 // bridge_seq: set by the queue, gap-free, from 1

	ReceivedAt time.Time
	ReceivedBy string // the name of the bridge that took it
	Endpoint   string
	DeliveryID string // LinuxGuard-Delivery as received; may be empty, it is not signed
	Signature  string // the LinuxGuard-Signature header
	SecretName string // of the secret that verified it
	ClientAddr string
	Header     []Header // the request headers that some output's match names
	Notes      []string // what the receiver had to interpret, e.g. a delivery ID that was too long
	Body       []byte

	ResendOf  uint64   // the sequence that this one repeats by an operator's command
	Only      []string // the outputs that a re-sent event is for; empty: all
	Synthetic bool     // made by the bridge itself, not by LinuxGuard

	// Signal is Body decoded. The appender sets it (nil: Body is no JSON object); Read returns it set for
	// every event that can be decoded, from memory where the queue still has it.
	Signal *signal.Signal
}

// Header is one kept request header.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SignalID returns the signed signal ID, or "".
func (e *Event) SignalID() string {
	if e.Signal == nil {
		return ""
	}
	return e.Signal.SignalID
}

// SentAt returns the signed body's own timestamp; false when it has none that can be read.
func (e *Event) SentAt() (time.Time, bool) {
	if e.Signal == nil {
		return time.Time{}, false
	}
	return e.Signal.SentAt()
}

// Decode sets Signal for a body that can be decoded.
func (e *Event) Decode() {
	if s, err := signal.Decode(e.Body); err == nil {
		e.Signal = s
	}
}

// Digest is the SHA-256 of a body.
type Digest = [sha256.Size]byte

// Verdict is what Append did with an event.
type Verdict int

// The verdicts. All of them are durable when Append returns.
const (
	Accepted    Verdict = iota + 1
	Duplicate           // known already; Receipt.Seq is the first one's
	Quarantined         // kept, not forwarded; Receipt.Reason says why
)

// String returns the verdict's name as the webhook's answer and the metrics show it.
func (v Verdict) String() string {
	switch v {
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
	Verdict Verdict
	Seq     uint64 // of the event, or of the first one for a duplicate; 0 for a quarantined one
	Reason  string // why it is quarantined
	// Reused reports that the delivery ID is known with another signal ID; the event was accepted all the same.
	Reused bool
	// Since is when the event, or the first one for a duplicate, was received: from then on the window counts.
	Since time.Time
	// Generation is the queue's generation when this was true; see Appender.
	Generation uint64
}

// Reasons of the queue's own for the quarantine. The others come from signal and from bridge/webhook.
const (
	ReasonEvicted = "evicted" // a body no newer than what the full memory of deliveries had to forget
)

// Errors of a queue. Of Append all of them mean: nothing was made durable, answer 503.
var (
	// ErrFull says that the disk allowance (max_bytes) is used up by events that some output still needs, or that of
	// the quarantine by items that nobody has re-sent or dropped.
	ErrFull = errors.New("the queue is full")
	// ErrUnavailable says that the queue can't read or write now: no space, a failed read, write or sync, closed.
	ErrUnavailable = errors.New("the queue is unavailable")
	// ErrLocked says that another process has the queue open.
	ErrLocked = errors.New("the queue is in use by another process")
	// ErrLost says that a tenure is over: the output belongs to another owner, or to nobody.
	ErrLost = errors.New("this bridge no longer owns the output")
	// ErrNotFound says that there is no such output, item or loss.
	ErrNotFound = errors.New("not found")
)
