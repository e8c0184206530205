package syslog

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const okOpen = "200 OK\nrelp_version=0\nrelp_software=test,1\ncommands=syslog"

// relpPeer is a RELP server for tests, written apart from the client: it holds the client to the letter of the
// protocol and does what a script says.
type relpPeer struct {
	*peer
	t      testing.TB
	handle func(*relpSession, relpCommand)

	mu       sync.Mutex
	sessions int
	messages []string // all that came, of all sessions, in order
	problems []string
}

// relpCommand is one command as received.
type relpCommand struct {
	txnr int
	name string
	data string
}

// relpSession is one connection.
type relpSession struct {
	net.Conn
	peer *relpPeer
	n    int // which connection of the peer's life, from 1
	next int // the transaction number that must come
}

// listenRELP starts a server. handle gets every command; nil answers everything with 200.
func listenRELP(t testing.TB, handle func(*relpSession, relpCommand)) *relpPeer {
	t.Helper()
	p := &relpPeer{t: t, handle: handle}
	if handle == nil {
		p.handle = (*relpSession).accept
	}
	p.peer = listen(t, "tcp", p.session)
	t.Cleanup(func() {
		p.stop()
		for _, text := range p.problems {
			t.Error(text)
		}
	})
	return p
}

func (p *relpPeer) table(more ...string) string {
	return fmt.Sprintf("addresses = [\"relp://%s\"]\n%s", p.Addr(), strings.Join(more, "\n"))
}

func (p *relpPeer) session(conn net.Conn) {
	p.mu.Lock()
	p.sessions++
	s := &relpSession{Conn: conn, peer: p, n: p.sessions, next: 1}
	p.mu.Unlock()
	r := bufio.NewReader(conn)
	for {
		c, err := s.read(r)
		if err != nil {
			return
		}
		p.handle(s, c)
	}
}

// read takes one frame and complains of what librelp would not take.
func (s *relpSession) read(r *bufio.Reader) (relpCommand, error) {
	var c relpCommand
	txnr, err := r.ReadString(' ')
	if err != nil {
		return c, err
	}
	name, err := r.ReadString(' ')
	if err != nil {
		return c, err
	}
	var digits []byte
	var end byte
	for {
		if end, err = r.ReadByte(); err != nil {
			return c, err
		}
		if end < '0' || end > '9' {
			break
		}
		digits = append(digits, end)
	}
	n, _ := strconv.Atoi(string(digits))
	data := make([]byte, n)
	if n > 0 {
		if _, err := io.ReadFull(r, data); err != nil {
			return c, err
		}
		last, err := r.ReadByte()
		if err != nil {
			return c, err
		}
		if end != ' ' || last != '\n' {
			s.complain("frame %s%s%d: separator %q, trailer %q", txnr, name, n, end, last)
		}
	} else if end != '\n' {
		s.complain("frame %s%s0: trailer %q", txnr, name, end)
	}
	c = relpCommand{name: strings.TrimSuffix(name, " "), data: string(data)}
	c.txnr, _ = strconv.Atoi(strings.TrimSuffix(txnr, " "))
	if c.txnr != s.next || strconv.Itoa(c.txnr)+" " != txnr {
		s.complain("transaction %q, want %d", txnr, s.next)
	}
	s.next++
	if (c.txnr == 1) != (c.name == "open") {
		s.complain("%q as transaction %d", c.name, c.txnr)
	}
	if c.name == "syslog" {
		s.peer.mu.Lock()
		s.peer.messages = append(s.peer.messages, c.data)
		s.peer.mu.Unlock()
	}
	return c, nil
}

func (s *relpSession) complain(format string, args ...any) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.problems = append(s.peer.problems, fmt.Sprintf(format, args...))
}

// accept answers as librelp does.
func (s *relpSession) accept(c relpCommand) {
	switch c.name {
	case "open":
		s.rsp(c.txnr, okOpen)
	case "close":
		s.write(fmt.Sprintf("%d rsp 0\n", c.txnr))
		_ = s.Close()
	default:
		s.rsp(c.txnr, "200 OK")
	}
}

func (s *relpSession) rsp(txnr int, data string) {
	s.write(fmt.Sprintf("%d rsp %d %s\n", txnr, len(data), data))
}

func (s *relpSession) write(text string) {
	_ = s.SetWriteDeadline(time.Now().Add(patience))
	_, _ = s.Write([]byte(text))
}

// got lists the bridge_seq of the messages received.
func (p *relpPeer) got() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var seqs []int
	for _, m := range p.messages {
		seqs = append(seqs, sequence(m))
	}
	return seqs
}

// sequence reads a message's bridge_seq.
func sequence(message string) int {
	_, rest, _ := strings.Cut(message, `bridge_seq="`)
	digits, _, _ := strings.Cut(rest, `"`)
	n, _ := strconv.Atoi(digits)
	return n
}
