package splunkhec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The acknowledgement poll's interval: it halves while acknowledgements come in and doubles while none do.
const (
	minPoll = 200 * time.Millisecond
	maxPoll = 8 * time.Second // less than idleTimeout: the polls keep the connection, and so the node
	pollIDs = 10_000          // ids in one poll
)

// acks are the requests of one session that Splunk has accepted and not yet acknowledged. For each it keeps an id,
// a time and a function: the events themselves are the caller's. One goroutine polls as long as there are any.
type acks struct {
	session *session
	turn    chan struct{} // one request at a time: a poll must not overtake the answer that brings its id

	mu       sync.Mutex
	pending  map[uint64]*pendingAck
	polling  bool
	verified bool   // the endpoint has answered a poll
	last     uint64 // the highest ackId
	any      bool   // last is valid
	problem  error  // why the last poll failed
}

// pendingAck is one accepted request.
type pendingAck struct {
	since time.Time
	count int         // of events
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
func (a *acks) add(ctx context.Context, id uint64, count int, done func(error)) {
	p := &pendingAck{since: a.session.lane.out.env.Now(), count: count, done: done}
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
	a.settle(lost, errLostAcks)
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

// settle ends requests that are in pending no more.
func (a *acks) settle(list []*pendingAck, err error) {
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
		a.settle([]*pendingAck{p}, err)
	}
}

// giveUpAll ends all requests and has the endpoint verified before the next.
func (a *acks) giveUpAll(err error) {
	a.mu.Lock()
	all := a.drain()
	a.verified = false
	a.mu.Unlock()
	a.settle(all, err)
}

// poll asks until nothing is pending. It is the session's one goroutine.
func (a *acks) poll() {
	o := a.session.lane.out
	interval := minPoll
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-o.life.Done():
			a.end()
			return
		}
		progress := a.ask()
		a.expire()
		if a.end() {
			return
		}
		if interval *= 2; progress {
			interval /= 4
		}
		interval = min(max(interval, minPoll), maxPoll, max(o.settings.AckTimeout/4, minPoll))
		timer.Reset(interval)
	}
}

// end reports whether the goroutine may end, and says so under the lock.
func (a *acks) end() bool {
	a.mu.Lock()
	empty := len(a.pending) == 0
	ended := empty || a.session.lane.out.life.Err() != nil
	a.polling = !ended
	a.mu.Unlock()
	if empty {
		a.session.lane.left(a.session)
	}
	return ended
}

// left closes the connections of a session that was replaced and now has nothing to wait for.
func (l *lane) left(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s {
		s.disconnect()
	}
}

// ids returns what to ask for, a bounded number.
func (a *acks) ids() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make([]uint64, 0, min(len(a.pending), pollIDs))
	for id := range a.pending {
		if len(ids) == cap(ids) {
			break
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// ask polls once and ends what is acknowledged. It reports whether anything was.
func (a *acks) ask() bool {
	o := a.session.lane.out
	ids := a.ids()
	if len(ids) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(o.life, o.settings.RequestTimeout)
	defer cancel()
	if a.take(ctx) != nil {
		return false
	}
	found, err := a.query(ctx, ids)
	a.release()
	a.mu.Lock()
	a.problem = err
	var confirmed []*pendingAck
	for _, id := range ids {
		if p := a.pending[id]; p != nil && found[id] {
			delete(a.pending, id)
			confirmed = append(confirmed, p)
		}
	}
	a.mu.Unlock()
	a.settle(confirmed, nil)
	if disabled := (*ackDisabledError)(nil); errors.As(err, &disabled) {
		a.giveUpAll(&outputs.HoldError{Err: err})
	}
	return len(confirmed) > 0
}

// ackDisabledError says that an endpoint gives no acknowledgements.
type ackDisabledError struct{ err error }

func (e *ackDisabledError) Error() string { return e.err.Error() }
func (e *ackDisabledError) Unwrap() error { return e.err }

// query asks the endpoint for ids. The caller holds the turn.
func (a *acks) query(ctx context.Context, ids []uint64) (map[uint64]bool, error) {
	s := a.session
	o, e := s.lane.out, s.lane.endpoint
	text, err := json.Marshal(map[string][]uint64{"acks": ids})
	if err != nil {
		return nil, err
	}
	o.metrics.polls.Inc()
	ans, data, err := s.do(ctx, http.MethodPost, e.ack, &body{bytes: text}, maxAcks)
	if err != nil {
		return nil, o.connectionError(e, fmt.Errorf("asking for acknowledgements: %w", err))
	}
	if found, ok := parseAcks(data); ok && ans.status == http.StatusOK {
		return found, nil
	}
	err = o.endpointError(e, fmt.Errorf("asking for acknowledgements: %w", ans.err()))
	switch v := ans.verdict(); {
	case ans.code == 14, ans.status == http.StatusNotFound, v == poison, v == accepted:
		return nil, &ackDisabledError{err}
	case v == hold:
		return nil, &outputs.HoldError{Err: err}
	default:
		return nil, &outputs.RetryError{Err: err, After: ans.retryAfter}
	}
}

// verify makes sure, before a session posts its first events, that the endpoint acknowledges at all. Without it a
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
	a.settle(late, o.unconfirmed(a.session.lane.endpoint, problem))
}

// unconfirmed is the error for events without acknowledgement.
func (o *Output) unconfirmed(e *endpoint, problem error) error {
	if problem != nil {
		return fmt.Errorf("not acknowledged within %v: %w", o.settings.AckTimeout, problem)
	}
	return o.endpointError(e, fmt.Errorf("not acknowledged within %v, sending again: behind a load balancer "+
		"acknowledgement needs sticky sessions; otherwise the indexers are behind", o.settings.AckTimeout))
}
