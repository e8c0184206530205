package systemd

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// MemoryLimit is how much memory the service manager grants this process before it throttles or ends it: the least of MemoryHigh= and
// MemoryMax= of its control group and of those above (cgroup v2). 0: there is no limit, or it can't be read. root is the file system.
func MemoryLimit(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(text)) {
		group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !unified {
			continue
		}
		for at := path.Clean("/" + group); at != "/"; at = path.Dir(at) {
			for _, name := range []string{"memory.high", "memory.max"} {
				if n := readLimit(root, path.Join("sys/fs/cgroup", at, name)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
		}
	}
	return least
}

// readLimit reads a limit in bytes; 0: there is none.
func readLimit(root fs.FS, file string) int64 {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil { // "max"
		return 0
	}
	return n
}
