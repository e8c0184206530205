package webhook

import (
	"io/fs"
	"syscall"
)

// inodeOf returns the file's inode number: a file that was replaced by rename has another one.
func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
