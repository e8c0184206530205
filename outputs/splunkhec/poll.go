package splunkhec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The acknowledgement poll's interval: it halves while acknowledgements come in and doubles while none do.
const (
	minPoll     = 200 * time.Millisecond
	maxPoll     = 8 * time.Second  // less than idleTimeout: the polls keep the connection, and so the node
	pollTimeout = 10 * time.Second // less than a request's: events wait for their turn behind it
	pollIDs     = 10_000           // ids in one poll
)

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
	ctx, cancel := context.WithTimeout(o.life, min(o.settings.RequestTimeout, pollTimeout))
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
	a.complete(confirmed, nil)
	if disabled := (*ackDisabledError)(nil); errors.As(err, &disabled) {
		a.giveUpAll(&outputs.BlockedError{Err: err})
	}
	if err != nil && o.env.CheckOwner() != nil { // noneTook asks any more, so nothing more is confirmed
		a.giveUpAll(outputs.ErrNotOwner)
	}
	return len(confirmed) > 0
}

// ackDisabledError says that a collector gives no acknowledgements.
type ackDisabledError struct{ err error }

func (e *ackDisabledError) Error() string { return e.err.Error() }
func (e *ackDisabledError) Unwrap() error { return e.err }

// query asks the collector for ids. The caller holds the turn.
func (a *acks) query(ctx context.Context, ids []uint64) (map[uint64]bool, error) {
	s := a.session
	o, e := s.lane.out, s.lane.collector
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
	err = o.collectorError(e, fmt.Errorf("asking for acknowledgements: %w", ans.err()))
	switch v := ans.verdict(); {
	case ans.code == 14, ans.status == http.StatusNotFound, v == rejectedEvent, v == accepted:
		return nil, &ackDisabledError{err}
	case v == blocked:
		return nil, &outputs.BlockedError{Err: err}
	default:
		return nil, &outputs.RetryError{Err: err, After: ans.retryAfter}
	}
}
