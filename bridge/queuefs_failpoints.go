//go:build failpoints

package bridge

import (
	"os"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// queueFS is a file system whose syncs hang for as long as the file named by $LINUXGUARD_BRIDGE_FAILPOINT exists, as those of a disk
// do that has stopped answering. Only binaries that the end-to-end tests build for themselves have it (-tags failpoints).
func queueFS() journal.FS {
	path := os.Getenv("LINUXGUARD_BRIDGE_FAILPOINT")
	if path == "" {
		return journal.OS{}
	}
	return hangingFS{path: path}
}

type hangingFS struct {
	journal.OS
	path string
}

// Open implements journal.FS.
func (h hangingFS) Open(name string, flag int, perm os.FileMode) (journal.File, error) {
	f, err := h.OS.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return hangingFile{f, h.path}, nil
}

type hangingFile struct {
	journal.File
	path string
}

// Sync implements journal.File.
func (f hangingFile) Sync() error {
	for {
		if _, err := os.Stat(f.path); err != nil {
			return f.File.Sync()
		}
		time.Sleep(20 * time.Millisecond)
	}
}
