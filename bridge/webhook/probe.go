package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	p.mu.Lock()
	defer p.mu.Unlock()
	source := sourceOf(c.RemoteAddr())
	accepted, ok := p.waiting[source]
	if ok {
		delete(p.waiting, source)
		close(accepted)
	}
	return ok
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

// sourceOf is where a connection comes from, the same for both of its ends.
func sourceOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
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

// probeOne tries the addresses at which this host reaches a listener, one after the other.
func (s *Server) probeOne(ctx context.Context, addr net.Addr) (err error) {
	for _, to := range reachable(addr) {
		if err = s.probeAt(ctx, to); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// errNoPort is no sign of a listener's health: every port of this host is in use.
var errNoPort = errors.New("there is no free port to connect from")

func (s *Server) probeAt(ctx context.Context, to net.Addr) error {
	var source string
	var accepted <-chan struct{}
	forget := func() { s.conns.probes.forget(source) }
	defer func() { forget() }()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		forget() // net tries some failures again
		if source, err = bindTo(c, to); err == nil {
			accepted = s.conns.probes.expect(source)
		}
		return err
	}}
	c, err := dialer.DialContext(ctx, to.Network(), to.String())
	if errors.Is(err, errNoPort) {
		return nil
	}
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

// bindTo binds a socket to the address that it will connect to, at a port that the kernel chooses: from there the
// kernel would choose another one of this host's for some. A unix socket gets a name (unix(7), autobind).
func bindTo(c syscall.RawConn, to net.Addr) (source string, err error) {
	var failed error
	err = c.Control(func(fd uintptr) { source, failed = bindSocket(int(fd), to) })
	return source, errors.Join(err, failed)
}

func bindSocket(fd int, to net.Addr) (source string, err error) {
	err = unix.Bind(fd, sockaddr(to))
	if errors.Is(err, unix.EADDRINUSE) {
		return "", errNoPort
	}
	if err != nil {
		return "", fmt.Errorf("bind: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("getsockname: %w", err)
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		return sourceOf(&net.TCPAddr{IP: bound.Addr[:], Port: bound.Port}), nil
	case *unix.SockaddrInet6:
		zone, _ := to.(*net.TCPAddr)
		return sourceOf(&net.TCPAddr{IP: bound.Addr[:], Port: bound.Port, Zone: zone.Zone}), nil
	case *unix.SockaddrUnix:
		return bound.Name, nil
	}
	return "", fmt.Errorf("bound to %T", bound)
}

// sockaddr is an address of this host, at any port.
func sockaddr(addr net.Addr) unix.Sockaddr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return &unix.SockaddrUnix{}
	}
	if ip := tcp.IP.To4(); ip != nil {
		return &unix.SockaddrInet4{Addr: [4]byte(ip)}
	}
	to := &unix.SockaddrInet6{Addr: [16]byte(tcp.IP.To16())}
	if link, err := net.InterfaceByName(tcp.Zone); err == nil {
		to.ZoneId = uint32(link.Index) //nolint:gosec // never negative
	}
	return to
}

// reachable are the addresses at which this host may reach a listener: that of all interfaces by loopback, where a host
// without IPv6 has one of IPv4 alone.
func reachable(addr net.Addr) []net.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case ok && tcp.IP.To4() == nil && tcp.IP.IsLinkLocalUnicast() && tcp.Zone == "":
		return nil // net doesn't tell the zone of such a listener, and without it nobody can connect
	case !ok || !tcp.IP.IsUnspecified():
		return []net.Addr{addr}
	}
	v4 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	if tcp.IP.To4() != nil {
		return []net.Addr{v4}
	}
	return []net.Addr{&net.TCPAddr{IP: net.IPv6loopback, Port: tcp.Port}, v4}
}
