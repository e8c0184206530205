package queue

import (
	"crypto/sha256"
	"time"
)

// DedupeIndex is what an engine remembers, as Judge asks it. An engine answers for what is durable and for what is ahead in the
// same write. An error means that a question can't be answered now: nothing is taken for new then.
type DedupeIndex interface {
	// Body returns the accepted delivery of a body at an endpoint that was received last.
	Body(endpoint string, digest Digest) (Remembered, error)
	// Delivery returns the accepted delivery with this delivery ID and signal ID at an endpoint that was received last,
	// and the one with that delivery ID and whatever signal ID.
	Delivery(endpoint, deliveryID, signalID string) (same, newest Remembered, err error)
	// DeadLetter reports whether a body that came to an endpoint is in the quarantine, put there on receipt.
	DeadLetter(endpoint string, digest Digest) (bool, error)
	// EvictedUpTo returns the newest signed timestamp of an endpoint's deliveries that had to be forgotten.
	EvictedUpTo(endpoint string) time.Time
}

// Remembered is one delivery that a DedupeIndex knows; the zero value: none.
type Remembered struct {
	Seq        uint64
	ReceivedAt time.Time
}

// Judgment is what becomes of an event, before anything is written.
type Judgment struct {
	Receipt
	// Known says that it is durable already: nothing is to be written.
	Known bool
}

// Judge decides what an append of e is: a duplicate, one to be quarantined for reason, for its age or already, or one to be
// accepted. An accepted one has no sequence yet. window is how long a delivery counts; digest is e.Body's.
func Judge(m DedupeIndex, e *Event, digest Digest, reason string, now time.Time, window time.Duration) (Judgment, error) {
	in := func(r Remembered) bool { return r.Seq != 0 && now.Sub(r.ReceivedAt) <= window }
	body, err := m.Body(e.Endpoint, digest)
	if err != nil {
		return Judgment{}, err
	}
	if in(body) {
		return duplicateOf(body), nil
	}
	var newest Remembered
	if e.DeliveryID != "" {
		same, latest, err := m.Delivery(e.Endpoint, e.DeliveryID, e.SignalID())
		if err != nil {
			return Judgment{}, err
		}
		if e.SignalID() != "" && in(same) {
			return duplicateOf(same), nil
		}
		newest = latest
	}
	if reason == "" && evicted(m, e, now, window) {
		reason = ReasonEvicted
	}
	if reason == "" {
		since := e.ReceivedAt
		if since.IsZero() {
			since = now
		}
		return Judgment{Receipt: Receipt{Verdict: Accepted, Reused: in(newest), Since: since}}, nil
	}
	held, err := m.DeadLetter(e.Endpoint, digest)
	if err != nil {
		return Judgment{}, err
	}
	return Judgment{Receipt{Verdict: Quarantined, Reason: reason}, held}, nil
}

func duplicateOf(r Remembered) Judgment {
	return Judgment{Receipt{Verdict: Duplicate, Seq: r.Seq, Since: r.ReceivedAt}, true}
}

// evicted reports whether e may be a body that the memory was forced to forget.
func evicted(m DedupeIndex, e *Event, now time.Time, window time.Duration) bool {
	upTo := m.EvictedUpTo(e.Endpoint)
	if upTo.IsZero() || now.Sub(upTo) > window {
		return false
	}
	sent, ok := e.SentAt()
	return !ok || !sent.After(upTo)
}

// DigestOf returns the digest of a body.
func DigestOf(body []byte) Digest { return sha256.Sum256(body) }
