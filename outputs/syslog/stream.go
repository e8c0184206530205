package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// stream is one TCP, TLS or unix stream connection. A batch is one write; it counts as delivered when the peer's
// kernel has acknowledged its last byte.
//
//	Send ─▶ encode ─▶ write ─▶ batches ──────────────┐
//	         keep: every 2..50 ms while any is open  ├▶ done(nil)
//	               written - SIOCOUTQ >= batch.end  ─┘
//	         read: discards; EOF or an error ends the connection ─▶ keep ─▶ done(error) for the rest, in order
type stream struct {
	addr   address
	conn   net.Conn // *tls.Conn or the meter itself
	meter  *meter
	frame  framer
	limit  time.Duration // ack_timeout
	counts *counters
	// trusted is closed when the peer is known to have accepted this side's certificate, nil when that goes without
	// saying. Nothing is confirmed before (see acceptance).
	trusted  <-chan struct{}
	acceptBy time.Time     // when trusted counts as given
	grace    time.Duration // reset_grace

	acknowledged uint64 // of the peer at the last look; keep's own

	writing sync.Mutex // held while a batch is written

	mu      sync.Mutex
	batches fifo[batchStatus]
	unread  *unread // nil for a unix stream, whose peer has read what is confirmed
	records int     // in flights
	err     error   // why the connection ended, first cause
	proven  bool    // something was confirmed
	lost    int     // records that were in flight at the end

	failed   chan struct{} // closed with err set
	wake     chan struct{} // a batch was written
	settled  chan struct{} // batches were confirmed
	readDone chan struct{}
	dead     chan struct{} // all batches are complete and both goroutines are at their end
}

func newStream(c *dialed, frame framer, settings *Settings, counts *counters) *stream {
	s := &stream{
		addr: c.addr, conn: c.conn, meter: c.meter, frame: frame, limit: settings.AckTimeout, grace: *settings.ResetGrace, counts: counts,
		trusted: c.trusted, acceptBy: c.at.Add(acceptanceGrace),
		failed: make(chan struct{}), wake: make(chan struct{}, 1), settled: make(chan struct{}, 1),
		readDone: make(chan struct{}), dead: make(chan struct{}),
	}
	if c.addr.scheme != "unix" {
		s.unread = &unread{}
	}
	go s.read()
	go s.keep()
	return s
}

// send encodes batch into buf and writes it. It reports false when the connection had ended before anything of batch was
// written: the batch is then not taken. Otherwise done is called once the fate is known.
func (s *stream) send(ctx context.Context, batch []outputs.Record, buf *[]byte, done func(error)) (taken bool) {
	if s.meter.peerGone() {
		<-s.dead // the reader is about to see why
		return false
	}
	*buf = s.frame.appendBatch((*buf)[:0], batch)
	return s.sendFramed(ctx, *buf, len(batch), false, done)
}

// sendAgain sends n records that were confirmed on another connection.
func (s *stream) sendAgain(ctx context.Context, framed []byte, n int) (taken bool) {
	return s.sendFramed(ctx, framed, n, true, func(error) {}) // again says what has become of them
}

func (s *stream) sendFramed(ctx context.Context, framed []byte, n int, repeated bool, done func(error)) (taken bool) {
	if !s.launch(ctx, framed, n, repeated, done) {
		return false
	}
	wakeUp(s.wake) // a write that blocks must be timed, too
	if err := s.write(framed); err != nil {
		s.fail(err)
		return true
	}
	s.counts.wrote(n, len(framed))
	wakeUp(s.wake)
	return true
}

// write writes the last batch and notes where it ends.
func (s *stream) write(buf []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.meter.writeBatch(s.conn, buf); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batches.len() > 0 && s.batches.back().end == unwritten { // else the connection failed meanwhile
		s.batches.back().end = s.meter.written.Load()
		if s.unread != nil {
			s.unread.wrote(s.batches.back().end)
		}
	}
	return nil
}

// dispatch registers the batch before its first byte goes out, so that whatever happens settles it.
func (s *stream) launch(ctx context.Context, framed []byte, n int, repeated bool, done func(error)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	s.batches.push(batchStatus{end: unwritten, n: n, done: done, stop: stop})
	if s.unread != nil {
		s.unread.keep(n, framed, repeated)
	}
	s.records += n
	return true
}

// read waits for the peer's end. A syslog receiver never sends data (RFC 6587 has no answers); TLS tickets and alerts
// are handled on the way.
func (s *stream) read() {
	defer close(s.readDone)
	var buf [512]byte
	for {
		if _, err := s.conn.Read(buf[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the latter: TLS without close_notify
				err = errPeerClosed
			}
			s.fail(err)
			return
		}
	}
}

// fail notes why the connection ends and wakes both goroutines and a blocked write. The socket stays open until keep
// has asked it a last time.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if errors.Is(err, syscall.ETIMEDOUT) { // TCP_USER_TIMEOUT, which is as long
		err = errAckTimeout
	}
	s.err = err
	close(s.failed)
	_ = s.meter.SetDeadline(time.Unix(1, 0))
}

// end settles what is left, in order, after the last look at the socket.
func (s *stream) end() {
	defer close(s.dead)
	s.mu.Lock()
	cause := s.err
	s.mu.Unlock()
	if errors.Is(cause, errPeerClosed) {
		s.writing.Lock()   // a write under way ends at once, and its batch may be among the acknowledged
		s.writing.Unlock() //nolint:staticcheck // see above
		s.confirm(0)       // an orderly end: what was acknowledged before was read, else it were a reset
	}
	_ = s.meter.Close()
	<-s.readDone
	err := classify(&lostError{addr: s.addr, err: cause}, s.proven)
	for {
		s.mu.Lock()
		if s.batches.len() == 0 {
			s.mu.Unlock()
			return
		}
		f := s.batches.pop()
		s.records -= f.n
		s.lost += f.n
		s.mu.Unlock()
		s.counts.unconfirmed.Add(float64(f.n))
		f.complete(err)
	}
}

// shutdown waits until everything in flight is confirmed, says goodbye and releases everything, within ctx.
func (s *stream) shutdown(ctx context.Context) error {
	s.drain(ctx)
	if s.inFlight() > 0 {
		s.fail(context.Cause(ctx))
		<-s.dead
		return s.err
	}
	_ = s.meter.SetDeadline(time.Now().Add(closeTimeout))
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // TLS: close_notify, RFC 5425 section 4.4
	}
	if c, ok := s.meter.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	// Closing with the peer's last bytes unread would send a reset, which can overtake our own data.
	select {
	case <-s.readDone:
	case <-ctx.Done():
	}
	s.fail(errClosed)
	<-s.dead
	return nil
}

// closeTimeout is how long the peer gets to close its side after this one did.
const closeTimeout = 2 * time.Second

// drain implements link.
func (s *stream) drain(ctx context.Context) {
	for s.inFlight() > 0 {
		select {
		case <-s.settled:
		case <-s.dead:
		case <-ctx.Done():
			return
		}
	}
}

func (s *stream) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// state implements link.
func (s *stream) state() outputs.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return endState(s.err, s.lost)
}

// endState is the state of a connection that ended for err with so many records lost.
func endState(err error, lost int) outputs.State {
	switch {
	case err == nil:
		return outputs.StateUp
	case lost == 0 && (errors.Is(err, errPeerClosed) || errors.Is(err, errServerClose) || errors.Is(err, errClosed)):
		return outputs.StateIdle
	default:
		return outputs.StateDown
	}
}

func (s *stream) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records
}

// level implements link. On a unix stream the confirmation even means that the peer's process has read it.
func (s *stream) level() outputs.Level { return outputs.KernelAcknowledged }

// again returns, once the connection has ended, the framed records that nobody else will send again: those that the peer's kernel
// acknowledged last when the peer has stopped reading, and those that sendAgain took and that weren't confirmed.
func (s *stream) again() (framed []byte, n int) {
	<-s.dead
	if s.unread == nil {
		return nil, 0
	}
	return s.unread.again(s.lost > 0 && errors.Is(s.err, errAckTimeout))
}

// outcome returns why the connection ended and whether it had delivered anything. It waits for the end.
func (s *stream) outcome() (proven bool, err error) {
	<-s.dead
	return s.proven, &addressError{s.addr, s.err}
}

// lostError is what the batches get that a connection took and did not confirm.
type lostError struct {
	addr address
	err  error
}

// Error implements error.
func (e *lostError) Error() string {
	cause := e.err
	if errors.Is(cause, os.ErrDeadlineExceeded) {
		cause = errAckTimeout
	}
	return fmt.Sprintf("%s: connection lost before confirmation: %v", e.addr, cause)
}

// Unwrap implements errors.Unwrap's contract.
func (e *lostError) Unwrap() error { return e.err }

// wakeUp wakes the one who waits on c; one pending wake-up is enough.
func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (*stream) expired() bool { return false }
