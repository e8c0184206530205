package syslog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// What a RELP peer can do wrong or want.
var (
	errServerClose = errors.New("the peer announced that it closes the RELP session")
	errRELP        = errors.New("RELP protocol error")
)

// againPause is how long a refused record waits before it is sent once more on the same connection.
const againPause = 100 * time.Millisecond

// read takes the answers until the connection ends. It is the only one that calls done.
func (r *relp) read() {
	defer close(r.dead)
	for {
		f, err := r.reader.next()
		switch {
		case err == nil:
			err = r.handle(f)
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = r.overdue()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			err = errPeerClosed
		}
		if err != nil {
			r.end(err)
			return
		}
	}
}

// handle takes one frame. An error ends the connection.
func (r *relp) handle(f relpFrame) error {
	if f.txnr == 0 { // a hint, which wants no answer
		if string(f.command) == "serverclose" {
			return errServerClose
		}
		return nil
	}
	if string(f.command) != "rsp" {
		return fmt.Errorf("%w: the peer sent the command %q", errRELP, f.command)
	}
	r.mu.Lock()
	goodbye := r.closeTxnr
	r.mu.Unlock()
	if f.txnr == goodbye {
		return errClosed // librelp answers close with an empty rsp
	}
	a, err := parseRELPAnswer(f.data)
	if err != nil {
		return err
	}
	return r.answer(f.txnr, a)
}

// answer settles the record of one transaction, and the batches that are complete with it.
func (r *relp) answer(txnr uint32, a relpAnswer) error {
	r.mu.Lock()
	slot := &r.slots[int(txnr)%len(r.slots)]
	if txnr-r.base >= r.next-r.base || slot.batch == nil { // also below base, by wrapping around
		r.mu.Unlock()
		return fmt.Errorf("%w: the peer answered transaction %d, which is not open", errRELP, txnr)
	}
	f, index := slot.batch, slot.index
	*slot = relpSlot{}
	for r.base < r.next && r.slots[int(r.base)%len(r.slots)].batch == nil {
		r.base++
	}
	r.moved = r.reader.filled
	if a.code == relpOK {
		f.open--
		r.proven = true
		r.refusals.accepted(f.batch[index].Seq)
	} else {
		r.refuse(f, index, a)
	}
	if r.wanted > 0 && r.free() >= r.wanted {
		wakeUp(r.room)
	}
	done := f.open == 0
	r.mu.Unlock()
	if done {
		r.settle()
	}
	return nil
}

// complete calls done for the batches at the front that are complete, in order.
func (r *relp) settle() {
	for {
		r.mu.Lock()
		if r.batches.len() == 0 || (*r.batches.at(0)).open > 0 {
			r.mu.Unlock()
			return
		}
		f := r.batches.pop()
		r.mu.Unlock()
		if f.failure == nil {
			r.counts.confirmed(outputs.AppAcknowledged, len(f.batch)-len(f.rejected))
		}
		f.complete(f.result(f.failure))
		wakeUp(r.answered)
	}
}

// result is what the worker is told: rest is nil when all that was not rejected is delivered.
func (f *relpBatch) result(rest error) error {
	if len(f.rejected) == 0 {
		return rest
	}
	return &outputs.PartialError{Rejected: f.rejected, Rest: rest}
}

// refuse decides what becomes of a refused record. It is called with mu held.
func (r *relp) refuse(f *relpBatch, index int, a relpAnswer) {
	r.counts.refusals.Inc()
	err := &refusedError{r.addr, a.code, a.text}
	alone := len(f.batch) == 1 && r.batches.len() == 1
	switch r.refusals.refused(f.batch[index].Seq, alone) {
	case refusedForGood:
		f.rejected = append(f.rejected, outputs.Rejection{Index: index, Err: err})
		f.open--
	case refusedForNow:
		f.failure = err
		if !r.proven && !alone { // it refuses everything
			f.failure = &outputs.BlockedError{Err: err}
		}
		f.open--
	default:
		r.again = append(r.again, relpSlot{f, index})
		if len(r.again) == 1 {
			r.retries.Go(r.sendAgain)
		}
	}
}

// sendAgain sends the refused records once more. It is a goroutine of its own, because the reader must never wait for
// room in the window that only the reader can make.
func (r *relp) sendAgain() {
	select {
	case <-time.After(againPause):
	case <-r.failed:
		return
	}
	r.mu.Lock()
	slots := r.again
	r.again = nil
	r.mu.Unlock()
	for _, s := range slots {
		if r.transmit(s.batch, s.index, 1) == 0 {
			return
		}
	}
}

// overdue is asked when the read deadline has passed.
func (r *relp) overdue() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch due := r.moved.Add(r.limit); {
	case r.closeTxnr != 0:
		return errClosed // no answer to our close, and nothing depends on it
	case r.base == r.next:
		_ = r.conn.SetReadDeadline(time.Time{})
	case time.Now().Before(due):
		_ = r.conn.SetReadDeadline(due)
	default:
		return errAckTimeout
	}
	return nil
}

// end settles what is left, in order.
func (r *relp) end(err error) {
	if c, ok := r.conn.(interface{ CloseWrite() error }); ok && errors.Is(err, errClosed) {
		_ = c.CloseWrite() // TLS: close_notify
	}
	r.fail(err)
	r.retries.Wait()
	// A Send that is still encoding must see the end before its batch is given back.
	r.writing.Lock()
	r.writing.Unlock() //nolint:staticcheck // see above
	lost := classify(&lostError{addr: r.addr, err: r.err}, r.proven)
	for {
		r.mu.Lock()
		if r.batches.len() == 0 {
			r.mu.Unlock()
			return
		}
		f := r.batches.pop()
		r.lost += len(f.batch)
		r.mu.Unlock()
		r.counts.unconfirmed.Add(float64(len(f.batch) - len(f.rejected)))
		f.complete(f.result(lost))
	}
}
