package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// world is a network in memory, for tests on fake time: each host is an HTTP server behind net.Pipe.
type world struct {
	t     *testing.T
	mu    sync.Mutex
	hosts map[string]*host
	wg    sync.WaitGroup
}

type host struct {
	down      bool // connections are refused
	blackHole bool // connecting takes for ever
	dials     []time.Time
	listener  *pipeListener
	server    *http.Server
	raw       func(net.Conn) // instead of server
	conns     []net.Conn
}

// inWorld runs f on fake time. The hosts and the outputs of the world end with it, also when it fails: a goroutine that is
// left in the bubble panics the whole test binary and hides why.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, hosts: map[string]*host{}}
		t.Cleanup(w.end)
		f(t, w)
	})
}

// add makes a host, such as "splunk-1:8088", served by h.
func (w *world) add(name string, h http.Handler) *host {
	l := &pipeListener{accept: make(chan net.Conn), closed: make(chan struct{})}
	host := &host{listener: l, server: &http.Server{Handler: h, ErrorLog: quiet()}}
	w.hosts[name] = host
	w.wg.Go(func() { _ = host.server.Serve(l) })
	return host
}

// addRaw makes a host that does f with every connection.
func (w *world) addRaw(name string, f func(net.Conn)) *host {
	host := &host{raw: f}
	w.hosts[name] = host
	return host
}

func (w *world) end() {
	w.mu.Lock()
	for _, h := range w.hosts {
		if h.server != nil {
			_ = h.server.Close()
		}
		for _, c := range h.conns {
			_ = c.Close()
		}
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// cut breaks every connection to name.
func (w *world) cut(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.hosts[name].conns {
		_ = c.Close()
	}
	w.hosts[name].conns = nil
}

func (w *world) set(name string, change func(*host)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.hosts[name])
}

func (w *world) dials(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.hosts[name].dials)
}

func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	h := w.hosts[address]
	if h == nil {
		w.mu.Unlock()
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	h.dials = append(h.dials, time.Now())
	down, hole := h.down, h.blackHole
	w.mu.Unlock()
	switch {
	case hole:
		select {
		case <-time.After(10 * time.Second):
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: timeoutError{}}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case down:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	}
	client, server := net.Pipe()
	w.mu.Lock()
	h.conns = append(h.conns, server)
	w.mu.Unlock()
	if h.raw != nil {
		w.wg.Go(func() { h.raw(server) })
		return client, nil
	}
	select {
	case h.listener.accept <- server:
		return client, nil
	case <-h.listener.closed:
		return nil, net.ErrClosed
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

type pipeListener struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// output makes an output in w. It is closed when the test ends; a test may close it before.
func (w *world) output(table string, urls ...string) (*Output, *outputtest.Log) {
	w.t.Helper()
	out, log := buildOutput(w.t, table, urls...)
	out.dial = w.dial
	out.proxy = nil
	w.t.Cleanup(func() { closeOutput(w.t, out) })
	return out, log
}

func closeOutput(t *testing.T, out *Output) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = out.Close(ctx)
}

// fate is what became of one batch.
type fate struct {
	mu    sync.Mutex
	err   error
	calls int
	at    time.Time
	done  chan struct{}
}

func sendBatch(ctx context.Context, out *Output, batch []outputs.Record) *fate {
	f := &fate{done: make(chan struct{})}
	out.Send(ctx, batch, func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls++
		if f.calls == 1 {
			f.err, f.at = err, time.Now()
			close(f.done)
		}
	})
	return f
}

// send hands batch over and returns its fate.
func send(t *testing.T, out *Output, batch []outputs.Record) error {
	t.Helper()
	f := sendBatch(context.Background(), out, batch)
	select {
	case <-f.done:
	case <-time.After(time.Hour):
		t.Fatal("done was not called within an hour")
	}
	return f.err
}

// kindOf names an error as bridge/forward sees it.
func kindOf(err error) string {
	var partial *outputs.PartialError
	var blocked *outputs.BlockedError
	var retry *outputs.RetryError
	switch {
	case err == nil:
		return "delivered"
	case errors.As(err, &partial) && len(partial.Rejected) > 0:
		text := "refused"
		for _, r := range partial.Rejected {
			text += fmt.Sprintf(" %d", r.Index)
		}
		if partial.Rest != nil {
			text += ", rest " + kindOf(partial.Rest)
		}
		return text
	case errors.As(err, &blocked):
		return "blocked"
	case errors.As(err, &retry):
		return strings.TrimSuffix("retry "+retry.After.String(), " 0s")
	default:
		return "retry"
	}
}

// counts returns how often each bridge_seq occurs.
func counts(seqs []uint64) map[uint64]int {
	n := map[uint64]int{}
	for _, s := range seqs {
		n[s]++
	}
	return n
}

// checkAll fails when one of the records 1..n is missing in seqs, or occurs more than most times; except are exempt.
func checkAll(t *testing.T, seqs []uint64, n int, most int, except ...uint64) {
	t.Helper()
	got := counts(seqs)
	for seq := uint64(1); seq <= uint64(n); seq++ {
		exempt := false
		for _, e := range except {
			exempt = exempt || e == seq
		}
		switch {
		case exempt && got[seq] > 0:
			t.Errorf("record %d was indexed", seq)
		case !exempt && got[seq] == 0:
			t.Errorf("record %d is lost", seq)
		case got[seq] > most:
			t.Errorf("record %d was indexed %d times, at most %d are allowed", seq, got[seq], most)
		}
	}
}
