package queue

import "time"

// Status is a snapshot of the queue.
type Status struct {
	AsOf     time.Time // when it was true
	BridgeID string
	Healthy  bool   // false: appends answer ErrUnavailable
	Full     bool   // the last append that needed room was refused, and there has been no room since
	Problem  string // why it isn't healthy or full, in a line

	FirstSeq, LastSeq uint64 // of the events that some output needs; LastSeq is the newest ever given
	Events            uint64 // that some output still needs
	Bytes, MaxBytes   int64  // of those, and the allowance
	DiskBytes         int64  // what the queue's files take

	DeadLetters                         int
	QuarantineBytes, QuarantineMaxBytes int64

	Remembered, Capacity int
	WindowCovered        time.Duration // age of the oldest remembered delivery
	Evicted              uint64        // forced out younger than the window, since start
	Losses               int           // that nobody has acknowledged
	LostEvents           uint64        // in those, as far as the number is known
	LostUnknown          bool          // some of those have no known number
	Commits              uint64        // groups of records, one sync each

	Outputs []OutputStatus // in the order of their names
	Bridges []BridgeStatus // of a shared queue, in the order of their names
}

// BridgeStatus is one bridge of a shared queue.
type BridgeStatus struct {
	Name       string
	Host       string
	Version    string
	ConfigHash string    // of its configuration
	SeenAt     time.Time // its last sign of life
	Running    bool      // that is recent
	This       bool      // it is the one that tells
}

// OutputStatus is one output's place in the queue.
type OutputStatus struct {
	Name            string
	Cursor          uint64    // as advanced
	Queued          uint64    // events that wait for it
	Oldest          time.Time // when the oldest of them was received; zero when none waits or it is not known
	Dropped         uint64    // by drop_oldest, since start
	QuarantineBytes int64     // of the items that it refused
	QuarantineFull  bool      // its share of the quarantine is used up
	Owner           string    // the bridge that owns it, as far as this one has heard; empty: nobody
}

// Seen is one remembered delivery.
type Seen struct {
	Seq        uint64 // 0: quarantined on receipt
	Endpoint   string
	DeliveryID string
	SignalID   string
	ReceivedAt time.Time
	ReceivedBy string // the bridge that took it
	Verdict    Verdict
	Reason     string
	Duplicates int // answered "duplicate" since the process started, as far as is remembered
}

// Loss is something that was acknowledged to a sender and is gone.
type Loss struct {
	ID      uint64    `json:"id"`
	At      time.Time `json:"at"`              // when it was found
	What    string    `json:"what"`            // what was damaged or missing, and what it means, in a line
	First   uint64    `json:"first,omitempty"` // the lost sequences; 0: not known
	Last    uint64    `json:"last,omitempty"`
	Records uint64    `json:"records,omitempty"` // how many records of the queue are gone at the most; 0: not known
}
