package queue

import (
	"context"
	"time"
)

// Source is a whole queue at rest, for an engine that takes it over. Every function that is handed in may end the walk by an error,
// which comes back.
type Source interface {
	Head() Head
	// Events hands over what is kept of the accepted events, in the order of their sequences.
	Events(ctx context.Context, each func(*Event) error) error
	// Deliveries hands over the memory of accepted deliveries, the oldest first.
	Deliveries(ctx context.Context, each func(Delivery) error) error
	// NotedOutcomes hands over what was noted of an output's events, in the order in which it was noted.
	NotedOutcomes(ctx context.Context, output string, each func(OutcomeRange) error) error
	// EachDeadLetter hands over the quarantine, in the order of the IDs.
	EachDeadLetter(ctx context.Context, each func(*DeadLetter) error) error
}

// Head is what a queue knows beside its events.
type Head struct {
	BridgeID     string
	LastSeq      uint64 // the newest sequence given
	LastItem     uint64 // the newest ID of a dead letter given
	Outputs      []OutputPlace
	EvictedUpTo  map[string]time.Time // the newest signed timestamp of the forgotten deliveries, by endpoint
	LastAccepted map[string]time.Time // by endpoint
	Resent       []Resent
	Losses       []Loss // that nobody has acknowledged
	Gone         []Gap  // the sequences that are lost and that some output had still to get
}

// OutputPlace is how far an output has got.
type OutputPlace struct {
	Name       string
	DropOldest bool
	Cursor     uint64
}

// Resent is a dead letter that was re-sent.
type Resent struct {
	Item, Seq uint64
}

// Delivery is an accepted delivery that is remembered.
type Delivery struct {
	Seq        uint64
	Endpoint   string
	Digest     Digest
	DeliveryID string
	SignalID   string
	SentAt     time.Time // the signed timestamp; zero when it has none
	ReceivedAt time.Time
	ReceivedBy string
}
