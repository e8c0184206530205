// Package forward takes events from the queue to one output: claim, read, batch, send, retry, quarantine, advance.
//
// There is one Worker an output and nothing is shared between workers, so that an output that is down, slow or
// misconfigured holds back no other. A Worker never gives an event up: what fails for now is sent again with
// exponential back-off and jitter for as long as it takes, what needs an operator is tried again slowly, and what
// the destination refuses for good goes to the quarantine.
//
//	Claim ─▶ tenure ─▶ open the output ─▶ dispatcher ─▶ close the output ─▶ Release
//	  ▲                                                                        │
//	  └──────────────────────── the tenure was lost ◀──────────────────────────┘
//
// A Worker does everything within a tenure, the time during which this bridge owns the output. When the tenure is lost,
// sends are canceled, the output is closed, and the next tenure begins with a new one. Right before each Send the worker
// takes a last look at Tenure.Valid; the output takes it before each write (outputs.Env.Valid).
//
//	tenure.Read ─▶ pending ─▶ batch ─▶ outputs.Send ─▶ done ─▶ finished batches, in order ─▶ tenure.Advance
//	reader         wanted      ▲                        │
//	               events      └── failed: read again ◀─┘
//	               and gaps        by tenure.Range
//
// A batch is a stretch of the queue. It remembers sequences, not bodies: one that has to be sent again is read from the
// queue again, so that an outage of any length costs no memory. Batches may finish in any order; the cursor moves over the
// finished ones at the front only, so that it never passes an event whose outcome is not known.
//
// What the queue no longer has is a gap, and the queue says so with its outcome; nothing is inferred from a sequence that
// doesn't come. With when_full = "drop_oldest" the queue moves the tenure's cursor past events that are read already: what
// is at or below it is left out before each send. One that was in flight just then and arrives is told as delivered.
//
// After a failure the worker sends one batch at a time, the oldest, until one gets through (a probe), and then the
// rest: a receiver that comes back is not met by everything at once, and order is kept where the output keeps it.
package forward
