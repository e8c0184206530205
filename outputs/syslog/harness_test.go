package syslog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

const patience = 20 * time.Second // how long a test waits for what must come

// testEnv is what the bridge gives an output.
func testEnv(log *logBook) outputs.Env {
	return outputs.Env{Name: "siem", Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: time.Now,
		Version: "1.2.3", Hostname: "bridge"}
}

// logBook keeps what an output logs.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// build makes an output of the text of its table.
func build(log *logBook, table string, change ...func(*outputs.Env)) (*Output, []outputs.Warning, error) {
	env := testEnv(log)
	for _, c := range change {
		c(&env)
	}
	o, warnings, err := outputtest.Build(Kind(), env, table)
	if err != nil {
		return nil, warnings, err
	}
	return o.(*Output), warnings, nil
}

// start makes an output that the end of the test closes.
func start(t testing.TB, table string, change ...func(*outputs.Env)) *Output {
	t.Helper()
	log := &logBook{}
	o, _, err := build(log, table, change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = o.Close(ctx)
		if t.Failed() {
			t.Log("the output's log:\n" + log.String())
		}
	})
	return o
}

// record makes the record with that bridge_seq.
func record(seq int) outputs.Record {
	body := fmt.Sprintf(`{"event_type":"signal_created","version":"v1","timestamp":"2026-11-23T12:00:00Z","tenant_id":"t-1","data":{"signal_id":"sig-%d",`+
		`"signal_type":"sudo_root","severity":4,"description":"record %d","server_id":"s-1","server_name":"web-1","identity_id":"u-1",`+
		`"identity_name":"alice","environment":"prod","created_at":"2026-11-23T11:59:59Z"}}`, seq, seq)
	s, err := signal.Decode([]byte(body))
	if err != nil {
		panic(err)
	}
	return outputs.Record{BridgeID: "b-1", Seq: uint64(seq), Endpoint: "linuxguard", DeliveryID: fmt.Sprintf("d-%d", seq),
		ReceivedAt: time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC), Body: []byte(body), Signal: s}
}

// records makes n of them from first on.
func records(first, n int) []outputs.Record {
	batch := make([]outputs.Record, n)
	for i := range batch {
		batch[i] = record(first + i)
	}
	return batch
}

// fate is where a test's done calls end up.
type fate struct {
	mu    sync.Mutex
	err   []error
	calls []int
	order []int // in which the batches' done was called
	all   sync.WaitGroup
}

func (f *fate) done() func(error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.err)
	f.err, f.calls = append(f.err, nil), append(f.calls, 0)
	f.all.Add(1)
	return func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err[i] = err
		f.order = append(f.order, i)
		if f.calls[i]++; f.calls[i] == 1 {
			f.all.Done()
		}
	}
}

// wait returns every batch's error when all are done, each exactly once.
func (f *fate) wait(t testing.TB) []error {
	t.Helper()
	settled := make(chan struct{})
	go func() { f.all.Wait(); close(settled) }()
	select {
	case <-settled:
	case <-time.After(patience):
		t.Fatal("not every batch is done")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, n := range f.calls {
		if n != 1 {
			t.Errorf("done of batch %d was called %d times", i, n)
		}
	}
	return f.err
}

// deliver sends batch and waits for its fate.
func deliver(t testing.TB, o *Output, batch []outputs.Record) error {
	t.Helper()
	f := &fate{}
	o.Send(t.Context(), batch, f.done())
	return f.wait(t)[0]
}

// mustDeliver is deliver that must succeed.
func mustDeliver(t testing.TB, o *Output, batch []outputs.Record) {
	t.Helper()
	if err := deliver(t, o, batch); err != nil {
		t.Fatalf("delivery: %v", err)
	}
}

// deliverAsWorker sends a batch until it is delivered, as the worker does after a temporary failure: a daemon that has just started
// may refuse its first RELP session. Whatever arrives twice by that is found by whoever counts the records.
func deliverAsWorker(t testing.TB, o *Output, batch []outputs.Record) {
	t.Helper()
	eventually(t, "delivery", func() bool {
		err := deliver(t, o, batch)
		if err != nil {
			t.Logf("delivery, to be tried again: %v", err)
		}
		return err == nil
	})
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// peer is a listener that hands every connection to serve.
type peer struct {
	net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// listen starts a peer on network; for unix it makes up the path. A TCP port stays held after stop, until the test ends.
func listen(t testing.TB, network string, serve func(net.Conn)) *peer {
	t.Helper()
	var at string
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "log")
	} else {
		at = port.HoldTCP(t)
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: l}
	p.serve(serve)
	t.Cleanup(p.stop)
	return p
}

func (p *peer) serve(serve func(net.Conn)) {
	p.wg.Go(func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			p.wg.Go(func() {
				defer conn.Close() //nolint:errcheck // the test is over
				serve(conn)
			})
		}
	})
}

func (p *peer) stop() {
	_ = p.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// sink collects what peers receive.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) drain(conn net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		s.mu.Lock()
		s.buf.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// octetFrames cuts octet-counted frames.
func octetFrames(t testing.TB, text string) []string {
	t.Helper()
	var frames []string
	for text != "" {
		var n int
		if _, err := fmt.Sscanf(text, "%d ", &n); err != nil {
			t.Fatalf("no octet count at %.40q", text)
		}
		_, text, _ = strings.Cut(text, " ")
		if len(text) < n {
			t.Fatalf("frame of %d octets has %d", n, len(text))
		}
		frames = append(frames, text[:n])
		text = text[n:]
	}
	return frames
}
