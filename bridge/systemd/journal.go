package systemd

import "github.com/coreos/go-systemd/v22/journal"

// JournalSocket is where journald takes native records.
const JournalSocket = "/run/systemd/journal/socket"

// StderrIsJournal reports whether standard error goes to the journal ($JOURNAL_STREAM names its device and inode), in
// which case records may be sent natively instead (systemd's "automatic protocol upgrading").
func StderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}
