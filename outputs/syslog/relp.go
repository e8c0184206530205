package syslog

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// relp is one RELP connection that has been opened. A record is delivered when the receiver has answered 200 to its
// transaction.
//
//	Send ─▶ frames ─▶ write, at most a window ahead of the lowest unanswered transaction
//	        read: rsp ─▶ slots[txnr] ─▶ record answered ─▶ batch answered, and all before it ─▶ done
//	              500 ─▶ again: the record once more under a new transaction, a few times
//	              serverclose, EOF, an error, nonsense or silence ─▶ done(error) for the rest, in order
//
// Nothing is remembered across connections but refusals: what is unanswered goes back to the worker, which sends it again,
// in order, with transaction numbers that begin anew.
type relp struct {
	addr     address
	conn     net.Conn
	meter    *meter
	reader   *relpReader
	encoder  encoder
	limit    time.Duration // ack_timeout
	counts   *counters
	refusals *refusals

	writing sync.Mutex // one writer of conn; Send and the sending again of refused records
	frames  []byte     // under writing
	message []byte     // under writing

	mu        sync.Mutex
	slots     []relpSlot // by txnr modulo the window
	base      uint32     // the lowest unanswered transaction
	next      uint32     // the next transaction
	wanted    int        // the room that a writer waits for
	batches   fifo[*relpBatch]
	moved     time.Time  // the last progress, while anything is unanswered
	again     []relpSlot // refused records to be sent once more
	closeTxnr uint32     // the transaction of our close, 0 before
	err       error
	proven    bool // something was accepted
	lost      int  // records that were in flight at the end

	failed   chan struct{} // closed with err set
	room     chan struct{} // there is as much room as wanted
	answered chan struct{} // batches were settled
	dead     chan struct{} // everything is settled, the reader is at its end
	retries  sync.WaitGroup
}

// relpSlot is one transaction: a record of a batch. A zero slot is none, or answered.
type relpSlot struct {
	batch *relpBatch
	index int // of the record in its batch
}

// relpBatch is one batch on its way.
type relpBatch struct {
	batch    []outputs.Record
	open     int // records without a final answer
	rejected []outputs.Rejection
	failure  error // the batch has to be sent again although the connection is fine
	done     func(error)
	stop     func() bool
}

// complete tells the worker the batch's fate.
func (f *relpBatch) complete(err error) {
	f.stop()
	f.done(err)
}

// maxSessionTxnr is where a connection is replaced: librelp can't go past 999,999,999 to 1, as the specification asks.
const maxSessionTxnr = maxTxnr - 99_999_999

func newRELP(d *dialed, reader *relpReader, o *Output) *relp {
	r := &relp{
		addr: d.addr, conn: d.conn, meter: d.meter, reader: reader, encoder: o.encoder, limit: o.settings.AckTimeout,
		counts: o.counts, refusals: o.refusals, slots: make([]relpSlot, o.settings.RELPWindow), base: 2, next: 2,
		failed: make(chan struct{}), room: make(chan struct{}, 1), answered: make(chan struct{}, 1), dead: make(chan struct{}),
	}
	go r.read()
	return r
}

// send implements link.
func (r *relp) send(ctx context.Context, batch []outputs.Record, _ *[]byte, done func(error)) bool {
	if r.meter.peerGone() {
		<-r.dead // the reader takes what answers are left, and then the end
		return false
	}
	f := &relpBatch{batch: batch, open: len(batch), done: done}
	if !r.dispatch(ctx, f) {
		return false
	}
	for i := 0; i < len(batch); {
		n := r.transmit(f, i, len(batch)-i)
		if n == 0 {
			break // the connection has ended; the reader settles f
		}
		i += n
	}
	return true
}

func (r *relp) dispatch(ctx context.Context, f *relpBatch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return false
	}
	f.stop = context.AfterFunc(ctx, func() { r.fail(context.Cause(ctx)) })
	r.batches.push(f)
	return true
}

// transmit writes up to n records of f from first on, in one write, and returns how many: 0 when the connection has
// ended. A receiver takes transactions in the order of their numbers only, so numbering and writing are one step.
func (r *relp) transmit(f *relpBatch, first, n int) int {
	r.writing.Lock()
	defer r.writing.Unlock()
	txnr, n := r.reserve(f, first, n)
	if n == 0 {
		return 0
	}
	r.frames = r.frames[:0]
	for i := range n {
		r.message, _ = r.encoder.Append(r.message[:0], &f.batch[first+i])
		r.frames = appendRELP(r.frames, txnr+uint32(i), "syslog", r.message)
	}
	if err := r.meter.writeBatch(r.conn, r.frames); err != nil {
		r.fail(err)
		return 0
	}
	r.counts.wrote(n, len(r.frames))
	return n
}

// reserve waits for room in the window and gives the next transactions to up to n records of f. It waits for a
// quarter of the window rather than for single places, which would make every write one record long.
func (r *relp) reserve(f *relpBatch, first, n int) (txnr uint32, reserved int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := min(n, max(1, len(r.slots)/4))
	for r.err == nil && r.free() < want {
		r.wanted = want
		r.mu.Unlock()
		select {
		case <-r.room:
		case <-r.failed:
		}
		r.mu.Lock()
	}
	r.wanted = 0
	if r.err != nil {
		return 0, 0
	}
	if r.base == r.next { // nothing was unanswered: the clock starts
		r.moved = time.Now()
		_ = r.conn.SetReadDeadline(r.moved.Add(r.limit))
	}
	txnr, n = r.next, min(n, r.free())
	for i := range n {
		r.slots[int(r.next)%len(r.slots)] = relpSlot{f, first + i}
		r.next++
	}
	return txnr, n
}

// free is how many transactions may be begun. It is called with mu held.
func (r *relp) free() int { return len(r.slots) - int(r.next-r.base) }

// fail notes why the connection ends and wakes the reader and a blocked writer.
func (r *relp) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	close(r.failed)
	_ = r.meter.Close()
}

// shutdown implements link.
func (r *relp) shutdown(ctx context.Context) error {
	r.drain(ctx)
	if r.inFlight() > 0 {
		r.fail(context.Cause(ctx))
	} else if err := r.sayClose(); err != nil {
		r.fail(err)
	}
	select {
	case <-r.dead:
	case <-ctx.Done():
		r.fail(context.Cause(ctx))
		<-r.dead
	}
	if errors.Is(r.err, errClosed) || errors.Is(r.err, outputs.ErrNotOwner) { // not its owner says no goodbye either
		return nil
	}
	return r.err
}

// sayClose sends the close command. The reader ends with its answer, or without one soon.
func (r *relp) sayClose() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	r.closeTxnr = r.next
	_ = r.conn.SetReadDeadline(time.Now().Add(closeTimeout))
	r.mu.Unlock()
	_ = r.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	return r.meter.writeBatch(r.conn, appendRELP(r.frames[:0], r.closeTxnr, "close", nil))
}

// drain implements link.
func (r *relp) drain(ctx context.Context) {
	for r.inFlight() > 0 {
		select {
		case <-r.answered:
		case <-r.dead:
		case <-ctx.Done():
			return
		}
	}
}

// state implements link.
func (r *relp) state() outputs.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return endState(r.err, r.lost)
}

func (r *relp) inFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches.len()
}

// expired implements link: the transaction numbers are near their end.
func (r *relp) expired() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next > maxSessionTxnr
}

func (r *relp) usable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err == nil
}

func (r *relp) outcome() (proven bool, err error) {
	<-r.dead
	return r.proven, &addressError{r.addr, r.err}
}

func (r *relp) level() outputs.Level { return outputs.AppAcknowledged }
