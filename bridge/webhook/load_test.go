package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attack is a crowd of slow connections and a flood of forged requests, from loopback addresses of their own.
type attack struct {
	rig    *rig
	ctx    context.Context
	all    sync.WaitGroup
	slow   atomic.Int64 // slow connections open now
	forged atomic.Int64 // forged requests answered 401 or 429
	wrong  atomic.Int64 // forged requests answered anything else

	// hands bounds the connections that are being opened at a time. This process pays for both ends of a handshake: what
	// is more than the machine can do makes every delivery late, and shows nothing of the server.
	hands chan struct{}
}

// startAttack opens slow connections (idle after the handshake, slow in the header, slow in the body), each opened
// anew a second after the server has closed it, and floods with forgers clients.
func startAttack(ctx context.Context, rig *rig, slow, forgers int) *attack {
	a := &attack{rig: rig, ctx: ctx, hands: make(chan struct{}, 8)}
	for i := range slow {
		a.all.Go(func() { a.beSlow(i) })
	}
	for i := range forgers {
		a.all.Go(func() { a.forge(i) })
	}
	return a
}

func (a *attack) dialer(i int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%8))}, Timeout: 10 * time.Second}
}

func (a *attack) tls() *tls.Config {
	return &tls.Config{RootCAs: a.rig.ca.pool(), ServerName: "127.0.0.1"}
}

func (a *attack) beSlow(i int) {
	for a.ctx.Err() == nil {
		if conn, err := a.open(i); err == nil {
			a.slow.Add(1)
			a.hold(i, conn)
			a.slow.Add(-1)
		}
		a.pause(time.Second)
	}
}

// open connects, and shakes hands but for every fourth.
func (a *attack) open(i int) (net.Conn, error) {
	select {
	case a.hands <- struct{}{}:
		defer func() { <-a.hands }()
	case <-a.ctx.Done():
		return nil, a.ctx.Err()
	}
	conn, err := a.dialer(i).DialContext(a.ctx, "tcp", a.rig.addr())
	if err != nil || i%4 == 0 {
		return conn, err
	}
	secure := tls.Client(conn, a.tls())
	if err := secure.HandshakeContext(a.ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (a *attack) pause(d time.Duration) {
	select {
	case <-a.ctx.Done():
	case <-time.After(d):
	}
}

// hold keeps conn busy with as little as possible until the server closes it.
func (a *attack) hold(i int, conn net.Conn) {
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	defer raw.Close() //nolint:errcheck // on purpose without manners
	defer context.AfterFunc(a.ctx, func() { _ = raw.Close() })()
	switch i % 4 {
	case 2:
		_, _ = io.WriteString(conn, "POST "+testPath+" HTTP/1.1\r\nHost: bridge\r\nX-Slow: ")
	case 3:
		_, _ = io.WriteString(conn, "POST "+testPath+" HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
	}
	go func() {
		for i >= 2 && a.ctx.Err() == nil {
			a.pause(500 * time.Millisecond)
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}()
	_, _ = io.Copy(io.Discard, conn)
}

func (a *attack) forge(i int) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.tls(), DialContext: a.dialer(i).DialContext}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	body := payload("sig_forged", time.Now())
	for a.ctx.Err() == nil {
		r := delivery(a.rig.t, a.rig.url(), body)
		forge(r)
		resp, err := client.Do(r.WithContext(a.ctx))
		if err != nil {
			continue // the attacker's own address is crowded
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusTooManyRequests {
			a.forged.Add(1)
		} else {
			a.wrong.Add(1)
		}
	}
}

// deliver sends n signed deliveries from workers clients, with every tenth on a new connection, and returns how long
// each took. All of them must be answered 200: no delivery is tried again.
func deliver(tb testing.TB, rig *rig, n, workers int) []time.Duration {
	tb.Helper()
	took := make([]time.Duration, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		client := rig.client(true)
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if i%10 == 0 {
					client.CloseIdleConnections()
				}
				start := time.Now()
				status, answer := send(tb, client, delivery(tb, rig.url(), payload(fmt.Sprintf("sig_%d_%d", start.UnixNano(), i), start)))
				took[i] = time.Since(start)
				if status != http.StatusOK {
					tb.Errorf("a signed delivery was answered %d %s", status, answer)
				}
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

// memory is what the process holds, both ends of all connections included, in MiB.
func memory() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse+m.StackInuse) / (1 << 20)
}

// quietRig has time for slow clients: connections give way to others and not to deadlines, so that the attack is as strong
// on a slow machine, and no signed delivery that this machine is late with is cut off.
func quietRig(tb testing.TB, limit int) *rig {
	return newRig(tb, func(o *Options, s *ServerOptions) {
		s.HeaderTimeout, s.ReadTimeout = 5*time.Minute, 5*time.Minute
		o.Log = slog.New(slog.DiscardHandler)
		o.FailureBurst, s.Log, s.MaxConnections = DefaultFailureBurst, o.Log, limit
	})
}

// TestUnderAttack: 2,000 slow connections against 1,024 places and a flood of forged requests, and every signed
// delivery is answered at the first try while memory stays bounded. The short form takes fewer deliveries.
func TestUnderAttack(t *testing.T) {
	deliveries := 300
	if os.Getenv("LINUXGUARD_LONG") != "" {
		deliveries = 20000
	}
	rig := quietRig(t, DefaultMaxConnections)
	ctx, cancel := context.WithCancel(t.Context())
	a := startAttack(ctx, rig, 2000, 4)
	eventually(t, "the places are taken", func() bool { return rig.server.Connections() == DefaultMaxConnections })
	took := deliver(t, rig, deliveries, 4)
	used, evicted := memory(), rig.server.conns.evicted.Load()
	cancel()
	a.all.Wait()
	t.Logf("p50 %v, p99 %v, %.0f MiB, %d forged requests refused, %d connections gave way",
		took[len(took)/2], took[len(took)*99/100], used, a.forged.Load(), evicted)
	if n := len(rig.queue.taken()); n != deliveries {
		t.Errorf("%d events in the queue, want %d", n, deliveries)
	}
	if a.forged.Load() == 0 || a.wrong.Load() > 0 || evicted == 0 {
		t.Errorf("the attack was none: %d forged requests refused, %d answered otherwise, %d connections gave way", a.forged.Load(), a.wrong.Load(), evicted)
	}
	if used > 512 {
		t.Errorf("%.0f MiB in use", used)
	}
}

// BenchmarkUnderAttack states what signed deliveries take under the same attack, and the memory of both ends.
func BenchmarkUnderAttack(b *testing.B) {
	for _, limit := range []int{DefaultMaxConnections, 4096} {
		b.Run(fmt.Sprintf("max_connections=%d", limit), func(b *testing.B) {
			rig := quietRig(b, limit)
			ctx, cancel := context.WithCancel(b.Context())
			a := startAttack(ctx, rig, 2000, 4)
			eventually(b, "the places are taken", func() bool { return rig.server.Connections() >= min(limit, 2000) })
			b.ResetTimer()
			took := deliver(b, rig, b.N, 4)
			b.StopTimer()
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(memory(), "MiB")
			cancel()
			a.all.Wait()
		})
	}
}
