// Package forward takes events from the queue to one output: read, batch, send, retry, quarantine, advance.
//
// There is one Worker an output and nothing is shared between workers, so that an output that is down, slow or
// misconfigured holds back no other. A Worker never gives an event up: what fails for now is sent again with
// exponential back-off and jitter for as long as it takes, what needs an operator is tried again slowly, and what
// the destination refuses for good goes to the quarantine.
//
//	queue.Read ─▶ pending ─▶ flight ─▶ outputs.Send ─▶ done ─▶ finished flights, in order ─▶ queue.Advance
//	              batch of     ▲                         │
//	              matching     └── failed: read again ◀──┘
//	              events           from the queue
//
// A flight is one batch under way. It remembers sequences, not bodies: a batch that has to be sent again is read
// from the queue again, so that an outage of any length costs no memory. Flights may end in any order; the cursor
// moves over the finished ones at the front only, so that it never passes an event whose fate is open.
//
// After a failure the worker sends one flight at a time, the oldest, until one gets through (a probe), and then the
// rest: a receiver that comes back is not met by everything at once, and order is kept where the output keeps it.
package forward
