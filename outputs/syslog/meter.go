package syslog

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// writeChunk bounds one write, so that the count of written bytes moves on while a slow peer takes a large batch, and
// the memory that TLS records are gathered in.
const writeChunk = 256 << 10

// meter is a socket that knows how many bytes went in and how many of them the peer has acknowledged. Under TLS it
// sits below the encryption, where bytes are what the kernel counts, and gathers the 16 KiB records of one batch into
// few writes.
type meter struct {
	net.Conn
	raw     syscall.RawConn
	owner   func() error  // asked right before each write: see outputs.Env.CheckOwner
	written atomic.Uint64 // bytes that the kernel took

	mu       sync.Mutex // guards what follows, and keeps writes in order
	corked   bool
	gathered []byte
}

func newMeter(conn net.Conn, owner func() error) (*meter, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no socket", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &meter{Conn: conn, raw: raw, owner: owner}, nil
}

// Write implements net.Conn.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.corked {
		return m.writeAll(p)
	}
	m.gathered = append(m.gathered, p...)
	if len(m.gathered) >= writeChunk {
		return len(p), m.flush()
	}
	return len(p), nil
}

// writeBatch writes p through conn, which is m or the TLS connection on top of it, with as few system calls as it
// takes: crypto/tls would make one for every 16 KiB record.
func (m *meter) writeBatch(conn net.Conn, p []byte) error {
	if conn == net.Conn(m) {
		_, err := m.Write(p)
		return err
	}
	m.cork()
	_, err := conn.Write(p)
	return errors.Join(err, m.uncork())
}

// cork gathers what is written from now on, until uncork.
func (m *meter) cork() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.corked = true
}

// uncork writes what was gathered, before anything else can be written.
func (m *meter) uncork() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.corked = false
	return m.flush()
}

func (m *meter) flush() error {
	_, err := m.writeAll(m.gathered)
	m.gathered = m.gathered[:0]
	return err
}

func (m *meter) writeAll(p []byte) (written int, err error) {
	for len(p) > 0 {
		if err := m.owner(); err != nil {
			return written, err
		}
		n, err := m.Conn.Write(p[:min(len(p), writeChunk)])
		m.written.Add(uint64(n)) //nolint:gosec // never negative
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// health is what the kernel knows of a connection.
type health struct {
	acknowledged uint64 // bytes that the peer's kernel (unix: the peer's process) has taken, at least
	closed       bool   // the peer has closed its side: nothing more should be written
	reset        bool   // nothing is known of the bytes that were not acknowledged before
}

// errNotCounted is for sockets without a send queue.
var errNotCounted = errors.New("the kernel doesn't count this socket's unacknowledged bytes")

// health asks the kernel. The order matters: a byte written in between makes the result too small, never too large,
// and a reset is looked for after the count.
//
// SIOCOUTQ is write_seq - snd_una (linux/sockios.h: "not sent + not acked"; tcp(7) says less). For a unix stream it is
// the memory, with overhead, of what the peer has not read: zero when all is read, and else too large, which is safe.
func (m *meter) health() (health, error) {
	var h health
	var failure error
	written := m.written.Load()
	err := m.raw.Control(func(fd uintptr) {
		queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil {
			failure = fmt.Errorf("%w: %w", errNotCounted, err)
			return
		}
		if q := uint64(queued); q < written { //nolint:gosec // the kernel never returns a negative count
			h.acknowledged = written - q
		}
		h.closed, h.reset, failure = hangUp(int(fd))
	})
	return h, errors.Join(err, failure)
}

// peerGone reports whether the peer has closed or reset the connection, without waiting for the reader to notice.
func (m *meter) peerGone() bool {
	closed, reset := false, false
	err := m.raw.Control(func(fd uintptr) { closed, reset, _ = hangUp(int(fd)) })
	return err != nil || closed || reset
}

func hangUp(fd int) (closed, reset bool, err error) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor fits
	for {
		_, err = unix.Poll(fds[:], 0)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	events := fds[0].Revents
	return events&unix.POLLRDHUP != 0, events&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0, err
}

// pendingError returns and clears the socket's error: for a connected datagram socket the ICMP message that came
// back for something sent before.
func pendingError(raw syscall.RawConn) error {
	var code int
	var failure error
	err := raw.Control(func(fd uintptr) {
		code, failure = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	})
	if err = errors.Join(err, failure); err != nil {
		return err
	}
	if code != 0 {
		return syscall.Errno(code)
	}
	return nil
}

// dialer makes connections that notice a silent peer: keepalive when idle, TCP_USER_TIMEOUT when something is
// unacknowledged, also against a closed window (tcp(7)).
func (s *Settings) dialer() *net.Dialer {
	timeout := int(s.AckTimeout / time.Millisecond)
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: s.Keepalive, Interval: max(s.Keepalive/3, time.Second), Count: 3},
		Control: func(network, _ string, raw syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			var failure error
			err := raw.Control(func(fd uintptr) {
				failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, timeout)
			})
			return errors.Join(err, failure)
		},
	}
}
