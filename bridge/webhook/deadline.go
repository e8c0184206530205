package webhook

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlineTick is how long requests share one deadline.
const deadlineTick = time.Second

// deadlines hands out contexts that end after the asked time, or up to deadlineTick later. All requests of one tick
// share one, which saves each of them a timer and four allocations. They don't end when the client goes away: what was
// verified is worth keeping all the same, and the sender's retry is then a duplicate.
type deadlines struct {
	current atomic.Pointer[sharedDeadline]
}

type sharedDeadline struct {
	ctx     context.Context
	release context.CancelFunc
	after   time.Duration
	until   time.Time // until when it is handed out
}

// in returns a context that ends in after, at most a tick late. The time is the real one: so is the wait for a disk.
func (d *deadlines) in(after time.Duration) context.Context {
	now := time.Now()
	if c := d.current.Load(); c != nil && c.after == after && now.Before(c.until) {
		return c.ctx
	}
	c := &sharedDeadline{after: after, until: now.Add(deadlineTick)}
	c.ctx, c.release = context.WithDeadline(context.Background(), c.until.Add(after)) //nolint:gosec // its timer releases it
	d.current.Store(c)
	return c.ctx
}
