package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conns knows every open connection and keeps the places that they take within the limit: one each, and with HTTP/2 one more for each
// request beside the first that is under way. So what an unverified client can hold does not depend on how it spreads over connections.
//
// At the limit a newcomer gets the place of the connection that has waited longest among those of the address (IPv6
// /64) that holds the most, the newcomer counted in. So a flood from one address only ever pushes out its own, idle and
// slow connections of many addresses give way to fresh ones, and nobody who is quick is harmed. A connection
// whose request has been read is never closed for another; when there is no such place, the newcomer is closed.
type conns struct {
	limit     atomic.Int64
	now       func() time.Time
	log       *slog.Logger
	peers     atomic.Pointer[[]netip.Prefix] // who may connect; nil: everybody
	evicted   atomic.Uint64
	refused   atomic.Uint64
	untrusted atomic.Uint64 // refused by peers
	noRequest atomic.Uint64 // ended without a request that reached the handler

	flooded atomic.Uint64 // closed for what they sent beside requests
	probes  probes

	mu      sync.Mutex
	open    map[*conn]struct{}
	places  int
	byGroup map[netip.Addr]*group
	warned  time.Time
}

// group is the places of one address (IPv6 /64).
type group struct {
	addr   netip.Addr
	places int
}

// conn is one connection, below TLS.
type conn struct {
	net.Conn
	set        *conns
	peer       client
	group      *group       // set while it is in conns
	working    atomic.Int32 // requests whose body has been read and that are not answered yet
	since      atomic.Int64 // Unix nanoseconds, when it last began to wait for the client
	bodies     budget
	sawRequest atomic.Bool // a request has come
	closing    sync.Once

	requests int // under way; guarded by set.mu

	http2    atomic.Bool  // offered by the client, and so agreed upon
	overhead atomic.Int64 // octets received over HTTP/2 since the last verified request, less those of bodies
}

// maxOverhead is how much an HTTP/2 connection may receive beside bodies until it has a verified request: what the windows let in before it
// is read, and the headers of some hundred usual requests. A flood of frames that cost the server more than the client, of whatever kind,
// ends there.
const maxOverhead = http2ConnBuffer + 64<<10

// errFlood ends a connection.
var errFlood = errors.New("too much was received without a verified request")

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.http2.Load() && c.overhead.Add(int64(n)) > maxOverhead {
		c.set.flooded.Add(1)
		_ = c.Close()
		return 0, errFlood
	}
	return n, err
}

// took notes n octets of a body, which are no overhead.
func (c *conn) took(n int) {
	if c != nil && c.http2.Load() {
		c.overhead.Add(-int64(n))
	}
}

// verified notes a verified request.
func (c *conn) verified() {
	if c != nil {
		c.overhead.Store(0)
	}
}

func newConns(now func() time.Time, log *slog.Logger) *conns {
	return &conns{now: now, log: log, open: map[*conn]struct{}{}, byGroup: map[netip.Addr]*group{}}
}

// add takes c in, or returns nil after closing it.
func (s *conns) add(c net.Conn) *conn {
	peer := parsePeer(c.RemoteAddr().String())
	fresh := &conn{Conn: c, set: s, peer: peer}
	if peers := s.peers.Load(); peers != nil && !contains(*peers, peer.addr) && !fromHere(c, peer) {
		s.untrusted.Add(1)
		_ = c.Close()
		return nil
	}
	now := s.now()
	fresh.since.Store(now.UnixNano())
	victim, ok := s.register(fresh, now)
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

// register registers fresh, and names the connection that has to go for it. It reports false when fresh has to.
func (s *conns) register(fresh *conn, now time.Time) (victim *conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh.group = s.take(fresh.peer.group())
	if victim, ok = s.makeRoom(fresh, now); !ok {
		s.release(fresh.group, 1)
		return nil, false
	}
	s.open[fresh] = struct{}{}
	return victim, true
}

// makeRoom has somebody go when c, whose newest place is counted, has one too many. ok false: nobody can, so c can't have it.
func (s *conns) makeRoom(c *conn, now time.Time) (victim *conn, ok bool) {
	if int64(s.places) <= s.limit.Load() {
		return nil, true
	}
	s.warn(now)
	if victim = s.evictee(c); victim == nil {
		s.refused.Add(1)
		return nil, false
	}
	s.remove(victim)
	s.evicted.Add(1)
	return victim, true
}

// begin notes that a request of c's has begun, and reports false when there is no place for it.
func (s *conns) begin(c *conn) bool {
	s.mu.Lock()
	_, there := s.open[c]
	if c.requests++; !there || c.requests == 1 {
		s.mu.Unlock()
		return true
	}
	s.places++
	c.group.places++
	victim, ok := s.makeRoom(c, s.now())
	s.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	return ok
}

// end notes that a request of c's is answered.
func (s *conns) end(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.open[c]; there && c.requests > 1 {
		s.release(c.group, 1)
	}
	c.requests--
	c.since.Store(s.now().UnixNano())
}

// sweepEvery is how often sweep looks.
const sweepEvery = 5 * time.Second

// sweep closes connections that have had no request under way for idle, until ctx ends.
func (s *conns) sweep(ctx context.Context, idle time.Duration) {
	tick := time.NewTicker(min(sweepEvery, idle))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range s.idleSince(s.now().Add(-idle)) {
			_ = c.Close()
		}
	}
}

func (s *conns) idleSince(then time.Time) (idle []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.requests == 0 && c.since.Load() <= then.UnixNano() {
			idle = append(idle, c)
		}
	}
	return idle
}

// evictee returns the connection that has waited longest of the group with the most, or nil when no group that can
// give one has at least as many as that of the one who needs it.
func (s *conns) evictee(needs *conn) *conn {
	var found *conn
	most, oldest := 0, int64(0)
	for c := range s.open {
		if c == needs || c.group.places < max(needs.group.places, most) || c.working.Load() > 0 {
			continue
		}
		if since := c.since.Load(); c.group.places > most || since < oldest {
			found, most, oldest = c, c.group.places, since
		}
	}
	return found
}

// remove forgets c; the second time does nothing.
func (s *conns) remove(c *conn) {
	if _, ok := s.open[c]; ok {
		delete(s.open, c)
		s.release(c.group, max(1, c.requests))
	}
}

func (s *conns) take(addr netip.Addr) *group {
	g := s.byGroup[addr]
	if g == nil {
		g = &group{addr: addr}
		s.byGroup[addr] = g
	}
	s.places++
	g.places++
	return g
}

func (s *conns) release(g *group, places int) {
	s.places -= places
	if g.places -= places; g.places <= 0 {
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

// firstRequestTimeout is how long a connection that was accepted just before a shutdown may take to bring its first request.
const firstRequestTimeout = 2 * time.Second

// awaitFirstRequests waits until the first request of every fresh connection has come, or firstRequestTimeout has passed since it
// was accepted. net/http's Shutdown would close such a connection without an answer when its request comes.
func (s *conns) awaitFirstRequests(ctx context.Context) {
	for ctx.Err() == nil && s.anyFresh() {
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *conns) anyFresh() bool {
	oldest := s.now().Add(-firstRequestTimeout).UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if !c.sawRequest.Load() && c.since.Load() > oldest {
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
		if !c.sawRequest.Load() {
			c.set.noRequest.Add(1)
		}
		c.set.mu.Lock()
		c.set.remove(c)
		c.set.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

// beginRequest marks a request as read: c is not closed for another one until endRequest.
func (c *conn) beginRequest() {
	if c != nil {
		c.working.Add(1)
	}
}

func (c *conn) endRequest() {
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
		if l.conns.probes.accepted(c) {
			_ = c.Close()
			continue
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
