package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFolder takes the folder for this process, until the result is closed. The lock file is not the database: that one
// is replaced by compaction and salvage, and a lock on it would stay with the old file.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "queue.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the queue's own folder
	if err != nil {
		return nil, fmt.Errorf("open the queue's lock file: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = writePID(f)
	}
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s is held by process %s; stop that one or give this one a queue.directory of its own",
			ErrLocked, path, readPID(f))
	} else {
		err = fmt.Errorf("lock the queue's folder: %w", err)
	}
	return nil, errors.Join(err, f.Close())
}

// unlockFolder gives the folder back. Closing alone would not do while a process that is being started still has a copy of
// the descriptor.
func unlockFolder(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	// The PID is for people; a full disk must not keep the queue from starting.
	_, _ = f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return nil
}

func readPID(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "(unknown)"
}
