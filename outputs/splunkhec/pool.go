package splunkhec

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// pool knows how the collectors are. Requests go to the healthy ones in turn. One that failed is left alone for a
// while of its own, doubling from minDown to maxDown, and is then asked for its health in the background, so that a
// dead collector costs a live one no time. Only when none is healthy does a request try an unhealthy one, and these take
// turns, too: the jitter of their rests must not decide how soon one that is back is found.
type pool struct {
	now        func() time.Time
	check      func(*collector) // starts a health check in the background
	mu         sync.Mutex
	collectors []*collector
	next       int // where the turn is
	last       *collector
}

const (
	minDown = time.Second
	maxDown = time.Minute
)

// health is what the pool knows of one collector; the pool's mutex guards it.
type health struct {
	fails    int       // in a row
	down     bool      // not to be used while others are up
	until    time.Time // when it is worth another look
	blocked  time.Time // Retry-After: not to be asked before
	checking bool
	problem  error // the last failure
}

// pick returns the collector for one request: the next healthy one that isn't in tried, else the next unhealthy one, which
// must have rested long enough if another was tried already. nil means none; wait is then how long all of them asked to
// be left alone, 0 if they didn't.
func (p *pool) pick(tried []*collector) (ep *collector, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.revive(now)
	for i := range p.collectors {
		if e := p.inTurn(i); !e.health.down && !slices.Contains(tried, e) {
			return p.take(i), 0
		}
	}
	return p.pickUnhealthy(now, tried)
}

func (p *pool) pickUnhealthy(now time.Time, tried []*collector) (ep *collector, wait time.Duration) {
	for i := range p.collectors {
		e := p.inTurn(i)
		h := &e.health
		if left := h.blocked.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if slices.Contains(tried, e) || len(tried) > 0 && h.until.After(now) {
			continue
		}
		return p.take(i), 0
	}
	return nil, wait
}

// inTurn is the collector whose turn comes after i others.
func (p *pool) inTurn(i int) *collector { return p.collectors[(p.next+i)%len(p.collectors)] }

// take gives the turn to that collector, and the next one to the collector behind it.
func (p *pool) take(i int) *collector {
	p.last = p.inTurn(i)
	p.next = (p.next + i + 1) % len(p.collectors)
	return p.last
}

// revive starts the health checks that are due. Without a healthy collector the requests themselves are the check.
func (p *pool) revive(now time.Time) {
	up := false
	for _, e := range p.collectors {
		up = up || !e.health.down
	}
	for _, e := range p.collectors {
		h := &e.health
		if up && h.down && !h.checking && !h.until.After(now) && !h.blocked.After(now) {
			h.checking = true
			p.check(e)
		}
	}
}

// checked notes the result of a health check. A healthy collector gets requests again; its count of failures stays
// until one succeeds, so that a health page that knows nothing of the token doesn't reset the back-off.
func (p *pool) checked(e *collector, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.health.checking = false
	if err != nil {
		p.markDown(e, err)
		return
	}
	e.health.down = false
}

// failed notes that a request to e failed, and returns whether that is news: another problem than before.
func (p *pool) failed(e *collector, err error, retryAfter time.Duration) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	news = e.health.problem == nil || e.health.problem.Error() != err.Error()
	p.markDown(e, err)
	if retryAfter > 0 {
		e.health.blocked = p.now().Add(retryAfter)
	}
	return news
}

func (p *pool) markDown(e *collector, err error) {
	h := &e.health
	h.down, h.problem = true, err
	d := min(minDown<<min(h.fails, 10), maxDown)
	h.fails++
	h.until = p.now().Add(d/2 + rand.N(d/2+1)) //nolint:gosec // jitter
}

// succeeded notes that e answered well, and returns whether that is news.
func (p *pool) succeeded(e *collector) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	news = e.health.problem != nil
	checking := e.health.checking
	e.health = health{checking: checking}
	return news
}

// untried returns the last problems of the collectors that are not in tried.
func (p *pool) untried(tried []*collector) (problems []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.collectors {
		if e.health.problem != nil && !slices.Contains(tried, e) {
			problems = append(problems, e.health.problem)
		}
	}
	return problems
}

// snapshot returns the problems of the collectors that are down and the one used last (nil: none yet).
func (p *pool) snapshot() (problems []error, last *collector) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.collectors {
		if e.health.problem != nil {
			problems = append(problems, e.health.problem)
		}
	}
	return problems, p.last
}

// up counts the collectors that work as far as is known.
func (p *pool) up() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.collectors {
		if !e.health.down {
			n++
		}
	}
	return n
}
