package outputs

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotOwner ends a batch whose output belongs to another bridge by now: nothing more of it may be sent from here.
var ErrNotOwner = errors.New("this bridge no longer owns the output")

// RetryError is a temporary failure that asks for a delay, e.g. from Retry-After.
type RetryError struct {
	Err   error
	After time.Duration // at least so long; 0 leaves it to the worker's own back-off
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap implements errors.Unwrap's contract.
func (e *RetryError) Unwrap() error { return e.Err }

// BlockedError is a failure that only an operator can mend: a wrong token, a closed index, an acknowledgement endpoint
// that is turned off. The queue keeps everything; the worker raises the alarm and goes on trying slowly.
type BlockedError struct {
	Err error
	// Records says that the records themselves may be at fault, every one of the batch, and not the destination: if it takes what comes
	// behind them, they can be refused for good. The worker finds out.
	Records bool
}

// Error implements error.
func (e *BlockedError) Error() string { return e.Err.Error() }

// Unwrap implements errors.Unwrap's contract.
func (e *BlockedError) Unwrap() error { return e.Err }

// Rejection is one record that the destination refuses for good.
type Rejection struct {
	Index int // in the batch handed to Send
	Err   error
}

// PartialError says that some records of a batch are refused for good. They go to the quarantine. Rest is nil when
// all others are delivered, else the (temporary or blocked) error for which all the others are sent again.
type PartialError struct {
	Rejected []Rejection
	Rest     error
}

// Error implements error.
func (e *PartialError) Error() string {
	if len(e.Rejected) == 0 {
		return fmt.Sprintf("no record refused, rest: %v", e.Rest)
	}
	text := fmt.Sprintf("%d records refused, the first: %v", len(e.Rejected), e.Rejected[0].Err)
	if e.Rest != nil {
		text += "; the rest: " + e.Rest.Error()
	}
	return text
}

// Unwrap implements errors.Unwrap's contract.
func (e *PartialError) Unwrap() error { return e.Rest }
