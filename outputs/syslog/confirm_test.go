package syslog

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// narrow starts a TCP peer with the smallest receive buffer, which takes a few KiB before its window closes.
func narrow(t *testing.T, serve func(net.Conn)) *peer {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2048) })
	}}
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: l}
	p.serve(serve)
	t.Cleanup(p.stop)
	return p
}

// A write that the local kernel took is no delivery as long as the peer's has not acknowledged its last byte.
func TestWrittenIsNotDelivered(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	var got sink
	p := narrow(t, func(c net.Conn) { <-read; got.drain(c) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nreset_grace = \"0s\"", p.Addr()))
	var settled atomic.Bool
	finished := make(chan error, 1)
	o.Send(t.Context(), records(1, 100), func(err error) { settled.Store(true); finished <- err }) // 60 KB, taken at once
	time.Sleep(100 * time.Millisecond)                                                             // a mistake would show here; being late can't fail the test
	if settled.Load() {
		t.Error("confirmed while most of it is in the send queue")
	}
	close(read)
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

// What was acknowledged and then reset within the grace is sent again: the peer's process may not have read it.
func TestResetWithinTheGraceIsNoDelivery(t *testing.T) {
	t.Parallel()
	p := listen(t, "tcp", func(c net.Conn) {
		var one [1]byte
		_, _ = io.ReadFull(c, one[:])
		time.Sleep(100 * time.Millisecond) // everything is acknowledged by now
		// Closing with unread bytes sends a reset.
	})
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nreset_grace = \"10s\"", p.Addr()))
	if err := deliver(t, o, records(1, 10)); err == nil {
		t.Error("confirmed although the peer died with it unread")
	}
}

// An orderly end within the grace is a delivery: a peer that had bytes unread would have sent a reset.
func TestOrderlyEndConfirms(t *testing.T) {
	t.Parallel()
	frames := &octetCounted{encoder: start(t, `addresses = ["tcp://127.0.0.1"]`).renderer}
	size := len(frames.appendBatch(nil, records(1, 10)))
	p := listen(t, "tcp", func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, int64(size)) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nreset_grace = \"20s\"", p.Addr()))
	mustDeliver(t, o, records(1, 10))
}

// Close waits for the grace of what is in flight.
func TestCloseWaitsForConfirmation(t *testing.T) {
	t.Parallel()
	var got sink
	p := listen(t, "tcp", got.drain)
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
	f := &fate{}
	o.Send(t.Context(), records(1, 10), f.done())
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := f.wait(t)[0]; err != nil {
		t.Error(err)
	}
}
