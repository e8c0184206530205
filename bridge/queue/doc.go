// Package queue is the contract between the bridge and the place where events are made durable: types, errors and
// interfaces. Engines live in packages of their own (bridge/queue/local, bridge/queue/postgres); nothing but the package bridge and the command
// imports one. Every engine passes the suite in bridge/queue/queuetest, which knows this package alone.
//
//	webhook ─▶ Appender       an event, judged and durable            │
//	forward ─▶ Outputs        Declare, Claim ─▶ Tenure: read, advance ├─ one engine
//	admin   ─▶ DeadLetters, History, LossLog, Reporter                │
//
// # Sequences
//
// Every accepted event has a sequence (bridge_seq): from 1, without gaps, never given twice under one bridge ID. A queue that
// can't be sure which sequence is the newest takes a new bridge ID and goes on above the highest one that it has seen.
//
// # What is a duplicate
//
// Per endpoint and within the window: the same body under any delivery ID, or the same delivery ID with the same signal ID (a
// retry may be stamped anew). A delivery ID that comes with another signal ID is no duplicate, since no signature covers it;
// Receipt.Reused says so. Hence two notification rules of LinuxGuard that send byte-identical bodies to one endpoint become
// one record. The rules are written once, in Judge; an engine supplies what it remembers as a DedupeIndex.
//
// The memory holds a bounded number of deliveries. What had to be forgotten raises the endpoint's "evicted up to" time,
// durably: a body whose signed timestamp is not newer can't be told from a replay and is quarantined as ReasonEvicted.
//
// # Ownership
//
// An output belongs to one bridge at a time. Claim returns a Tenure, and everything that a worker does with the queue it does
// inside its tenure. The worker asks Valid right before it sends; a tenure that is lost is never valid again.
//
// # What became of an event
//
// Outcomes cover a range without gaps: what waits is Queued, what is no longer remembered is Unknown. What is gone for good is
// said by Read and Range as a Gap with its outcome, so that nobody has to infer anything from a sequence that doesn't come.
package queue
