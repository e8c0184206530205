// Package postgres is the engine of a queue that two or more bridges share, on a PostgreSQL server (14 or later) that keeps what
// it has committed when a host dies: a primary with a synchronous standby, or a service that replicates its storage.
//
//	committer ──▶ one transaction at a time: appends that wait, progress that is due ──▶ meta's row lock gives the sequences
//	watcher   ──▶ asks ten times a second for the newest sequence and wakes the readers
//	leases    ──▶ an output or a role belongs to (owner, epoch); every write of its owner names both
//	keeper    ──▶ one bridge deletes what nobody needs any more
//
// The schema is in schema.sql. An append is two round trips: the lock and, as statements of their own that see what was committed
// before it, the look-ups; then what is new and the COMMIT. A duplicate is answered after the COMMIT too: what a look-up finds may not
// be replicated yet. Every transaction sets synchronous_commit to on.
//
// A tenure goes by no clock but this host's CLOCK_BOOTTIME: the owner counts itself out a moment before takeover is over without an answer
// to a sign of life; another bridge takes over when it has seen none for takeover.
package postgres
