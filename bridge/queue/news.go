package queue

import (
	"log/slog"
	"sync"
	"time"
)

// newsInterval is how often what goes on and on is logged.
const newsInterval = 10 * time.Second

// news is what the log has to say about commits that come by the hundred: one line for all of an interval.
type news struct {
	said    time.Time
	dropped map[string]Run // by output: from the first to the last that drop_oldest gave up
	evicted uint64
}

func (n *news) note(t *txn) {
	n.evicted += t.evictions
	for _, f := range t.flushed {
		if !f.drop {
			continue
		}
		if n.dropped == nil {
			n.dropped = make(map[string]Run)
		}
		run, ok := n.dropped[f.name]
		if !ok {
			run = f.runs[0]
		}
		run.Last = f.through
		n.dropped[f.name] = run
	}
}

// say logs what was noted, unless that was done a moment ago.
func (n *news) say(log *slog.Logger, now time.Time, capacity int) {
	if (n.evicted == 0 && len(n.dropped) == 0) || now.Sub(n.said) < newsInterval {
		return
	}
	for output, run := range n.dropped {
		log.Warn("the queue is full: the oldest events of an output with when_full = drop_oldest were dropped",
			"event", "record_dropped",
			"output", output, "first", run.First, "last", run.Last)
	}
	if n.evicted > 0 {
		log.Warn("the memory of seen deliveries is full: entries younger than dedupe.window had to go; raise dedupe.capacity",
			"event", "dedupe_evicted",
			"evicted", n.evicted, "capacity", capacity)
	}
	*n = news{said: now}
}

// duplicates counts the answers "duplicate" by the first one's sequence, for people who ask.
type duplicates struct {
	mu    sync.Mutex
	bySeq map[uint64]int
}

// maxDuplicates bounds the sequences that are counted; beyond, the counting begins anew.
const maxDuplicates = 10_000

func (d *duplicates) count(seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bySeq == nil || len(d.bySeq) >= maxDuplicates {
		d.bySeq = make(map[uint64]int)
	}
	d.bySeq[seq]++
}

func (d *duplicates) of(seq uint64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bySeq[seq]
}
