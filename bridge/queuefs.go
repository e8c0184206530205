//go:build !failpoints

package bridge

import "github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"

// queueFS is the file system that the queue is on: the real one.
func queueFS() journal.FS { return journal.OS{} }
