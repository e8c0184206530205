package queue

import (
	"context"
	"errors"
	"time"
)

// Ping implements Operator. An idle committer goes round once a cursor interval, so nothing has to be written to know
// that it lives.
func (q *embedded) Ping(ctx context.Context) error {
	before := q.rounds.Load()
	tick := time.NewTicker(q.opts.CursorInterval / 10)
	defer tick.Stop()
	for q.rounds.Load() == before {
		select {
		case <-q.stopped:
			return errClosed
		case <-ctx.Done():
			return errors.New("the committer does not go round")
		case <-tick.C:
		}
	}
	return nil
}
