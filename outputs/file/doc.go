// Package file is the output that appends one line a record to a file, or to standard output ("-").
//
//	Send ──encode──▶ work ──▶ writer: stat, (re-open), write all that waits, one fsync ──▶ done
//
// "Delivered" means stored: done is called after fsync. One goroutine writes, and takes all batches that wait into one
// write and one fsync, so that the disk sets the pace and not the number of batches.
//
// Every record is on a line of its own. A write that fails is truncated back. A process that is killed can't do that: a
// SIGKILL ends a write(2) between two pages, so the last line can be torn.
//
//	{"bridge_seq":7,...}\n     delivered
//	{"bridge_seq":8,...}\n     whole, but nothing of this write was fsynced, so
//	{"bridge_seq":9,"ser       nothing of it was called delivered
//	\n                         the first byte of the next process
//	{"bridge_seq":8,...}\n     and all of it is sent again
//
// A reader skips what it can't parse, and finds that record whole on a later line. When the file is opened, or a failed
// write can't be truncated back, the next write ends a torn line first. Standard output can't be read, so a line torn
// there by a kill stays open.
//
// A file that was renamed or deleted (logrotate, without copytruncate or with) is noticed before the next write and
// opened anew. After a failed fsync the file is closed and the batch is sent again, because a second fsync would succeed
// without having stored anything.
package file
