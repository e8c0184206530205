package webhook

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// clockSuspectAfter is how many deliveries in a row, all stale or all from the future, make this host's clock suspect.
// One late retry is ordinary, ten fresh signals that all look old are not.
const clockSuspectAfter = 10

// clockWatch counts deliveries in a row that failed freshness, per endpoint.
type clockWatch struct {
	inARow atomic.Int64

	mu     sync.Mutex
	reason string
	said   int64 // the count at which the last line was written
}

// suspect reports whether so many failed in a row that the clock is the likely cause.
func (c *clockWatch) suspect() bool { return c.inARow.Load() >= clockSuspectAfter }

// failed counts one, and reports how many there are in a row when that is worth a line: at ten times as many as before.
func (c *clockWatch) failed(reason string) (inARow int64, loud bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != reason {
		c.reason, c.said = reason, 0
		c.inARow.Store(0)
	}
	inARow = c.inARow.Add(1)
	if inARow < max(clockSuspectAfter, 10*c.said) {
		return inARow, false
	}
	c.said = inARow
	return inARow, true
}

// fine ends a row, and reports whether it had been said to be suspect.
func (c *clockWatch) fine() bool {
	if c.inARow.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.said > 0
	c.inARow.Store(0)
	c.reason, c.said = "", 0
	return was
}

// watchClock notices a wrong clock. Duplicates don't count: an attacker can repeat an old body as often as it likes.
func (x *requestState) watchClock(e *queue.Event, receipt queue.Receipt) {
	clock := &x.ep.counters.clock
	switch {
	case receipt.Verdict == queue.Accepted:
		if clock.fine() {
			x.h.log.Info("deliveries are fresh again", "endpoint", e.Endpoint)
		}
	case receipt.Verdict == queue.Quarantined && (receipt.Reason == ReasonStale || receipt.Reason == ReasonFuture):
		inARow, loud := clock.failed(receipt.Reason)
		if !loud {
			return
		}
		sent, _ := e.Signal.SentAt()
		x.h.log.Error("many signed deliveries in a row have a timestamp out of bounds and are quarantined: check this host's clock (timedatectl)",
			"endpoint", e.Endpoint, "reason", receipt.Reason, "in_a_row", inARow,
			"host_time", x.now.UTC().Format(time.RFC3339), "delivery_time", sent.UTC().Format(time.RFC3339))
	}
}
