package webhook

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conns knows every open connection and keeps their number within the limit.
//
// At the limit a newcomer gets the place of the connection that has waited longest among those of the address (IPv6
// /64) that holds the most, the newcomer counted in. So a flood from one address only ever pushes out its own, idle and
// slow connections of many addresses give way to fresh ones, and nobody who is quick is harmed. A connection
// whose request has been read is never closed for another; when there is no such place, the newcomer is closed.
type conns struct {
	limit   atomic.Int64
	now     func() time.Time
	log     *slog.Logger
	peers   atomic.Pointer[[]netip.Prefix] // who may connect; nil: everybody
	evicted atomic.Uint64
	refused atomic.Uint64
	foreign atomic.Uint64 // refused by peers
	silent  atomic.Uint64 // ended without a request that reached the handler

	mu      sync.Mutex
	open    map[*conn]struct{}
	byGroup map[netip.Addr]*group
	warned  time.Time
}

// group is the open connections of one address (IPv6 /64).
type group struct {
	addr netip.Addr
	open int
}

// conn is one connection, below TLS.
type conn struct {
	net.Conn
	set     *conns
	peer    client
	group   *group       // set while it is in conns
	working atomic.Int32 // requests whose body has been read and that are not answered yet
	since   atomic.Int64 // Unix nanoseconds, when it last began to wait for the client
	bodies  budget
	greeted atomic.Bool // a request has come
	closing sync.Once
}

func newConns(now func() time.Time, log *slog.Logger) *conns {
	return &conns{now: now, log: log, open: map[*conn]struct{}{}, byGroup: map[netip.Addr]*group{}}
}

// add takes c in, or returns nil after closing it.
func (s *conns) add(c net.Conn) *conn {
	peer := parsePeer(c.RemoteAddr().String())
	fresh := &conn{Conn: c, set: s, peer: peer}
	if peers := s.peers.Load(); peers != nil && !contains(*peers, peer.addr) && !fromHere(c, peer) {
		s.foreign.Add(1)
		_ = c.Close()
		return nil
	}
	now := s.now()
	fresh.since.Store(now.UnixNano())
	victim, ok := s.enter(fresh, now)
	if victim != nil {
		_ = victim.Close()
	}
	if !ok {
		_ = c.Close()
		return nil
	}
	return fresh
}

// fromHere reports whether the peer is this host.
func fromHere(c net.Conn, peer client) bool {
	return peer.addr.IsLoopback() || parsePeer(c.LocalAddr().String()).addr == peer.addr
}

// enter registers fresh, and names the connection that has to go for it. It reports false when fresh has to.
func (s *conns) enter(fresh *conn, now time.Time) (victim *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh.group = s.join(fresh.peer.group())
	if int64(len(s.open)) >= s.limit.Load() {
		s.warn(now)
		if victim = s.victim(fresh.group.open); victim == nil {
			s.leave(fresh.group)
			s.refused.Add(1)
			return nil, false
		}
		s.remove(victim)
		s.evicted.Add(1)
	}
	s.open[fresh] = struct{}{}
	return victim, true
}

// victim returns the connection that has waited longest of the group with the most, or nil when no group that can
// give one has at least atLeast.
func (s *conns) victim(atLeast int) *conn {
	var found *conn
	most, oldest := 0, int64(0)
	for c := range s.open {
		if c.group.open < max(atLeast, most) || c.working.Load() > 0 {
			continue
		}
		if since := c.since.Load(); c.group.open > most || since < oldest {
			found, most, oldest = c, c.group.open, since
		}
	}
	return found
}

// remove forgets c; the second time does nothing.
func (s *conns) remove(c *conn) {
	if _, ok := s.open[c]; ok {
		delete(s.open, c)
		s.leave(c.group)
	}
}

func (s *conns) join(addr netip.Addr) *group {
	g := s.byGroup[addr]
	if g == nil {
		g = &group{addr: addr}
		s.byGroup[addr] = g
	}
	g.open++
	return g
}

func (s *conns) leave(g *group) {
	if g.open--; g.open <= 0 {
		delete(s.byGroup, g.addr)
	}
}

// warn says at most once a minute that the limit is reached.
func (s *conns) warn(now time.Time) {
	if now.Sub(s.warned) < time.Minute {
		return
	}
	s.warned = now
	s.log.Warn("max_connections is reached: the longest waiting connections are closed for new ones", "max_connections", s.limit.Load())
}

// greetingTime is how long a connection that was accepted just before a shutdown may take to bring its first request.
const greetingTime = 2 * time.Second

// awaitGreetings waits until the first request of every fresh connection has come, or greetingTime has passed since it
// was accepted. net/http's Shutdown would close such a connection without an answer when its request comes.
func (s *conns) awaitGreetings(ctx context.Context) {
	for ctx.Err() == nil && s.anyFresh() {
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *conns) anyFresh() bool {
	oldest := s.now().Add(-greetingTime).UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if !c.greeted.Load() && c.since.Load() > oldest {
			return true
		}
	}
	return false
}

func (s *conns) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		if !c.greeted.Load() {
			c.set.silent.Add(1)
		}
		c.set.mu.Lock()
		c.set.remove(c)
		c.set.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

// enter marks a request as read: c is not closed for another one until leave.
func (c *conn) enter() {
	if c != nil {
		c.working.Add(1)
	}
}

func (c *conn) leave() {
	if c != nil {
		c.since.Store(c.set.now().UnixNano())
		c.working.Add(-1)
	}
}

// peerOr returns the connection's peer, or reads it from net/http's RemoteAddr when there is no Server.
func (c *conn) peerOr(remote string) client {
	if c != nil {
		return c.peer
	}
	return parsePeer(remote)
}

// listener admits what it accepts to conns.
type listener struct {
	net.Listener
	conns   *conns
	closing sync.Once
}

// Close implements net.Listener. Shutdown closes first and net/http once more.
func (l *listener) Close() (err error) {
	l.closing.Do(func() { err = l.Listener.Close() })
	return err
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.conns.add(c); admitted != nil {
			return admitted, nil
		}
	}
}

type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, nil without Server.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
