// Package local is the queue in a folder of its own: one log, one sync a group, one truth. Everything that must survive is a record
// of the log, and what is in memory is what the records say, applied in their order, so that there is one way to recover.
//
//	<directory>/
//	  lock                            held by the one process that may use the folder
//	  log/<number>.seg                the log, in segments of a fixed size; see package journal for their format
//	  log/<number>.deliveries         a sealed segment's own records without bodies (sidecar.go), kept for the dedupe window
//	  quarantine/<id>-<digest>.json   one dead letter a file, readable; one of an output also has its sequence and the output's name
//	  backup                          only in a restored backup (backup.go): the queue takes a new bridge ID
//
// # Records
//
// A record is its kind (record.go) and a body: E an accepted event, Q a dead letter, D one dropped, P an output's progress, S the
// state (first in each segment), and rarer ones as JSON: O the outputs, B a replay, L a loss, A its acknowledgement, M a delivery
// whose event is gone. Numbers are little-endian or varints, times are nanoseconds since 1970, text has a varint length:
//
//	E  sequence 8 | appended-at 8 | dead letter that it was re-sent from | event
//	Q  ID 8 | at 8 | reason | output | sequence | event
//	P  output | its birth | through | outcomes (outcomelog.go)
//	event: received-at 8 | flags 1 | resend-of | received-by | endpoint | delivery | signature | secret | client | headers | notes | only | body
//
// # Writing
//
// One goroutine, the committer (commit.go), takes what waits (requests.go), judges it (queue.Judge over dedupe.go) and writes it as one
// group, with all progress that is due. Requests are answered, and memory is changed (store.apply), after the sync. Other goroutines
// file dead letters, write sidecars and verify old segments (background.go); the committer never waits for them.
//
// # Recovery
//
// recover.go takes the newest snapshot that can be read, the sidecars of older segments, and applies what the log has behind it. The last
// group is written and synced again. Records that are missing are a loss with their number; sequences that are missing are Lost for
// every output that still had to get them. Where the newest number is not certain, the queue takes a new bridge ID, and goes on above
// the highest sequence that anything in the folder shows.
//
// # Room
//
// MaxBytes counts bytes of the log from the oldest event that some output needs. A segment is used again when no output, dead
// letter without a file, snapshot, loss without acknowledgement or queue.keep needs it. When the next segment can't be made, appends
// are refused before the last MiB is used, which takes progress, refusals and drops: so room can always be made.
//
// # Faults
//
// A read that fails is not damage: it is tried again, and nothing on disk is changed. After a failed write or sync the segment takes
// no more, and the next group goes into the next one. After each sync the path is compared with the open file; when the folder was
// deleted, replaced or cut short, everything is refused until what is at the path has been opened and what it lacks was written
// back, under a new bridge ID (reopen.go).
//
// # Known limits
//
// Damage to the newest group before the next one is written can't be told from an unfinished write. A snapshot of the whole machine, or
// a copy made while the bridge was stopped, gives sequences twice under one bridge ID when both are started. A dead letter whose file
// is the only copy is lost with the file.
package local
