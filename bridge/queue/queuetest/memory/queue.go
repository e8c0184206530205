package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Queue is one open queue. What it has of its own is guarded by the world's mu.
type Queue struct {
	w          *World
	o          Options
	generation uint64

	limits     queue.Limits
	pending    []pending       // progress that is not synced yet
	problem    error           // of the last write
	refused    int64           // the size of the event that found no room last; 0: there has been room since
	shareFull  map[string]bool // the outputs whose last refusal found no room in the quarantine
	duplicates map[uint64]int  // by sequence, answered since the start
	closing    chan struct{}
}

// pending is progress of one output.
type pending struct {
	output string
	queue.Progress
}

func newQueue(w *World, o Options, generation uint64) *Queue {
	return &Queue{
		w: w, o: o, generation: generation, limits: o.Limits, duplicates: make(map[uint64]int),
		shareFull: make(map[string]bool), closing: make(chan struct{}),
	}
}

var _ queue.Queue = (*Queue)(nil)

// run syncs progress that no append has taken along, and tries a failed disk again.
func (q *Queue) run() {
	tick := time.NewTicker(q.o.ProgressInterval)
	defer tick.Stop()
	for {
		select {
		case <-q.closing:
			return
		case <-tick.C:
		}
		q.w.mu.Lock()
		due := len(q.pending) > 0 || q.problem != nil
		q.w.mu.Unlock()
		if !due {
			continue
		}
		select {
		case <-q.closing:
			return
		case q.w.turn <- struct{}{}:
		}
		_ = q.transact(func(c *change) error { c.written = true; return nil }) // q.problem says what is wrong
		<-q.w.turn
	}
}

// do makes one change durable. It doesn't wait longer than ctx, but a write that has begun goes on. What change hands out
// through its closure may be read only when do has returned nil.
func (q *Queue) do(ctx context.Context, alter func(*change) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, ctx.Err())
	}
	select {
	case q.w.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: gave up before the write began: %w", queue.ErrUnavailable, ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		err := q.transact(alter)
		<-q.w.turn
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the write had begun: %w", ctx.Err())
	}
}

// transact runs one change, with the progress that is due. The caller holds the turn.
func (q *Queue) transact(alter func(*change) error) error {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.ended() {
		return fmt.Errorf("%w: it is closed", queue.ErrUnavailable)
	}
	c := &change{state: q.w.live.clone(), q: q, now: q.o.Now(), limits: q.limits, wrong: q.w.wrong}
	err := q.alter(c, alter)
	if err != nil || !c.written {
		return err
	}
	c.tidy()
	q.problem = q.w.commit(q, c.state)
	if q.problem != nil {
		if q.w.wrong == failsHalf {
			q.w.live = c.state
		}
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, q.problem)
	}
	q.pending = q.pending[c.flushed:]
	return nil
}

// alter puts the pending progress first: what outputs are done with makes room.
func (q *Queue) alter(c *change, alter func(*change) error) error {
	if c.wrong != progressWaits {
		c.flushed = len(q.pending)
		for _, p := range q.pending {
			c.progress(p)
		}
	}
	c.written = false
	return alter(c)
}

// ended reports whether the queue is closed or killed. The caller holds mu.
func (q *Queue) ended() bool { return !q.w.open[q] }

// end takes q out of the world, with everything that it owns. The caller holds mu.
func (q *Queue) end() {
	if q.ended() {
		return
	}
	delete(q.w.open, q)
	close(q.closing)
	for _, l := range q.w.owners {
		if l.q == q {
			l.end()
		}
	}
	q.w.wake()
}

// Close implements queue.Queue.
func (q *Queue) Close(ctx context.Context) error {
	select {
	case q.w.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("close the queue: %w", ctx.Err())
	}
	defer func() { <-q.w.turn }()
	q.w.mu.Lock()
	ended, due := q.ended(), len(q.pending) > 0
	q.w.mu.Unlock()
	var err error
	if !ended && due {
		err = q.transact(func(c *change) error { c.written = true; return nil })
	}
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.w.wrong == answersBeforeSync && !ended {
		q.w.disk = q.w.live
	}
	q.end()
	return err
}

// Append implements queue.Appender.
func (q *Queue) Append(ctx context.Context, e *queue.Event, reason string) (queue.Receipt, error) {
	judge := func(c *change) (queue.Judgment, error) {
		return queue.Judge(c.wrong.memory(c.state), e, queue.DigestOf(e.Body), reason, c.now, q.o.Window)
	}
	if q.w.wrong == sharesNothing {
		j, err := judge(&change{state: q.state(), now: q.o.Now()})
		judge = func(*change) (queue.Judgment, error) { return j, err }
	}
	var r queue.Receipt
	err := q.do(ctx, func(c *change) error {
		if c.wrong == refusesKnown && q.refused > 0 {
			return queue.ErrFull
		}
		j, err := judge(c)
		if err == nil {
			r, err = c.append(e, j)
		}
		return err
	})
	if err != nil {
		return queue.Receipt{}, fmt.Errorf("append: %w", err)
	}
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if r.Verdict == queue.Duplicate {
		q.duplicates[r.Seq]++
	}
	r.Generation = q.generation
	return r, nil
}

// Generation implements queue.Appender.
func (q *Queue) Generation() uint64 {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.problem != nil || q.ended() {
		return 0
	}
	return q.generation
}

// ListDeadLetters implements queue.DeadLetters.
func (q *Queue) ListDeadLetters(_ context.Context, after uint64, limit int, brief bool) ([]queue.DeadLetter, error) {
	s := q.state()
	var list []queue.DeadLetter
	for id := after + 1; id <= s.lastItem && len(list) < limit; id++ {
		if item := s.items[id]; item != nil {
			list = append(list, *item)
		}
	}
	for i := range list {
		if brief {
			list[i].Event.Body = nil
		}
	}
	return list, nil
}

// state returns what is live now. It never changes.
func (q *Queue) state() *state {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	return q.w.live
}

// GetDeadLetter implements queue.DeadLetters.
func (q *Queue) GetDeadLetter(_ context.Context, id uint64) (queue.DeadLetter, error) {
	if item := q.state().items[id]; item != nil {
		return *item, nil
	}
	return queue.DeadLetter{}, fmt.Errorf("item %d of the quarantine: %w", id, queue.ErrNotFound)
}

// Resend implements queue.DeadLetters.
func (q *Queue) Resend(ctx context.Context, id uint64, outputs []string) (uint64, error) {
	var seq uint64
	err := q.do(ctx, func(c *change) (err error) {
		seq, err = c.resend(id, slices.Clone(outputs))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("re-send: %w", err)
	}
	return seq, nil
}

// DropDeadLetter implements queue.DeadLetters.
func (q *Queue) DropDeadLetter(ctx context.Context, id uint64) error {
	return q.do(ctx, func(c *change) error {
		if c.items[id] == nil {
			return fmt.Errorf("item %d of the quarantine: %w", id, queue.ErrNotFound)
		}
		delete(c.items, id)
		if c.wrong == reusesItemIDs {
			c.lastItem = slices.Max(append(slices.Collect(maps.Keys(c.items)), 0))
		}
		clear(q.shareFull)
		c.written = true
		return nil
	})
}

// Losses implements queue.LossLog: memory loses nothing.
func (*Queue) Losses(context.Context) ([]queue.Loss, error) { return nil, nil }

// Acknowledge implements queue.LossLog.
func (*Queue) Acknowledge(_ context.Context, id uint64, _ string) error {
	return fmt.Errorf("loss %d: %w", id, queue.ErrNotFound)
}

// SetLimits implements queue.Limiter.
func (q *Queue) SetLimits(limits queue.Limits) {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	set(&q.limits.MaxBytes, limits.MaxBytes)
	set(&q.limits.QuarantineMaxBytes, limits.QuarantineMaxBytes)
	set(&q.limits.MaxEventBytes, limits.MaxEventBytes)
	set(&q.limits.Keep, limits.Keep)
}

func set[T int64 | time.Duration](v *T, value T) {
	if value > 0 {
		*v = value
	}
}
