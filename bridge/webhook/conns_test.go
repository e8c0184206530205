package webhook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

// fakeConn is a connection from any address.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }

func (c *fakeConn) RemoteAddr() net.Addr { return textAddr(c.from) }
func (c *fakeConn) LocalAddr() net.Addr  { return textAddr("192.0.2.80:8080") }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

type crowd struct {
	t     *testing.T
	set   *conns
	clock *fakeClock
}

func newCrowd(t *testing.T, limit int64) *crowd {
	c := &crowd{t: t, clock: newFakeClock()}
	c.set = newConns(c.clock.Now, slog.New(slog.DiscardHandler))
	c.set.limit.Store(limit)
	return c
}

// connect opens a connection a moment later than the one before.
func (c *crowd) connect(from string) (*fakeConn, *conn) {
	c.clock.Advance(time.Millisecond)
	raw := &fakeConn{from: from + ":1"}
	return raw, c.set.add(raw)
}

// TestCrowdedByOneAddress: an address that takes every place gives them up for others, the longest waiting first, and
// never gets more by asking again.
func TestCrowdedByOneAddress(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 10)
	var flood []*fakeConn
	for range 10 {
		raw, _ := c.connect("192.0.2.1")
		flood = append(flood, raw)
	}
	var others []*fakeConn
	for i := range 5 {
		raw, admitted := c.connect(fmt.Sprintf("198.51.100.%d", i))
		if admitted == nil || !flood[i].closed || flood[i+1].closed {
			t.Fatalf("newcomer %d did not get the place of the longest waiting connection of the flood", i)
		}
		others = append(others, raw)
	}
	for range 100 {
		c.connect("192.0.2.1")
	}
	for i, other := range others {
		if other.closed {
			t.Errorf("the flood pushed out %d", i)
		}
	}
	if n := c.set.len(); n != 10 {
		t.Errorf("%d connections are open, want 10", n)
	}
}

// TestWorkingConnectionsStay: a request that has been read is answered, whoever comes.
func TestWorkingConnectionsStay(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 3)
	var raws []*fakeConn
	var working []*conn
	for range 3 {
		raw, admitted := c.connect("192.0.2.1")
		admitted.beginRequest()
		raws, working = append(raws, raw), append(working, admitted)
	}
	raw, admitted := c.connect("198.51.100.1")
	if admitted != nil || !raw.closed || c.set.refused.Load() != 1 {
		t.Error("a newcomer was let in though every connection is at work")
	}
	working[1].endRequest()
	if _, admitted = c.connect("198.51.100.1"); admitted == nil || !raws[1].closed || raws[0].closed || raws[2].closed {
		t.Error("the one that was answered should have given way")
	}
}

func TestCrowdBookkeeping(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100)
	var open []*conn
	for i := range 1000 {
		_, admitted := c.connect(fmt.Sprintf("[2001:db8:%x::%x]", i%7, i))
		if admitted != nil {
			open = append(open, admitted)
		}
	}
	for _, one := range open {
		_ = one.Close()
		_ = one.Close()
	}
	if len(c.set.open) != 0 || len(c.set.byGroup) != 0 {
		t.Errorf("left behind: %d connections, %v", len(c.set.open), c.set.byGroup)
	}
}

func TestPlaintextPeers(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 100)
	c.set.peers.Store(&[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for from, want := range map[string]bool{"10.1.2.3": true, "127.0.0.1": true, "[::1]": true, "203.0.113.9": false, "[2001:db8::1]": false, "@": true, "192.0.2.80": true} {
		raw, admitted := c.connect(from)
		if (admitted != nil) != want || raw.closed == want {
			t.Errorf("%s: admitted %v, want %v", from, admitted != nil, want)
		}
	}
}

// TestConnectionLimit opens more idle connections than there are places, from one address: each newcomer is served.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.MaxConnections = 20 })
	var idle []net.Conn
	for range 60 {
		conn, err := net.Dial("tcp", rig.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test is over
		idle = append(idle, conn)
	}
	status, _ := send(t, rig.client(true), delivery(t, rig.url(), payload("sig_1", time.Now())))
	if status != 200 {
		t.Errorf("a delivery among idle connections is answered %d", status)
	}
	if n := rig.server.Connections(); n > 20 {
		t.Errorf("%d connections are open, 20 are allowed", n)
	}
	_ = idle[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the longest waiting connection: %v", err)
	}
	mustContain(t, rig.log.String(), "max_connections is reached")
	if rig.server.conns.noRequest.Load() == 0 {
		t.Error("nobody counted the connections that never brought a request")
	}
}

// BenchmarkEviction is the price of one newcomer at the limit, with every connection of another address.
func BenchmarkEviction(b *testing.B) {
	set := newConns(time.Now, slog.New(slog.DiscardHandler))
	set.limit.Store(DefaultMaxConnections)
	for i := range DefaultMaxConnections {
		set.add(&fakeConn{from: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)})
	}
	for i := 0; b.Loop(); i++ {
		set.add(&fakeConn{from: fmt.Sprintf("10.%d.%d.%d:1", 1+i>>16&0x7f, i>>8&0xff, i&0xff)})
	}
}

// TestPlaces: with HTTP/2 each request beside a connection's first takes a place. Whoever has the most gives way, a connection with a
// verified request never, and every place is given back.
func TestPlaces(t *testing.T) {
	t.Parallel()
	set := newConns(time.Now, slog.New(slog.DiscardHandler))
	set.limit.Store(6)
	greedy, modest := set.add(&fakeConn{from: "10.0.0.1:1"}), set.add(&fakeConn{from: "10.0.0.2:1"})
	for range 5 { // the first request needs no place of its own
		if !set.begin(greedy) {
			t.Fatal("no place for a request within the limit")
		}
	}
	if set.places != 6 {
		t.Fatalf("%d places are taken", set.places)
	}
	for range 2 {
		if !set.begin(modest) {
			t.Fatal("no place although another client has most of them")
		}
	}
	if set.len() != 1 || set.places != 2 || set.evicted.Load() != 1 {
		t.Fatalf("%d connections with %d places are left", set.len(), set.places)
	}
	for range 5 { // of what is gone already
		set.end(greedy)
	}
	for range 4 {
		set.begin(modest)
	}
	if set.places != 6 {
		t.Fatalf("%d places are taken", set.places)
	}
	if set.begin(modest) {
		t.Error("a client has pushed itself out")
	}
	set.end(modest)
	modest.beginRequest() // a verified request
	if set.add(&fakeConn{from: "10.0.0.3:1"}) != nil {
		t.Error("a newcomer has taken the place of verified work")
	}
	modest.endRequest()
	for range 6 {
		set.end(modest)
	}
	if set.places != 1 {
		t.Errorf("%d places are taken by an idle connection", set.places)
	}
	_ = modest.Close()
	if set.places != 0 || len(set.byGroup) != 0 {
		t.Errorf("%d places and %d groups are left", set.places, len(set.byGroup))
	}
}

// TestIdleConnections: only connections without a request under way count as idle.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	set := newConns(func() time.Time { return now }, slog.New(slog.DiscardHandler))
	set.limit.Store(6)
	busy, idle := set.add(&fakeConn{from: "10.0.0.1:1"}), set.add(&fakeConn{from: "10.0.0.2:1"})
	set.begin(busy)
	now = now.Add(time.Minute)
	fresh := set.add(&fakeConn{from: "10.0.0.3:1"})
	if got := set.idleSince(now.Add(-time.Minute)); len(got) != 1 || got[0] != idle {
		t.Errorf("%d connections are idle", len(got))
	}
	set.end(busy)
	if got := set.idleSince(now.Add(-time.Minute)); len(got) != 1 {
		t.Errorf("%d connections are idle when the request is answered", len(got))
	}
	_ = fresh
}
