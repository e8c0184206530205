package queue

import "time"

// pace decides whether a batch waits for more requests before its transaction begins.
//
// Senders that wait for their answers before they send again fall into two groups by themselves: while one group's
// transaction is on its way to the disk the other group's requests gather, and neither ever joins the other. Each then
// pays for a transaction that could have served both. So a batch waits until as many requests are there as were under way
// when the last transaction ended, but no longer than that one took. Where that many don't come (senders that don't wait),
// more and more transactions go without before it is tried again. A lone sender doesn't wait, nor does one that comes
// after a silence.
type pace struct {
	expected int           // requests that were under way when the last transaction ended
	ended    time.Time     // when that was
	limit    time.Duration // for the wait
	pause    int           // how many transactions went without after the last wait in vain
	skip     int           // how many of them are left
}

const (
	maxWait  = 10 * time.Millisecond // whatever the disk is doing
	maxPause = 64
)

// committed takes note of a transaction that served n requests, while waiting others came.
func (p *pace) committed(n, waiting int, began, ended time.Time) {
	p.expected, p.ended = n+waiting, ended
	p.limit = min(ended.Sub(began), maxWait)
}

// waits reports whether the next batch should wait.
func (p *pace) waits(now time.Time) bool {
	if p.expected < 2 || now.Sub(p.ended) > maxWait {
		return false
	}
	if p.skip > 0 {
		p.skip--
		return false
	}
	return true
}

// waited takes note of how a wait ended.
func (p *pace) waited(complete bool) {
	if complete {
		p.pause = 0
		return
	}
	p.pause = min(2*p.pause+1, maxPause)
	p.skip = p.pause
}

// gather lets requests join those that wait for the next transaction.
func (q *embedded) gather() {
	if !q.intake.lacks(q.pace.expected) || !q.pace.waits(time.Now()) {
		return
	}
	limit := time.NewTimer(q.pace.limit)
	defer limit.Stop()
	for q.intake.lacks(q.pace.expected) {
		select {
		case <-q.wake:
		case <-limit.C:
			q.pace.waited(false)
			return
		case <-q.stop:
			return
		}
	}
	q.pace.waited(true)
}
