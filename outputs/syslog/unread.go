package syslog

import (
	"golang.org/x/sys/unix"
)

// The bounds of what a TCP connection keeps of what the peer's kernel has acknowledged.
const (
	leastUnread = 256 << 10 // what a kernel takes before its process has read anything, with room to spare
	mostUnread  = 8 << 20   // above the largest receive buffer that Linux grows by itself (net.ipv4.tcp_rmem, 6 MiB)
)

// unread keeps the newest part of a connection's stream: as much as the peer's kernel may have acknowledged without its process
// having read it. That is what a receiver that has stopped reading takes with it when it ends.
type unread struct {
	parts  fifo[part]
	bytes  []byte // of the parts, in order, behind head
	head   int
	next   int    // the index of the oldest part that isn't confirmed
	window uint64 // the largest receive window that the peer has offered
}

// part is one batch.
type part struct {
	end      uint64 // see batchStatus
	n        int    // records
	size     int    // bytes before TLS
	repeated bool   // it was confirmed on another connection: nobody else will send it again
}

// keep adds a batch that is about to be written.
func (u *unread) keep(n int, batch []byte, repeated bool) {
	if u.head > 0 && len(u.bytes)+len(batch) > cap(u.bytes) {
		u.bytes = u.bytes[:copy(u.bytes, u.bytes[u.head:])]
		u.head = 0
	}
	u.bytes = append(u.bytes, batch...)
	u.parts.push(part{end: unwritten, n: n, size: len(batch), repeated: repeated})
}

// wrote notes where the newest batch ends.
func (u *unread) wrote(end uint64) { u.parts.back().end = end }

// confirm notes that the oldest batch that wasn't is confirmed.
func (u *unread) confirm() { u.next++ }

// trim lets go of what the peer's process must have read by now.
func (u *unread) trim(acknowledged, window uint64) {
	u.window = max(u.window, window)
	kept := min(max(u.window, leastUnread), mostUnread)
	for u.next > 0 && u.parts.at(0).end+kept <= acknowledged {
		u.head += u.parts.pop().size
		u.next--
	}
	if u.parts.len() == 0 {
		u.bytes, u.head = u.bytes[:0], 0
	}
}

// again returns what nobody else will send again. stalled says that the peer has stopped reading: then what was confirmed lately is
// part of it.
func (u *unread) again(stalled bool) (batch []byte, n int) {
	at := u.head
	for i := range u.parts.len() {
		p := u.parts.at(i)
		if confirmed := i < u.next; confirmed && stalled || !confirmed && p.repeated {
			batch = append(batch, u.bytes[at:at+p.size]...)
			n += p.n
		}
		at += p.size
	}
	return batch, n
}

// receiveWindow is the window that the peer offers now (struct tcp_info, tcpi_snd_wnd, Linux 5.4); 0: unknown.
func (m *meter) receiveWindow() uint64 {
	window := uint64(0)
	_ = m.raw.Control(func(fd uintptr) { // without it the bounds above do
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			window = uint64(info.Snd_wnd)
		}
	})
	return window
}
