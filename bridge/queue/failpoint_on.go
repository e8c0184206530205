//go:build failpoints

package queue

import (
	"os"
	"time"
)

// failpoint stops the committer before its commit for as long as the file named by $LINUXGUARD_BRIDGE_FAILPOINT exists.
// Only binaries that the end-to-end tests build for themselves have it (-tags failpoints).
func failpoint() func(step string) {
	path := os.Getenv("LINUXGUARD_BRIDGE_FAILPOINT")
	if path == "" {
		return nil
	}
	return func(step string) {
		for step == "filled" {
			if _, err := os.Stat(path); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
