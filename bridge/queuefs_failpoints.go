//go:build failpoints

package bridge

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// queueFS is a file system that goes wrong as the file named by $LINUXGUARD_BRIDGE_FAILPOINT says while it exists:
//
//	syncs hang      until the file is gone, as those of a disk that has stopped answering
//	reads fail      with EIO
//	a sync fails    once with EIO, and the file is removed
//
// Only binaries that the end-to-end tests build for themselves have it (-tags failpoints).
func queueFS() journal.FS {
	path := os.Getenv("LINUXGUARD_BRIDGE_FAILPOINT")
	if path == "" {
		return journal.OS{}
	}
	return failingFS{failpoint: failpoint(path)}
}

// failpoint is the path of the file that says what fails.
type failpoint string

func (p failpoint) is(what string) bool {
	text, err := os.ReadFile(string(p))
	return err == nil && strings.TrimSpace(string(text)) == what
}

type failingFS struct {
	journal.OS
	failpoint failpoint
}

// Open implements journal.FS.
func (fs failingFS) Open(name string, flag int, perm os.FileMode) (journal.File, error) {
	f, err := fs.OS.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return failingFile{f, name, fs.failpoint}, nil
}

type failingFile struct {
	journal.File
	name      string
	failpoint failpoint
}

// ReadAt implements journal.File.
func (f failingFile) ReadAt(p []byte, offset int64) (int, error) {
	if f.failpoint.is("reads fail") {
		return 0, fmt.Errorf("read %s: %w", f.name, unix.EIO)
	}
	return f.File.ReadAt(p, offset)
}

// Sync implements journal.File.
func (f failingFile) Sync() error {
	if f.failpoint.is("a sync fails") && os.Remove(string(f.failpoint)) == nil {
		return fmt.Errorf("sync %s: %w", f.name, unix.EIO)
	}
	for f.failpoint.is("syncs hang") {
		time.Sleep(20 * time.Millisecond)
	}
	return f.File.Sync()
}
