package syslog

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// ownFor makes o its output's owner for so many looks.
func ownFor(o *Output, looks int64) {
	var left atomic.Int64
	left.Store(looks)
	env := outputs.Env{Valid: func() bool { return left.Add(-1) >= 0 }}
	o.connector.owner = env.CheckOwner
}

// A batch of several writes ends where the ownership does.
func TestOwnerLostBetweenTwoWrites(t *testing.T) {
	t.Parallel()
	var got sink
	ended := make(chan struct{})
	p := listen(t, "tcp", func(c net.Conn) { got.drain(c); close(ended) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nmax_message_bytes = 65536", p.Addr()))
	ownFor(o, 2)
	batch := records(1, 10)
	for i := range batch {
		batch[i].Signal.Description = strings.Repeat("x", 60<<10)
	}
	if err := deliver(t, o, batch); !errors.Is(err, outputs.ErrNotOwner) {
		t.Errorf("%v", err)
	}
	<-ended
	if n := len(got.text()); n != 2*writeChunk {
		t.Errorf("%d bytes arrived, want the %d of two writes", n, 2*writeChunk)
	}
}

func TestOwnerLostBetweenDatagrams(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	o := start(t, fmt.Sprintf("addresses = [\"udp://%s\"]", conn.LocalAddr()))
	ownFor(o, 1)
	if err := deliver(t, o, records(1, datagramBatch+10)); !errors.Is(err, outputs.ErrNotOwner) {
		t.Errorf("%v", err)
	}
	ownFor(o, 1)
	mustDeliver(t, o, records(1000, 1)) // the last to arrive
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	buf, n := make([]byte, 64<<10), 0
	for {
		size, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if sequence(string(buf[:size])) == 1000 {
			break
		}
		n++
	}
	if n != datagramBatch {
		t.Errorf("%d datagrams arrived, want the %d of one write", n, datagramBatch)
	}
}

// Whoever has lost the output says no RELP close either, and that is no failure.
func TestNotOwnerClosesWithoutGoodbye(t *testing.T) {
	t.Parallel()
	var closes atomic.Int32
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if c.name == "close" {
			closes.Add(1)
		}
		s.accept(c)
	})
	o := start(t, p.table())
	ownFor(o, 2) // open, one write
	mustDeliver(t, o, records(1, 3))
	l := o.link
	if err := o.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if l.usable() {
		t.Error("the connection is open")
	}
	p.stop()
	if closes.Load() != 0 {
		t.Error("a close command was sent")
	}
}
