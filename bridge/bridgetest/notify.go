package bridgetest

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// Notifications is a fake service manager: it keeps what arrives at a NOTIFY_SOCKET (sd_notify(3)).
type Notifications struct {
	Path string

	mu       sync.Mutex
	messages []string
}

// NewNotifications listens on path until the test ends.
func NewNotifications(t testing.TB, path string) *Notifications {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatalf("listen as a service manager: %v", err)
	}
	n := &Notifications{Path: path}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 16<<10)
		for {
			size, err := conn.Read(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.messages = append(n.messages, string(buf[:size]))
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n
}

// Messages returns all that came so far, a datagram each, e.g. "READY=1\nSTATUS=...".
func (n *Notifications) Messages() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.messages...)
}

// Count returns how many datagrams hold the assignment ("READY=1") as a line.
func (n *Notifications) Count(assignment string) int {
	count := 0
	for _, message := range n.Messages() {
		for line := range strings.SplitSeq(message, "\n") {
			if line == assignment {
				count++
			}
		}
	}
	return count
}
