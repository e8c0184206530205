package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// maxUnverified is what senders without a secret may make the daemon hold, at the defaults and with http2 = true.
const maxUnverified = 128 << 20

// attack is one way to wear the receiver out, over many connections at once. run has one of them until ctx ends, or until the daemon
// closes it; then it is called again.
type attack struct {
	name  string
	conns int
	http2 bool
	flood bool // the daemon must end the connections
	run   func(ctx context.Context, c *attacker) error
}

// attacks: what the issue trackers of HTTP servers are full of. Each connection of the slow ones holds as much as it can.
func attacks() []attack {
	header := func(size int) string { return "X-Filler: " + strings.Repeat("x", size) + "\r\n" }
	start := "POST " + bridgetest.EndpointPath + " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
	return []attack{
		{name: "silent connections", conns: 1500, run: func(ctx context.Context, c *attacker) error { return c.hold(ctx) }},
		{name: "slow headers", conns: 1500, run: func(ctx context.Context, c *attacker) error {
			return c.drip(ctx, start+header(11<<10), header(20))
		}},
		{name: "slow bodies", conns: 1500, run: func(ctx context.Context, c *attacker) error {
			return c.drip(ctx, start+header(11<<10)+"Content-Length: 1000000\r\n\r\n"+strings.Repeat("x", 60<<10), "x")
		}},
		{name: "large bodies", conns: 600, run: func(ctx context.Context, c *attacker) error {
			return c.drip(ctx, start+"Content-Length: 1000000\r\n\r\n"+strings.Repeat("x", 900<<10), "x")
		}},
		{name: "wrong signatures", conns: 60, run: func(ctx context.Context, c *attacker) error {
			forged := start + "LinuxGuard-Signature: sha256=" + strings.Repeat("0", 64) + "\r\nContent-Length: 2\r\n\r\n{}"
			go func() { _, _ = io.Copy(io.Discard, c.conn) }()
			return c.repeat(ctx, []byte(forged))
		}},
		{name: "streams with large headers", conns: 400, http2: true, run: func(ctx context.Context, c *attacker) error { return c.streams(ctx, 64, 15_000) }},
		{name: "streams", conns: 400, http2: true, run: func(ctx context.Context, c *attacker) error { return c.streams(ctx, 8, 7_000) }},
		{name: "rapid reset", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			for id := uint32(1); ctx.Err() == nil; id += 2 {
				c.headers(id, false, 100)
				if err := errors.Join(c.framer.WriteRSTStream(id, http2.ErrCodeCancel), c.flush()); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "pings", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			return c.flood(ctx, func() { _ = c.framer.WritePing(false, [8]byte{1}) })
		}},
		{name: "settings", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			return c.flood(ctx, func() { _ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}) })
		}},
		{name: "continuations", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(100)})
			return c.flood(ctx, func() { _ = c.framer.WriteContinuation(1, false, nil) })
		}},
		{name: "compressed headers", conns: 100, http2: true, flood: true, run: hpackBombs},
		{name: "window updates", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			return c.flood(ctx, func() { _ = c.framer.WriteWindowUpdate(0, 1) })
		}},
		{name: "empty data", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			c.headers(1, false, 100)
			return c.flood(ctx, func() { _ = c.framer.WriteData(1, false, nil) })
		}},
		{name: "priorities", conns: 100, http2: true, flood: true, run: func(ctx context.Context, c *attacker) error {
			return c.flood(ctx, func() { _ = c.framer.WritePriority(3, http2.PriorityParam{StreamDep: 1}) })
		}},
	}
}

// attacker is one connection.
type attacker struct {
	conn   net.Conn
	out    bytes.Buffer
	framer *http2.Framer
	fields bytes.Buffer
	enc    *hpack.Encoder
	sent   *atomic.Int64
}

// hold keeps the connection until either side gives up.
func (c *attacker) hold(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	_, err := io.Copy(io.Discard, c.conn)
	return err
}

// drip sends first, and then a little now and then.
func (c *attacker) drip(ctx context.Context, first, more string) error {
	if _, err := io.WriteString(c.conn, first); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- c.hold(ctx) }()
	for tick := time.NewTicker(time.Second); ; {
		select {
		case err := <-gone:
			return err
		case <-tick.C:
			if _, err := io.WriteString(c.conn, more); err != nil {
				return err
			}
		}
	}
}

// repeat sends b over and over.
func (c *attacker) repeat(ctx context.Context, b []byte) error {
	for ctx.Err() == nil {
		if _, err := c.conn.Write(b); err != nil {
			return err
		}
		c.sent.Add(1)
	}
	return nil
}

// flush sends the frames that were written.
func (c *attacker) flush() error {
	defer c.out.Reset()
	c.sent.Add(1)
	_, err := c.conn.Write(c.out.Bytes())
	return err
}

// flood sends what frame writes, by the hundred. Whatever the daemon answers is read, so that nothing waits for that.
func (c *attacker) flood(ctx context.Context, frame func()) error {
	go func() { _ = c.hold(ctx) }()
	for ctx.Err() == nil {
		for range 100 {
			frame()
		}
		c.sent.Add(99)
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

// block encodes a request's header with a field of size octets that is in no table.
func (c *attacker) block(size int) []byte {
	c.fields.Reset()
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "bridge"}, {Name: ":path", Value: bridgetest.EndpointPath},
		{Name: "content-type", Value: "application/json"}, {Name: "x-filler", Value: strings.Repeat("~", size), Sensitive: true},
	} {
		_ = c.enc.WriteField(f)
	}
	return bytes.Clone(c.fields.Bytes())
}

func (c *attacker) headers(stream uint32, end bool, size int) {
	block := c.block(size)
	first := block[:min(len(block), 16<<10)]
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block)})
	if rest := block[len(first):]; len(rest) > 0 {
		_ = c.framer.WriteContinuation(stream, true, rest)
	}
}

// streams opens n, each with a header of size octets and one octet of a body.
func (c *attacker) streams(ctx context.Context, n uint32, size int) error {
	for id := uint32(1); id < 2*n; id += 2 {
		c.headers(id, false, size)
		_ = c.framer.WriteData(id, false, []byte("x"))
		if err := c.flush(); err != nil {
			return err
		}
	}
	return c.hold(ctx)
}

// hpackBombs names one large field of the dynamic table a thousand times, by an octet each.
func hpackBombs(ctx context.Context, c *attacker) error {
	go func() { _ = c.hold(ctx) }()
	for id := uint32(1); ctx.Err() == nil; id += 2 {
		c.fields.Reset()
		_ = c.enc.WriteField(hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("b", 3900)})
		block := append(bytes.Clone(c.fields.Bytes()), bytes.Repeat([]byte{0xbe}, 1000)...)
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

// siege is one attack under way.
type siege struct {
	attack
	address string
	tls     *tls.Config
	hands   chan struct{} // bounds the handshakes under way: this process pays for both ends

	opened, ended, sent atomic.Int64 // connections, those that the daemon ended, frames or requests
}

// attackFrom has connection i attack until ctx ends, from an address of its own.
func (s *siege) attackFrom(ctx context.Context, i int) {
	for ctx.Err() == nil {
		conn, err := s.dial(ctx, i)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.opened.Add(1)
		c := &attacker{conn: conn, sent: &s.sent}
		c.framer, c.enc = http2.NewFramer(&c.out, nil), hpack.NewEncoder(&c.fields)
		c.framer.AllowIllegalWrites = true
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if s.http2 {
			c.out.WriteString(http2.ClientPreface)
			_ = c.framer.WriteSettings()
			err = c.flush()
		}
		if err == nil {
			_ = s.run(ctx, c) // the daemon has ended it, or the attack is over
		}
		stop()
		_ = conn.Close()
		if ctx.Err() == nil {
			s.ended.Add(1)
		}
	}
}

func (s *siege) dial(ctx context.Context, i int) (net.Conn, error) {
	s.hands <- struct{}{}
	defer func() { <-s.hands }()
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(1+i/250), byte(1+i%250))}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}, Config: s.tls}
	return dialer.DialContext(ctx, "tcp", s.address)
}

// goodSender posts signed signals, each over a new connection, and notes what came of it.
type goodSender struct {
	latencies []time.Duration
	failed    []string
}

func (g *goodSender) run(ctx context.Context, b *bridgetest.Bridge, client *sender.Client, attack string) {
	for n, tick := 0, time.NewTicker(50*time.Millisecond); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		answer, err := client.Post(context.WithoutCancel(ctx), b.Signer().Deliver(body(func(e *sender.Envelope) { e.Data.SignalID = fmt.Sprint(attack, n) })))
		client.Close() // LinuxGuard's next webhook may come over a new connection
		switch {
		case err != nil:
			g.failed = append(g.failed, err.Error())
		case !answer.OK():
			g.failed = append(g.failed, fmt.Sprint(answer))
		default:
			g.latencies = append(g.latencies, time.Since(began))
		}
	}
}

// rssAnon is how much memory of its own a process holds now.
func rssAnon(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// TestAttacks: whatever senders without a secret do, the daemon holds a bounded amount of memory for them, and who has the secret is
// answered 200 all the while.
func TestAttacks(t *testing.T) {
	for _, server := range []string{"", "http2 = true"} {
		b := bridgetest.Start(t, bridgetest.Options{Server: server, NoRace: true,
			Outputs: "[output.archive]\ntype = \"file\"\npath = \"" + t.TempDir() + "/archive.ndjson\"\n"})
		idle := rssAnon(t, b.PID())
		for _, a := range attacks() {
			if a.http2 != (server != "") {
				continue
			}
			t.Run(a.name, func(t *testing.T) { underAttack(t, b, a, idle) })
		}
	}
}

func underAttack(t *testing.T, b *bridgetest.Bridge, a attack, idle int64) {
	duration := time.Second
	if os.Getenv(queuetest.LongVariable) != "" {
		duration = 30 * time.Second
	}
	client := b.Client(sender.ClientOptions{HTTP1: true, Timeout: 30 * time.Second})
	s := &siege{attack: a, address: b.Address(), hands: make(chan struct{}, 8), tls: &tls.Config{RootCAs: b.TLS.Authority.Pool(), ServerName: "localhost"}}
	if a.http2 {
		s.tls.NextProtos = []string{"h2"}
	}
	ctx, cancel := context.WithTimeout(t.Context(), arrive)
	defer cancel()
	enough := time.Now().Add(duration)
	var all sync.WaitGroup
	for i := range a.conns {
		all.Go(func() { s.attackFrom(ctx, i) })
	}
	good := &goodSender{}
	all.Go(func() { good.run(ctx, b, client, a.name) })
	peak := idle
	// On a crowded machine a flood may take longer to reach what ends its connection.
	for ctx.Err() == nil && (time.Now().Before(enough) || a.flood && s.ended.Load() == 0) {
		peak = max(peak, rssAnon(t, b.PID()))
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	all.Wait()
	slices.Sort(good.latencies)
	n := len(good.latencies)
	if n == 0 || len(good.failed) > 0 {
		t.Fatalf("of a good sender's posts %d were answered 200, and these were not: %.1000q", n, good.failed)
	}
	t.Logf("%s: %d connections, %d ended, %d frames or requests; the daemon held %d MiB more than when it was idle; a good sender: %d of %d, p50 %v, p99 %v",
		a.name, s.opened.Load(), s.ended.Load(), s.sent.Load(), (peak-idle)>>20, n, n,
		good.latencies[n/2].Round(time.Millisecond), good.latencies[n*99/100].Round(time.Millisecond))
	if a.flood && s.ended.Load() == 0 {
		t.Error("no connection was ended")
	}
	if held := peak - idle; held > maxUnverified {
		t.Errorf("the daemon held %d MiB for senders without a secret, more than %d", held>>20, maxUnverified>>20)
	}
}
