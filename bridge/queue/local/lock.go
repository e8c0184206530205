package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// lockName is the file that the one process which may use a folder has locked. It is no segment: those come and go.
const lockName = "lock"

// folderLock is the locked file. Closing it gives the folder back.
type folderLock struct {
	journal.File
	path string
	id   journal.FileID
}

// lockFolder takes the folder for this process.
func lockFolder(fs journal.FS, dir string) (*folderLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := fs.Lock(path)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s is held by process %s; stop that one or give this one a queue.directory of its own",
			queue.ErrLocked, path, readPID(fs, path))
	}
	if err != nil {
		return nil, fmt.Errorf("lock the queue's folder: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the queue's folder: %w", err), file.Close())
	}
	writePID(file)
	return &folderLock{file, path, info.ID}, nil
}

// writePID is for people; a full disk must not keep the queue from starting.
func writePID(file journal.File) {
	if file.Truncate(0) == nil {
		_, _ = file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	}
}

func readPID(fs journal.FS, path string) string {
	file, err := fs.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return "(unknown)"
	}
	defer func() { _ = file.Close() }() // only read
	var b [32]byte
	n, err := file.ReadAt(b[:], 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" && (err == nil || isEOF(err)) {
		return pid
	}
	return "(unknown)"
}

// isAtPath returns journal.ErrReplaced when the lock file at the path is not the one that is held.
func (l *folderLock) isAtPath(fs journal.FS) error {
	there, err := fs.Stat(l.path)
	if errors.Is(err, os.ErrNotExist) || (err == nil && there.ID != l.id) {
		return fmt.Errorf("%s: %w", l.path, journal.ErrReplaced)
	}
	return err
}
