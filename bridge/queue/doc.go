// Package queue makes events durable and remembers which deliveries were seen. Open returns the embedded queue, one
// bbolt file; the interfaces in queue.go are all that the rest of the bridge knows of it.
//
// # Commits
//
// One goroutine, the committer (commit.go), makes every change. While it commits one batch, the next gathers (intake.go),
// so that one transaction and its two syncs serve every append that waited; a batch whose senders have turned out to come
// in step waits a moment for the rest of them (gather.go). In that transaction are the event, the remembered delivery,
// cursors that are due and a bounded share of deletions. Appends answer after the commit; what lives in memory changes
// after it too, so a commit that fails leaves no trace.
//
// # What is a duplicate
//
// Per endpoint and within the window: the same body under any delivery ID, or the same delivery ID with the same
// signal_id (a retry may be stamped anew). A delivery ID that comes with another signal_id is no duplicate, since no
// signature covers it; Receipt.Reused says so. Hence two notification rules of LinuxGuard that send byte-identical bodies to
// one endpoint become one record. The memory in RAM (memory.go) is an index of 64-bit hashes, 75 to 95 bytes a
// delivery; what it finds is compared in full with the record on disk. It holds the newest Capacity deliveries, or a few more
// (forgetEvery), because the oldest are deleted many at a time. What had to go before its time sets the endpoint's
// horizon, persistently: from then on a body whose signed timestamp is not newer can't be told from a replay and is
// quarantined as ReasonEvicted.
//
// # On disk
//
// A folder holds queue.lock (locked by the one process that may use it; not the database, which is replaced by
// compaction) and queue.db with these buckets:
//
//	events      sequence  → E                  until every output's cursor is past it
//	seen        sequence  → S                  for the window, about Capacity
//	quarantine  item ID   → Q                  until deleted or re-sent
//	cursors     output    → C sequence
//	fates       output    → { first sequence → F last, fate, time, level }   run-length, a run spans at most a minute
//	meta        bridge_id, counts, horizon/ENDPOINT, salvaged → M
//
// Sequences and IDs are big-endian, so keys only grow and pages fill up (FillPercent 1.0). meta and cursors are small enough
// for bbolt to keep them in the root page, which every commit writes anyway: counting costs no page. bbolt has no checksum
// on its pages, so every value has its own, over its key too:
//
//	+---------+------+---------+----------------------------------------------------------------------------------+
//	| CRC-32C | kind | version | kind's own part; numbers are little-endian or varints, text has a varint length   |
//	| 4 bytes | 1    | 1       |                                                                                  |
//	+---------+------+---------+----------------------------------------------------------------------------------+
//	E  received-at 8 | flags 1 | resend-of | endpoint | delivery | signature | secret | client | headers | only | body
//	S  received-at 8 | sent-at 8 | SHA-256 of the body 32 | previous with this delivery ID | endpoint | delivery | signal
//	Q  SHA-256 32 (zero: not held on receipt) | at 8 | reason | output | sequence | raw | an E
//	F  last less first | fate 1 | Unix time | level
//
// # Reading
//
// The newest events stay in memory until every output is done with them (tail.go, bounded by TailBytes), so outputs that
// keep up read the very same decoded events. Those that lag read the file in short transactions that copy and let go; the
// address space is mapped once (InitialMmapSize), so a growing file never waits for a reader. Nothing is read before its
// commit is synced: bbolt would show it a moment earlier.
//
// # Allowances
//
// MaxBytes counts the values of live events, not the file. When it is used up, appends get ErrFull while known duplicates
// are still answered; cursors are then committed at once. Where only drop_oldest outputs hold the oldest events back,
// their cursors move over as many as are needed, which the ledger and the log say. The quarantine has an allowance of
// its own; damaged values may exceed it.
//
// # Faults
//
// No space (a failed write with ENOSPC, EDQUOT or EFBIG): appends are refused with a back-off and duplicates are answered; a
// probe finds out when there is room again. Any other failed write, and every failed sync: the database is closed. The
// page cache may then hold what the disk has not, and a second sync would call it written, so before the file is used again it
// is read back past the cache, checked, and written anew as another file (faults.go).
//
// bbolt trusts its pages and panics on damaged ones, partly in goroutines of its own. So every file is walked first
// (pagefile.go, verify.go). A damaged one is set aside as queue.db.damaged-TIME, and what can be salvaged (salvage.go)
// becomes the new queue: the records that the tree still reaches, then those in pages that it doesn't, when they are newer
// than the lowest cursor. A remembered delivery in such a page counts only with its event in the queue or at or below that
// cursor: its transaction may have failed, and the sender comes again. Cursors may be lost with a page, and nothing tells
// whose: until SetOutputs has named the outputs nothing is deleted, and one without a cursor begins at the oldest event
// (meta's key salvaged). When the newest sequence is not certain the queue gets a new bridge_id, since no sequence may be
// given twice under one; the numbering goes on, so under the new ID it doesn't begin at 1. A damaged value in a sound file
// goes to the quarantine with its bytes when it is read.
//
// # Known limits
//
// A page that holds an older version of itself with sound structure and sound values can't be told from the newest one.
// Compaction blocks appends while it copies, so it waits until no more than 64 MiB are live in a file of 256 MiB or more. The ledger says when
// something was done to the minute. Events that were dropped while a worker was delivering them count as dropped.
package queue
