package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// held is what this bridge has acknowledged last, to append it again when the database has gone back in time.
type held struct {
	events []*queue.Event
	bytes  int
	limit  int
}

func (h *held) add(e *queue.Event) {
	h.events = append(h.events, e)
	h.bytes += len(e.Body)
	for h.bytes > h.limit && len(h.events) > 1 {
		h.bytes -= len(h.events[0].Body)
		h.events[0] = nil
		h.events = h.events[1:]
	}
}

// receivedAt returns when an event was received that is among them.
func (h *held) receivedAt(seq uint64) (time.Time, bool) {
	i, found := slices.BinarySearchFunc(h.events, seq, func(e *queue.Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
	if !found {
		return time.Time{}, false
	}
	return h.events[i].ReceivedAt, true
}

// foldBack finds out whether the database is the one that this bridge knows, before anything is judged. One that has lost what was
// acknowledged gets a new identity, and goes on above everything that was given before.
func (c *commit) foldBack() {
	q := c.q
	q.mu.Lock()
	known, answered := q.known.bridgeID, q.known.answered
	q.mu.Unlock()
	if known == "" || known == c.bridgeID && c.lastSeq >= answered {
		return
	}
	c.rolledBack = true
	if known != c.bridgeID { // another bridge has seen it and has given the new identity
		return
	}
	c.lost = [2]uint64{c.lastSeq + 1, answered}
	c.bridgeID, c.lastSeq = uuid.NewString(), answered
}

// tellLoss adds what a commit has found lost to its statements.
func (c *commit) tellLoss(b *pgx.Batch) {
	if c.lost[1] == 0 {
		return
	}
	b.Queue(c.q.db.sql("INSERT INTO SCHEMA.loss (at, what, first, last, records) VALUES ($1, $2, $3::bigint, $4::bigint, $4::bigint - $3::bigint + 1)"), nanos(c.at),
		fmt.Sprintf("the database has gone back in time: bridge_seq %d to %d were acknowledged and are gone from it; what the bridges still had is appended again "+
			"under new numbers", c.lost[0], c.lost[1]), c.lost[0], c.lost[1])
}

// appendAgain ends every tenure and appends again what this bridge still has of what it has acknowledged. The rest is lost.
func (q *Queue) appendAgain(c *commit) {
	q.metrics.rolledBack.Inc()
	q.log.Error("the database has gone back in time; what this bridge still has of what it acknowledged is appended again", "event", "queue_rolled_back",
		"first", c.lost[0], "last", c.lost[1], "bridge_id", c.bridgeID)
	q.mu.Lock()
	events := q.held.events
	q.held.events, q.held.bytes = nil, 0
	q.known.bridgeID = c.bridgeID
	q.known.lastSeq, q.known.answered = c.lastSeq, c.lastSeq
	q.generation++
	q.tails = map[string]tail{}
	q.mu.Unlock()
	for _, l := range q.owned() {
		if l.table == "output" {
			l.end(errRolledBack)
		}
	}
	q.wg.Go(func() {
		for _, e := range events {
			again := *e
			again.Seq = 0
			if _, err := q.Append(q.ctx, &again, ""); err != nil && !errors.Is(err, context.Canceled) {
				q.log.Error("an acknowledged event could not be appended again", "event", "queue_rolled_back", "delivery_id", e.DeliveryID, "error", err)
			}
		}
	})
}

var errRolledBack = errors.New("the database has gone back in time")
