package syslog

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/time/rate"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// datagramBatch is how many datagrams one sendmmsg(2) takes, and the largest burst. So many of 2 KiB, with what the kernel counts
// beside them, fit into a receive buffer of Linux's default size (net.core.rmem_default, 208 KiB).
const datagramBatch = 32

// datagram is a connected UDP (RFC 5426) or unix datagram socket: one message a datagram, without any framing. Nothing
// confirms them; a record counts as delivered when the kernel took it. It has no goroutine.
type datagram struct {
	addr    address
	conn    net.Conn
	meter   *meter
	batcher *ipv4.PacketConn // nil for unix sockets: sendmmsg(2) for UDP, of either family
	encoder encoder
	counts  *counters
	timeout time.Duration
	pace    *rate.Limiter // of UDP datagrams

	messages []ipv4.Message
	ends     []int

	mu  sync.Mutex
	err error
}

func newDatagram(c *dialed, e encoder, timeout time.Duration, counts *counters, pace *rate.Limiter) *datagram {
	d := &datagram{addr: c.addr, conn: c.meter.Conn, meter: c.meter, encoder: e, counts: counts, timeout: timeout, pace: pace}
	if udp, ok := d.conn.(*net.UDPConn); ok {
		d.batcher = ipv4.NewPacketConn(udp)
		d.messages = make([]ipv4.Message, datagramBatch)
		for i := range d.messages {
			d.messages[i].Buffers = make([][]byte, 1)
		}
	}
	return d
}

// send implements link. Everything happens before it returns.
func (d *datagram) send(ctx context.Context, batch []outputs.Record, buf *[]byte, done func(error)) bool {
	if err := pendingError(d.meter.raw); err != nil {
		// About a datagram that counted as delivered already: all that can be done is to say so, and to look for the
		// collector anew.
		d.fail(err)
		return false
	}
	d.encode(batch, buf)
	stop := context.AfterFunc(ctx, func() { _ = d.conn.SetWriteDeadline(time.Unix(1, 0)) })
	rejected, err := d.write(ctx, *buf)
	stop()
	if err == nil {
		err = pendingError(d.meter.raw) // on a local network the ICMP message is often back already
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		d.fail(err)
		done(&lostError{addr: d.addr, err: err})
		return true
	}
	d.counts.wrote(len(batch)-len(rejected), len(*buf))
	if len(rejected) > 0 {
		done(&outputs.PartialError{Rejected: rejected})
		return true
	}
	done(nil)
	return true
}

// encode puts the messages one after the other into buf, and their ends into d.ends.
func (d *datagram) encode(batch []outputs.Record, buf *[]byte) {
	*buf, d.ends = (*buf)[:0], d.ends[:0]
	for i := range batch {
		*buf, _ = d.encoder.Append(*buf, &batch[i])
		d.ends = append(d.ends, len(*buf))
	}
}

// write sends every message. What is too large for the socket is refused: it would never fit.
func (d *datagram) write(ctx context.Context, buf []byte) (rejected []outputs.Rejection, err error) {
	for i := 0; i < len(d.ends); {
		n, err := d.writeSome(ctx, buf, i)
		i += n
		switch {
		case errors.Is(err, syscall.EMSGSIZE):
			rejected = append(rejected, outputs.Rejection{Index: i, Err: &addressError{d.addr,
				errors.New("the message is too large for a datagram here: lower max_message_bytes")}})
			i++
		case err != nil:
			return rejected, err
		}
	}
	return rejected, nil
}

// writeSome sends messages from the one at index first on and returns how many the kernel took.
func (d *datagram) writeSome(ctx context.Context, buf []byte, first int) (int, error) {
	n := min(len(d.ends)-first, max(1, len(d.messages)))
	if d.batcher != nil {
		if err := d.pace.WaitN(ctx, n); err != nil {
			return 0, err
		}
	}
	if ctx.Err() == nil {
		_ = d.conn.SetWriteDeadline(time.Now().Add(d.timeout))
	}
	if err := d.meter.owner(); err != nil {
		return 0, err
	}
	if d.batcher == nil {
		if _, err := d.conn.Write(d.message(buf, first)); err != nil {
			return 0, err
		}
		return 1, nil
	}
	for j := range n {
		d.messages[j].Buffers[0] = d.message(buf, first+j)
	}
	n, err := d.batcher.WriteBatch(d.messages[:n], 0)
	return max(n, 0), err
}

func (d *datagram) message(buf []byte, i int) []byte {
	start := 0
	if i > 0 {
		start = d.ends[i-1]
	}
	return buf[start:d.ends[i]]
}

// fail ends the socket: the next one is connected anew, after a new look-up of the name.
func (d *datagram) fail(err error) {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		d.counts.icmp.Inc()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		_ = d.conn.Close()
	}
}

func (d *datagram) usable() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err == nil
}

// state implements link.
func (d *datagram) state() outputs.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return endState(d.err, 1)
}

// outcome implements link. A datagram socket proves nothing by what it took before the collector went away: an
// unreachable one must lead to the next address.
func (d *datagram) outcome() (proven bool, err error) { return false, &addressError{d.addr, d.err} }

func (d *datagram) drain(context.Context) {}

func (d *datagram) shutdown(context.Context) error {
	d.fail(errClosed)
	return nil
}

func (d *datagram) level() outputs.Level { return outputs.Written }

func (*datagram) expired() bool { return false }
