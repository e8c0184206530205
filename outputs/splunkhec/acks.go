package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// acks are the requests of one session that Splunk has accepted and not yet acknowledged. For each it keeps an id,
// a time and a function: the events themselves are the caller's. One goroutine polls as long as there are any.
type acks struct {
	session *session
	turn    chan struct{} // one request at a time: a poll must not overtake the answer that brings its id

	mu       sync.Mutex
	pending  map[uint64]*pendingAck
	polling  bool
	verified bool   // the collector has answered a poll
	last     uint64 // the highest ackId
	any      bool   // last is valid
	problem  error  // why the last poll failed
}

// pendingAck is one accepted request.
type pendingAck struct {
	since time.Time
	done  func(error) // called once
	stop  func() bool // ends the watch over the context
}

func newAcks(s *session) *acks {
	return &acks{session: s, turn: make(chan struct{}, 1), pending: map[uint64]*pendingAck{}}
}

func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

// take waits for the session's turn; release gives it back.
func (a *acks) take(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *acks) release() { <-a.turn }

// errLostAcks is for requests whose acknowledgement can't be told from another's any more.
var errLostAcks = errors.New("the collector has begun to count its acknowledgements anew, it was probably restarted")

// add waits for the acknowledgement of id. done is called once: with nil when it has come, else with why it hasn't.
//
// Ids of a channel only grow. One that doesn't says that Splunk has forgotten the channel (a restart, or ten idle
// minutes), and that the ids still pending now may mean other requests: those are given up and sent again.
func (a *acks) add(ctx context.Context, id uint64, done func(error)) {
	p := &pendingAck{since: a.session.lane.out.env.Now(), done: done}
	a.mu.Lock()
	var lost []*pendingAck
	if a.any && id <= a.last {
		lost = a.drain()
	}
	a.last, a.any = id, true
	a.pending[id] = p
	p.stop = context.AfterFunc(ctx, func() { a.giveUp(id, p, context.Cause(ctx)) })
	start := !a.polling
	a.polling = true
	a.mu.Unlock()
	a.session.lane.out.metrics.pending.Add(1)
	a.complete(lost, errLostAcks)
	if start {
		a.session.lane.out.wg.Go(a.poll)
	}
}

// drain empties pending; a.mu is held.
func (a *acks) drain() []*pendingAck {
	var all []*pendingAck
	for _, p := range a.pending {
		all = append(all, p)
	}
	clear(a.pending)
	return all
}

// complete ends requests that are in pending no more.
func (a *acks) complete(list []*pendingAck, err error) {
	o := a.session.lane.out
	for _, p := range list {
		p.stop()
		o.metrics.pending.Add(-1)
		if err == nil {
			o.metrics.ackSeconds.Observe(o.env.Now().Sub(p.since).Seconds())
		}
		p.done(err)
	}
}

// giveUp ends one request, unless something else did.
func (a *acks) giveUp(id uint64, p *pendingAck, err error) {
	a.mu.Lock()
	mine := a.pending[id] == p
	if mine {
		delete(a.pending, id)
	}
	a.mu.Unlock()
	if mine {
		a.complete([]*pendingAck{p}, err)
	}
}

// giveUpAll ends all requests and has the collector verified before the next.
func (a *acks) giveUpAll(err error) {
	a.mu.Lock()
	all := a.drain()
	a.verified = false
	a.mu.Unlock()
	a.complete(all, err)
}

// verify makes sure, before a session posts its first events, that the collector acknowledges at all. Without it a
// token whose acknowledgement is off would take the same events again and again. The caller holds the turn.
func (a *acks) verify(ctx context.Context) error {
	a.mu.Lock()
	verified := a.verified
	a.mu.Unlock()
	if verified {
		return nil
	}
	if _, err := a.query(ctx, []uint64{0}); err != nil {
		return err
	}
	a.mu.Lock()
	a.verified = true
	a.mu.Unlock()
	return nil
}

// expire gives up what has waited for too long: it is sent again, on a new channel.
func (a *acks) expire() {
	o := a.session.lane.out
	now := o.env.Now()
	a.mu.Lock()
	problem := a.problem
	var late []*pendingAck
	for id, p := range a.pending {
		if now.Sub(p.since) >= o.settings.AckTimeout {
			late = append(late, p)
			delete(a.pending, id)
		}
	}
	a.mu.Unlock()
	if len(late) == 0 {
		return
	}
	o.metrics.unconfirmed.Add(float64(len(late)))
	a.session.lane.abandon(a.session)
	a.complete(late, o.unconfirmed(a.session.lane.collector, problem))
}

// unconfirmed is the error for events without acknowledgement.
func (o *Output) unconfirmed(e *collector, problem error) error {
	if problem != nil {
		return fmt.Errorf("not acknowledged within %v: %w", o.settings.AckTimeout, problem)
	}
	return o.collectorError(e, fmt.Errorf("not acknowledged within %v, sending again: behind a load balancer "+
		"acknowledgement needs sticky sessions; otherwise the indexers are behind", o.settings.AckTimeout))
}
