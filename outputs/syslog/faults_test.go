package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// sequences lists the bridge_seq of octet-counted frames; an incomplete last one is left out.
func sequences(text string) (seqs []int) {
	for text != "" {
		var n int
		if _, err := fmt.Sscanf(text, "%d ", &n); err != nil {
			return append(seqs, -1)
		}
		_, rest, _ := strings.Cut(text, " ")
		if len(rest) < n {
			return seqs
		}
		seqs, text = append(seqs, sequence(rest[:n])), rest[n:]
	}
	return seqs
}

// A peer that closed while the line was idle is noticed before the next write: nothing is lost and nothing fails.
func TestIdleCloseIsNoticedBeforeTheNextWrite(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprint("reset=", reset), func(t *testing.T) {
			t.Parallel()
			var got sink
			conns := make(chan net.Conn, 10)
			p := listen(t, "tcp", func(c net.Conn) { conns <- c; got.drain(c) })
			o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
			for i := range 5 {
				mustDeliver(t, o, records(1+i, 1))
				c := <-conns
				eventually(t, "it is read", func() bool { return len(sequences(got.text())) == i+1 })
				if reset {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close() // loopback: the FIN or RST is there when Close returns
				want := outputs.StateIdle
				if reset {
					want = outputs.StateDown
				}
				eventually(t, "the status says so", func() bool { return o.Status().State == want })
			}
			if seqs := sequences(got.text()); !slices.Equal(seqs, upTo(5)) {
				t.Errorf("arrived: %v", seqs)
			}
		})
	}
}

// The same without waiting until the reader has seen it.
func TestCloseJustBeforeTheNextWrite(t *testing.T) {
	t.Parallel()
	var got sink
	conns := make(chan net.Conn, 100)
	p := listen(t, "tcp", func(c net.Conn) { conns <- c; got.drain(c) })
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
	for i := range 50 {
		mustDeliver(t, o, records(1+i, 1))
		eventually(t, "it is read", func() bool { return len(sequences(got.text())) == i+1 })
		_ = (<-conns).Close()
	}
	if seqs := sequences(got.text()); !slices.Equal(seqs, upTo(50)) {
		t.Errorf("arrived: %v", seqs)
	}
}

// A peer that closes or resets while it has not read everything: what it acknowledged and didn't read is lost to it,
// what it did not acknowledge must be reported.
func TestResetInMidRecord(t *testing.T) {
	t.Parallel()
	var got sink
	var n atomic.Int32
	p := listen(t, "tcp", func(c net.Conn) {
		if n.Add(1) > 1 {
			got.drain(c)
			return
		}
		var some [100]byte // less than a record
		_, _ = io.ReadFull(c, some[:])
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
	f := &fate{}
	o.Send(t.Context(), records(1, 2000), f.done()) // more than the socket buffers take at once
	o.Send(t.Context(), records(2001, 2000), f.done())
	want := 0
	for i, err := range f.wait(t) {
		if err != nil {
			mustDeliver(t, o, records(1+i*2000, 2000))
			want += 2000
		}
	}
	if want == 0 {
		t.Error("both batches were confirmed by a peer that had read 100 bytes")
	}
	eventually(t, "what failed arrives", func() bool { return len(sequences(got.text())) >= want })
}

// A peer that stops reading is left after ack_timeout, however much is written to it.
func TestPeerThatNeverReads(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	p := listen(t, "tcp", func(net.Conn) { <-block })
	t.Cleanup(func() { close(block) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nack_timeout = \"300ms\"\nmax_message_bytes = \"64KiB\"", p.Addr()))
	batch := records(1, 250) // 15 MB: more than both kernels' buffers
	for i := range batch {
		big := *batch[i].Signal
		big.Description = strings.Repeat("x", 60<<10)
		batch[i].Signal = &big
	}
	if err := deliver(t, o, batch); !errors.Is(err, errAckTimeout) && !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("%v", err)
	}
}

// TestReceiverStopsAtARecord: a receiver that stops reading at a record which is too long for it has taken records into its socket's buffer
// that it never reads, although its kernel has acknowledged them. They are sent again, and the error names the usual cause.
func TestReceiverStopsAtARecord(t *testing.T) {
	t.Parallel()
	const sent = 400
	var got sink
	var limit atomic.Int64
	limit.Store(2000)
	p := listen(t, "tcp", func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		in := bufio.NewReader(c)
		for {
			var n int64
			if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
				return
			}
			if n > limit.Load() {
				for limit.Load() == 2000 { // it reads no more, and doesn't close either
					time.Sleep(time.Millisecond)
				}
				return
			}
			frame := make([]byte, n)
			if _, err := io.ReadFull(in, frame); err != nil {
				return
			}
			got.mu.Lock()
			fmt.Fprintf(&got.buf, "%d %s", n, frame)
			got.mu.Unlock()
		}
	})
	book := &logBook{}
	o, _, err := build(book, fmt.Sprintf("addresses = [\"tcp://%s\"]\nack_timeout = \"500ms\"\nreset_grace = \"0s\"", p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close(t.Context()) })
	stalled := false
	for seq := 1; seq <= sent; seq += 8 {
		batch := records(seq, 8)
		if seq == 9 {
			long := *batch[4].Signal
			long.Description = strings.Repeat("x", 4000)
			batch[4].Signal = &long
		}
		for err := deliver(t, o, batch); err != nil; err = deliver(t, o, batch) {
			if !stalled && (!errors.Is(err, errAckTimeout) || !strings.Contains(err.Error(), "max_message_bytes")) {
				t.Fatalf("record %d: %v", seq, err)
			}
			stalled = true
			limit.Store(8 << 10) // the operator has seen why
		}
	}
	if !stalled {
		t.Fatal("the receiver's buffer took everything")
	}
	missing := func() (missing []int) {
		there := map[int]bool{}
		for _, seq := range sequences(got.text()) {
			there[seq] = true
		}
		for seq := 1; seq <= sent; seq++ {
			if !there[seq] {
				missing = append(missing, seq)
			}
		}
		return missing
	}
	for end := time.Now().Add(patience); len(missing()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("delivered and never received: %v\n%s", missing(), book)
		}
	}
	if !strings.Contains(book.String(), "is sent again") {
		t.Errorf("the log doesn't say so:\n%s", book)
	}
}

// What the peer's kernel took is confirmed while the peer's process reads slowly.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	var got sink
	p := listen(t, "tcp", func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		buf := make([]byte, 8<<10)
		for {
			time.Sleep(time.Millisecond) // that is what a slow reader does
			n, err := c.Read(buf)
			got.mu.Lock()
			got.buf.Write(buf[:n])
			got.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
	f := &fate{}
	for i := range 20 {
		o.Send(t.Context(), records(1+i*200, 200), f.done())
	}
	for i, err := range f.wait(t) {
		if err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	eventually(t, "all is read", func() bool { return len(sequences(got.text())) == 4000 })
}

func TestFailover(t *testing.T) {
	t.Parallel()
	var first, second sink
	addrA := port.HoldTCP(t) // nobody there
	b := listen(t, "tcp", second.drain)
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s", "tcp://%s"]`+"\nmax_connection_age = \"1s\"", addrA, b.Addr()))
	mustDeliver(t, o, records(1, 3))
	if s := o.Status(); s.Peer != "tcp://"+b.Addr().String() {
		t.Errorf("peer %s", s.Peer)
	}
	l, err := net.Listen("tcp", addrA)
	if err != nil {
		t.Fatal(err)
	}
	again := &peer{Listener: l}
	again.serve(first.drain)
	t.Cleanup(again.stop)
	o.retireAt = time.Now().Add(-time.Second) // its time has come
	mustDeliver(t, o, records(4, 3))
	if s := o.Status(); s.Peer != "tcp://"+addrA {
		t.Errorf("the preferred address is back, and yet the peer is %s", s.Peer)
	}
	eventually(t, "both got theirs", func() bool {
		return slices.Equal(sequences(second.text()), []int{1, 2, 3}) && slices.Equal(sequences(first.text()), []int{4, 5, 6})
	})
}

// An address that accepts connections and takes nothing must not keep the others from being tried.
func TestFailoverFromAPeerThatTakesNothing(t *testing.T) {
	t.Parallel()
	bad := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.name == "open" {
			s.accept(c)
			return
		}
		_ = s.Close()
	})
	good := listenRELP(t, nil)
	o := start(t, fmt.Sprintf(`addresses = ["relp://%s", "relp://%s"]`, bad.Addr(), good.Addr()))
	if err := deliver(t, o, records(1, 1)); err == nil {
		t.Error("the first peer took it")
	}
	mustDeliver(t, o, records(1, 1))
	if got := good.got(); !slices.Equal(got, []int{1}) {
		t.Errorf("arrived: %v", got)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	at := port.HoldTCP(t)
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s", "relp://%s", "unix:///nonexistent/log"]`, at, at))
	for range 2 {
		err := deliver(t, o, records(1, 1))
		var blocked *outputs.BlockedError
		if err == nil || errors.As(err, &blocked) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("%v", err)
		}
		for _, want := range []string{"tcp://" + at, "relp://" + at, "unix:///nonexistent/log", "connection refused"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	}
	if s := o.Status(); s.State != outputs.StateDown {
		t.Errorf("status %+v", s)
	}
}

func TestUDPNoticesThatNobodyListens(t *testing.T) {
	t.Parallel()
	at := port.RefuseUDP(t)
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // the test is over
	o := start(t, fmt.Sprintf(`addresses = ["udp://%s", "udp://%s"]`, at, other.LocalAddr()))
	if err := deliver(t, o, records(1, 3)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
	mustDeliver(t, o, records(1, 3)) // at the other address
	if o.Status().Peer != "udp://"+other.LocalAddr().String() {
		t.Errorf("status %+v", o.Status())
	}
}

func TestContextEndGivesUp(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	p := listen(t, "unix", func(net.Conn) { <-block }) // on a unix stream, "confirmed" means read
	t.Cleanup(func() { close(block) })
	o := start(t, fmt.Sprintf(`addresses = ["unix://%s"]`, p.Addr()))
	ctx, cancel := context.WithCancelCause(t.Context())
	f := &fate{}
	o.Send(ctx, records(1, 3), f.done())
	o.Send(ctx, records(4, 3), f.done())
	because := errors.New("the bridge stops")
	cancel(because)
	for i, err := range f.wait(t) {
		if !errors.Is(err, because) {
			t.Errorf("batch %d: %v", i, err)
		}
	}
}

func TestUnixStreamCountsWhatIsRead(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	var got sink
	p := listen(t, "unix", func(c net.Conn) { <-read; got.drain(c) })
	o := start(t, fmt.Sprintf("addresses = [\"unix://%s\"]\nreset_grace = \"0s\"", p.Addr()))
	var settled atomic.Bool
	finished := make(chan error, 1)
	o.Send(t.Context(), records(1, 3), func(err error) { settled.Store(true); finished <- err })
	time.Sleep(50 * time.Millisecond) // a mistake would show here; being late can't fail the test
	if settled.Load() {
		t.Error("confirmed before the peer has read it")
	}
	close(read)
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

// A connection that has reached its age is replaced without a failure and without disorder.
func TestMaxConnectionAge(t *testing.T) {
	t.Parallel()
	var got sink
	var conns atomic.Int32
	p := listen(t, "tcp", func(c net.Conn) { conns.Add(1); got.drain(c) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]", p.Addr()))
	f := &fate{}
	for i := range 10 {
		o.Send(t.Context(), records(1+i*10, 10), f.done())
		o.retireAt = time.Now().Add(-1)
	}
	for i, err := range f.wait(t) {
		if err != nil {
			t.Errorf("batch %d: %v", i, err)
		}
	}
	eventually(t, "all is read", func() bool { return len(sequences(got.text())) == 100 })
	if conns.Load() != 10 {
		t.Errorf("%d connections, want 10", conns.Load())
	}
}

// With TLS 1.3 the client is done before the server has judged its certificate. The records that it sends meanwhile
// are acknowledged by the server's kernel and must not count.
func TestTLSRefusalOfTheClientIsNoDelivery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set, other := testcert.NewSet(t, dir), testcert.NewSet(t, t.TempDir())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			pair, err := tls.LoadX509KeyPair(set.ServerCert, set.ServerKey)
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(set.Authority.PEM())
			config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MinVersion: version, MaxVersion: version,
				VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
					time.Sleep(100 * time.Millisecond) // a busy server: its kernel has acknowledged everything by now
					cert, err := x509.ParseCertificate(raw[0])
					if err == nil {
						_, err = cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
					}
					return err
				}}
			var got sink
			p := listen(t, "tcp", func(c net.Conn) { got.drain(tls.Server(c, config)) })
			table := func(s *testcert.Set) string {
				return fmt.Sprintf("addresses = [\"tls://%s\"]\nreset_grace = \"0s\"\nca_file = %q\ncert_file = %q\nkey_file = %q", p.Addr(), set.CAFile, s.ClientCert, s.ClientKey)
			}
			o := start(t, table(other))
			for range 3 {
				var blocked *outputs.BlockedError
				if err := deliver(t, o, records(1, 3)); !errors.As(err, &blocked) || !strings.Contains(err.Error(), "tls: ") {
					t.Errorf("with a certificate of another authority: %v", err)
				}
			}
			o = start(t, table(set))
			mustDeliver(t, o, records(1, 3))
			eventually(t, "all is read", func() bool { return slices.Equal(sequences(got.text()), upTo(3)) })
		})
	}
}

func TestTLSWrongPeerHoldsTheQueue(t *testing.T) {
	t.Parallel()
	set, other := testcert.NewSet(t, t.TempDir()), testcert.NewSet(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(set.ServerCert, set.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	p := listen(t, "tcp", func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).Handshake()
	})
	o := start(t, fmt.Sprintf("addresses = [\"tls://%s\"]\nca_file = %q", p.Addr(), other.CAFile))
	for range 2 { // and it goes on trying
		var blocked *outputs.BlockedError
		if err := deliver(t, o, records(1, 1)); !errors.As(err, &blocked) || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("%v", err)
		}
	}
}

func TestStatusWarnsOfThePeersCertificate(t *testing.T) {
	t.Parallel()
	set := testcert.NewSet(t, t.TempDir())
	short, err := set.Authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(50*time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := short.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	var got sink
	p := listen(t, "tcp", func(c net.Conn) {
		got.drain(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	})
	o := start(t, fmt.Sprintf("addresses = [\"tls://%s\"]\nca_file = %q", p.Addr(), set.CAFile))
	mustDeliver(t, o, records(1, 1))
	ending := o.Status().Certificates
	if len(ending) != 1 || !strings.Contains(ending[0].Text, "in 2 days") || ending[0].Where != "tls://"+p.Addr().String() {
		t.Errorf("certificates %q", ending)
	}
}
