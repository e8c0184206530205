package syslog

import (
	"errors"
	"time"
)

// batchStatus is one batch that was handed to a connection and is not confirmed yet.
type batchStatus struct {
	end   uint64    // the batch is delivered when so many bytes of the connection are acknowledged
	n     int       // records
	acked time.Time // when the acknowledgement was seen, zero before
	done  func(error)
	stop  func() bool // unbinds it from its Send's context
}

// unwritten is the end of a batch whose last byte the kernel has not taken.
const unwritten = ^uint64(0)

// complete tells the worker the batch's fate.
func (f *batchStatus) complete(err error) {
	f.stop()
	f.done(err)
}

// fifo is a queue that reuses its memory.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

// at returns the item at index i, the front being 0.
func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }

func (q *fifo[T]) back() *T { return &q.items[len(q.items)-1] }

func (q *fifo[T]) push(item T) {
	if q.head > 0 && q.head >= len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, item)
}

func (q *fifo[T]) pop() T {
	item := q.items[q.head]
	var zero T
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return item
}

// Why a connection ended.
var (
	errPeerClosed = errors.New("the peer closed the connection")
	errClosed     = errors.New("the connection was closed by this side")
	errAckTimeout = errors.New("no acknowledgement within ack_timeout; a receiver that stops reading may have met a message that is too long for it: " +
		"is max_message_bytes above its limit?")
)
