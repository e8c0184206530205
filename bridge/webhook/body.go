package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

const (
	firstRead  = 4 << 10  // a scratch buffer's first size: most deliveries fit
	keptBuffer = 16 << 10 // larger scratch buffers are not pooled

	// freePerConn is what one connection's bodies may take without asking the shared budget, so that ordinary
	// deliveries get through while large bodies have used it up.
	freePerConn = 8 << 10
	// minBudget is the shared budget for all bodies beyond that: memory is bounded by
	// max_connections x freePerConn + max(minBudget, 4 x max_body_bytes).
	minBudget = 8 << 20
)

// budget bounds the bytes of unverified bodies in memory.
type budget struct{ used atomic.Int64 }

func (b *budget) take(n, limit int64) bool {
	if b.used.Add(n) <= limit {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// readBody reads all of r's body into x.buf. It grows with what arrives, never by what Content-Length claims.
func (x *requestState) readBody(r *http.Request) (verdict, bool) {
	limit := x.state.maxBody
	if r.ContentLength > limit {
		return tooLarge, false
	}
	x.buf = x.buf[:0]
	for {
		if len(x.buf) == cap(x.buf) && !x.grow() {
			return busy, false
		}
		n, err := r.Body.Read(x.buf[len(x.buf):cap(x.buf)])
		x.buf = x.buf[:len(x.buf)+n]
		x.conn.took(n)
		switch {
		case int64(len(x.buf)) > limit:
			return tooLarge, false
		case err == nil:
		case errors.Is(err, io.EOF):
			return accepted, true
		case errors.Is(err, os.ErrDeadlineExceeded):
			return bodyTimeout, false
		default:
			return bodyBroken, false
		}
	}
}

// grow doubles x.buf, within the budget.
func (x *requestState) grow() bool {
	size := max(firstRead, 2*cap(x.buf))
	if int64(size) > x.state.maxBody {
		size = max(int(x.state.maxBody)+1, cap(x.buf)+1)
	}
	extra := int64(size - max(cap(x.buf), firstRead))
	if !x.reserve(extra) {
		return false
	}
	grown := make([]byte, len(x.buf), size)
	copy(grown, x.buf)
	x.buf = grown
	return true
}

func (x *requestState) reserve(n int64) bool {
	if n <= 0 {
		return true
	}
	if x.conn != nil && x.conn.bodies.take(n, freePerConn) {
		x.fromConn += n
		return true
	}
	if !x.h.bodies.take(n, x.state.bodyBudget) {
		return false
	}
	x.fromShared += n
	return true
}

// release gives back what the body took; its bytes are gone or belong to the queue now.
func (x *requestState) release() {
	if x.fromConn > 0 {
		x.conn.bodies.give(x.fromConn)
	}
	if x.fromShared > 0 {
		x.h.bodies.give(x.fromShared)
	}
	x.fromConn, x.fromShared = 0, 0
	if cap(x.buf) > keptBuffer {
		x.buf = nil
	}
}
