// Package file is the output that appends one line a record to a file, or to standard output ("-").
//
//	Send ──encode──▶ work ──▶ writer: stat, (re-open), write all that waits, one fsync ──▶ done
//
// "Delivered" means stored: done is called after fsync. One goroutine writes, and takes all batches that wait into one
// write and one fsync, so that the disk sets the pace and not the number of batches.
//
// A line is whole or not there: a write that fails is truncated back, and where that fails too, or the file ended in the
// middle of a line when it was opened, the next write begins with a line feed. A file that was renamed or deleted
// (logrotate, without copytruncate or with) is noticed before the next write and opened anew. After a failed fsync the
// file is closed and the batch is sent again, because a second fsync would succeed without having stored anything.
package file
