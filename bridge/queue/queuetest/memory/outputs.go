package memory

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// endDelay is how long after the last bridge's declaration an output of a shared queue ends.
const endDelay = 10 * time.Minute

// Declare implements queue.Outputs.
func (q *Queue) Declare(ctx context.Context, specs []queue.OutputSpec) (map[string]uint64, error) {
	left := make(map[string]uint64)
	err := q.do(ctx, func(c *change) error {
		c.written = true
		for _, o := range c.outputs {
			delete(o.bridges, q.o.Bridge)
		}
		for _, spec := range specs {
			c.declare(spec)
		}
		return c.endUnnamed(left)
	})
	if err != nil {
		return nil, fmt.Errorf("declare the outputs: %w", err)
	}
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	for name := range left {
		q.w.endOwner(name)
	}
	return left, nil
}

// declare names one output of c's bridge.
func (c *change) declare(spec queue.OutputSpec) {
	o := c.outputs[spec.Name]
	if o == nil {
		o = &output{cursor: c.lastSeq, bridges: make(map[string]bool)}
		if spec.StartAtOldest && c.wrong != startsNow || c.wrong == startsAtOldest {
			o.cursor = c.first() - 1
		}
		c.outputs[spec.Name] = o
	}
	o.spec, o.unnamed = spec, time.Time{}
	if !c.q.w.shared {
		clear(o.bridges) // whatever this bridge was called before
	}
	o.bridges[c.q.o.Bridge] = true
}

// endUnnamed ends the outputs that no bridge names any more, and notes what they had left.
func (c *change) endUnnamed(left map[string]uint64) error {
	for name, o := range c.outputs {
		if c.q.w.shared && len(o.bridges) > 0 || !c.q.w.shared && o.bridges[c.q.o.Bridge] {
			continue
		}
		defaultTo(&o.unnamed, c.now)
		if c.q.w.shared && c.now.Sub(o.unnamed) < endDelay {
			continue
		}
		left[name] = c.remove(name)
	}
	return nil
}

// remove ends an output and returns how many events it had left.
func (c *change) remove(name string) uint64 {
	left := c.lastSeq - c.outputs[name].cursor
	if c.wrong == removedHoldsBack {
		c.outputs[" "+name] = c.outputs[name]
	}
	delete(c.outputs, name)
	c.written = true
	if c.wrong == removedIsSilent {
		return 0
	}
	return left
}

// endOwner takes an output from its worker. The caller holds mu.
func (w *World) endOwner(output string) {
	if l := w.owners["output/"+output]; l != nil && w.wrong != tenureLivesOn {
		l.end()
	}
	w.wake() // those who wait for it wait for nothing
}

// Wanted implements queue.Outputs.
func (q *Queue) Wanted(_ context.Context, name string) bool {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	o := q.w.live.outputs[name]
	for other := range q.w.open {
		if o != nil && other != q && o.bridges[other.o.Bridge] {
			return true
		}
	}
	return false
}

// Forget implements queue.Outputs.
func (q *Queue) Forget(ctx context.Context, output string) (uint64, error) {
	var left uint64
	err := q.do(ctx, func(c *change) error {
		o := c.outputs[output]
		switch {
		case o == nil:
			return fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
		case o.bridges[q.o.Bridge]:
			return fmt.Errorf("output %q is declared by this bridge", output)
		}
		left = c.remove(output)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	q.w.endOwner(output)
	return left, nil
}

// Replay implements queue.Outputs.
func (q *Queue) Replay(ctx context.Context, output string, since time.Time) (uint64, error) {
	var events uint64
	err := q.do(ctx, func(c *change) error {
		o := c.outputs[output]
		if o == nil {
			return fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
		}
		for _, e := range c.events {
			if !e.ReceivedAt.Before(since) {
				o.cursor = min(o.cursor, e.Seq-1)
				break
			}
		}
		events = c.lastSeq - o.cursor
		c.written = true
		if c.wrong != tenureLivesOn { // what its worker may still say counts no more
			q.w.endOwner(output)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	return events, nil
}

// Claim implements queue.Outputs.
func (q *Queue) Claim(ctx context.Context, output string) (*queue.Tenure, error) {
	l, err := q.acquire(ctx, "output/"+output, func() error {
		if o := q.w.live.outputs[output]; o == nil || !o.bridges[q.o.Bridge] {
			return queue.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim output %q: %w", output, err)
	}
	return &queue.Tenure{Output: output, BridgeID: q.state().bridgeID, Lease: l, Stream: &stream{lease: l, output: output}}, nil
}

// stream implements queue.Stream.
type stream struct {
	*lease
	output string
}

// cursor is the cursor as advanced. The caller holds mu.
func (q *Queue) cursor(output string) uint64 {
	o := q.w.live.outputs[output]
	if o == nil {
		return 0
	}
	cursor := o.cursor
	for _, p := range q.pending {
		if p.output == output {
			cursor = max(cursor, p.Through)
			if q.w.wrong == cursorsMoveBack {
				cursor = p.Through
			}
		}
	}
	return cursor
}

// Cursor implements queue.Stream.
func (s *stream) Cursor() uint64 {
	s.q.w.mu.Lock()
	defer s.q.w.mu.Unlock()
	return s.q.cursor(s.output)
}

// Advance implements queue.Stream.
func (s *stream) Advance(p queue.Progress) {
	s.q.w.mu.Lock()
	defer s.q.w.mu.Unlock()
	if !s.Valid() && s.q.w.wrong != tenureLivesOn {
		return
	}
	if s.q.w.wrong != advancesBeyond {
		p.Through = min(p.Through, s.q.w.live.lastSeq)
	}
	s.q.pending = append(s.q.pending, pending{s.output, p})
}

// Read implements queue.Stream.
func (s *stream) Read(ctx context.Context, after uint64, limit, maxBytes int) (queue.Batch, error) {
	for {
		if ctx.Err() != nil {
			return queue.Batch{}, fmt.Errorf("read: %w", ctx.Err())
		}
		s.q.w.mu.Lock()
		state, changed := s.q.w.live, s.q.w.changed
		s.q.w.mu.Unlock()
		if !s.Valid() {
			return queue.Batch{}, fmt.Errorf("read for output %q: %w", s.output, queue.ErrLost)
		}
		if b := s.batch(state, after+1, state.lastSeq, limit, maxBytes); b.Through > after {
			return b, nil
		}
		select {
		case <-changed:
		case <-s.lost:
		case <-ctx.Done():
		}
	}
}

// Range implements queue.Stream.
func (s *stream) Range(_ context.Context, first, last uint64, maxBytes int) (queue.Batch, error) {
	if !s.Valid() {
		return queue.Batch{}, fmt.Errorf("read for output %q: %w", s.output, queue.ErrLost)
	}
	state := s.q.state()
	return s.batch(state, first, min(last, state.lastSeq), math.MaxInt, maxBytes), nil
}

// batch collects what there is of first..last.
func (s *stream) batch(state *state, first, last uint64, limit, maxBytes int) queue.Batch {
	b := queue.Batch{Through: first - 1}
	for seq := first; seq <= last; seq++ {
		if gone := s.gone(state, seq); gone != queue.Queued {
			b.Gaps = s.gap(b.Gaps, seq, gone)
			b.Through = seq
			continue
		}
		e := state.event(seq)
		if maxBytes -= len(e.Body); len(b.Events) > 0 && (maxBytes < 0 || len(b.Events) == limit) && s.q.w.wrong != readsTooMuch {
			return b
		}
		b.Events = append(b.Events, e)
		b.Through = seq
	}
	return b
}

// gone says why an event will not come; Queued: it will.
func (s *stream) gone(state *state, seq uint64) queue.Outcome {
	if o := state.outputs[s.output]; o != nil {
		for _, r := range o.noted {
			if r.Outcome == queue.Dropped && r.First <= seq && seq <= r.Last {
				return queue.Dropped
			}
		}
	}
	if state.event(seq) == nil {
		return queue.Unknown
	}
	return queue.Queued
}

func (s *stream) gap(gaps []queue.Gap, seq uint64, outcome queue.Outcome) []queue.Gap {
	if s.q.w.wrong == hidesGaps {
		return gaps
	}
	if n := len(gaps); n > 0 && gaps[n-1].Last+1 == seq && gaps[n-1].Outcome == outcome {
		gaps[n-1].Last = seq
		return gaps
	}
	return append(gaps, queue.Gap{First: seq, Last: seq, Outcome: outcome})
}

// Quarantine implements queue.Stream.
func (s *stream) Quarantine(ctx context.Context, items []queue.DeadLetter) error {
	err := queue.ErrLost
	if s.Valid() {
		err = s.q.do(ctx, func(c *change) error {
			if !s.Valid() {
				return queue.ErrLost
			}
			return c.refuse(s.output, items)
		})
	}
	if err != nil {
		return fmt.Errorf("quarantine for output %q: %w", s.output, err)
	}
	return nil
}
