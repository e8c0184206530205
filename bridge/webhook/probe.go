package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// probes are the server's connections to itself, by which the watchdog sees that every listener accepts. A listener
// tells one by its source, which is bound and noted before it connects, and closes it at once: it takes nobody's place
// and is counted and logged nowhere.
type probes struct {
	mu      sync.Mutex
	waiting map[string]chan struct{} // by source; closed when the listener has accepted it
}

// accepted reports whether c is a probe.
func (p *probes) accepted(c net.Conn) bool {
	source := sourceOf(c.RemoteAddr())
	p.mu.Lock()
	defer p.mu.Unlock()
	accepted, ok := p.waiting[source]
	if !ok || !fromHere(c, parsePeer(c.RemoteAddr().String())) {
		return false
	}
	delete(p.waiting, source)
	close(accepted)
	return true
}

func (p *probes) expect(source string) (accepted <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[string]chan struct{}{}
	}
	c := make(chan struct{})
	p.waiting[source] = c
	return c
}

func (p *probes) forget(source string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, source)
}

// sourceOf is what tells a connection of this host from its others: the port, or the name of a unix socket.
func sourceOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return strconv.Itoa(tcp.Port)
	}
	return addr.String()
}

// Probe connects to every listener and reports the first that does not accept before ctx ends.
func (s *Server) Probe(ctx context.Context) error {
	for _, addr := range s.Addrs() {
		if err := s.probeOne(ctx, addr); err != nil {
			return fmt.Errorf("no answer on %s: %w", addr, err)
		}
	}
	return nil
}

func (s *Server) probeOne(ctx context.Context, addr net.Addr) error {
	var source string
	var accepted <-chan struct{}
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if source, err = bindSource(c); err == nil {
			accepted = s.conns.probes.expect(source)
		}
		return err
	}}
	c, err := dialer.DialContext(ctx, addr.Network(), reachable(addr))
	defer func() { s.conns.probes.forget(source) }()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	select {
	case <-accepted:
		return nil
	case <-ctx.Done():
		return errors.New("the connection is not accepted")
	}
}

// bindSource has the kernel choose where a connection will come from (unix(7): autobind).
func bindSource(c syscall.RawConn) (source string, err error) {
	var failed error
	err = c.Control(func(fd uintptr) {
		source, failed = bindAny(int(fd))
	})
	return source, errors.Join(err, failed)
}

func bindAny(fd int) (source string, err error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return "", err
	}
	var any unix.Sockaddr = &unix.SockaddrUnix{}
	switch domain {
	case unix.AF_INET:
		any = &unix.SockaddrInet4{}
	case unix.AF_INET6:
		any = &unix.SockaddrInet6{}
	}
	if err := unix.Bind(fd, any); err != nil {
		return "", fmt.Errorf("bind: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		return strconv.Itoa(bound.Port), nil
	case *unix.SockaddrInet6:
		return strconv.Itoa(bound.Port), nil
	case *unix.SockaddrUnix:
		return bound.Name, nil
	}
	return "", fmt.Errorf("getsockname: %w", err)
}

// reachable is the address at which this host reaches a listener: that of all interfaces by loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	loopback := *tcp
	loopback.IP = net.IPv6loopback
	if tcp.IP.To4() != nil {
		loopback.IP = net.IPv4(127, 0, 0, 1)
	}
	return loopback.String()
}
