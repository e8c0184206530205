package outputtest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
)

// TCPFault is how a TCP server treats its connections.
type TCPFault int

// The faults.
const (
	TCPGood  TCPFault = iota // reads everything
	TCPStall                 // accepts and never reads
	TCPReset                 // reads a little, then resets the connection
	TCPClose                 // reads a little, then closes in good order
)

// TCP is a server on loopback that collects what it reads, and can be told to behave badly. It ends with the test.
type TCP struct {
	Addr string // host:port, the same across Stop and Start

	t       testing.TB
	mu      sync.Mutex
	ln      net.Listener
	fault   TCPFault
	after   int // bytes read before TCPReset and TCPClose act
	conns   map[net.Conn]bool
	count   int
	data    []*bytes.Buffer // one a connection, in order of arrival
	serving sync.WaitGroup
}

// NewTCP starts a good one.
func NewTCP(t testing.TB) *TCP {
	t.Helper()
	s := &TCP{t: t, Addr: port.HoldTCP(t), conns: map[net.Conn]bool{}}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start listens, on the same address again after Stop.
func (s *TCP) Start() {
	s.t.Helper()
	ln, err := net.Listen("tcp", s.Addr) //nolint:noctx // a test's listener ends with Stop
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ln = ln
	s.serving.Go(func() { s.accept(ln) })
}

// Stop closes the listener and resets every connection, as the kernel does for a killed process with unread data.
func (s *TCP) Stop() {
	s.mu.Lock()
	if s.ln != nil {
		_ = s.ln.Close()
		s.ln = nil
	}
	for c := range s.conns {
		reset(c)
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// Fault makes connections behave as fault says, those that are open after their next read; after is the number of bytes
// that TCPReset and TCPClose read before they act.
func (s *TCP) Fault(fault TCPFault, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.after = fault, after
}

// Connections returns how many connections there were.
func (s *TCP) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Data returns what was read so far, one slice a connection.
func (s *TCP) Data() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := make([][]byte, len(s.data))
	for i, b := range s.data {
		data[i] = bytes.Clone(b.Bytes())
	}
	return data
}

func (s *TCP) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		buf := &bytes.Buffer{}
		s.mu.Lock()
		s.count++
		s.conns[c] = true
		s.data = append(s.data, buf)
		stopped := s.ln != ln
		s.mu.Unlock()
		if stopped {
			reset(c)
		}
		s.serving.Go(func() { s.serve(c, buf) })
	}
}

func (s *TCP) serve(c net.Conn, into *bytes.Buffer) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close()
	}()
	chunk := make([]byte, 4096)
	for s.stalls(c) {
		n, err := c.Read(chunk)
		s.mu.Lock()
		into.Write(chunk[:n])
		fault, full := s.fault, into.Len() >= s.after
		s.mu.Unlock()
		switch {
		case err != nil:
			return
		case fault == TCPReset && full:
			reset(c)
			return
		case fault == TCPClose && full:
			return
		}
	}
}

// stalls waits while the fault is TCPStall. It returns false when c was closed meanwhile.
func (s *TCP) stalls(c net.Conn) bool {
	for {
		s.mu.Lock()
		stalled, open := s.fault == TCPStall, s.conns[c] && s.ln != nil
		s.mu.Unlock()
		if !stalled {
			return true
		}
		if !open {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// reset closes c so that the peer gets RST instead of FIN.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
