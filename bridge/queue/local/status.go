package local

import (
	"maps"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// publishStatus notes what has changed, so that Status never waits for the committer's disk.
func (q *committer) publishStatus() {
	q.mu.RLock()
	st := q.statusOf(q.store)
	q.mu.RUnlock()
	q.statusMu.Lock()
	st.Healthy, st.Problem, st.Full = q.status.Healthy, q.status.Problem, q.status.Full
	recovered := false
	if q.faults.cause == nil && q.spaceLeft() {
		recovered = !st.Healthy && !q.status.AsOf.IsZero()
		st.Healthy = true
		q.vouches.Store(true)
	}
	st.Full = st.Full && st.Bytes+q.fullNeed > st.MaxBytes
	if st.Healthy && !st.Full {
		st.Problem = ""
	}
	q.status = st
	q.statusMu.Unlock()
	if recovered {
		q.opts.Log.Info("the queue can write again", "event", "queue_recovered")
	}
}

// noteFull notes that an append found no room for need bytes; nil: none did.
func (q *committer) noteFull(full error, need int64) {
	if full == nil {
		return
	}
	q.fullNeed = need
	q.statusMu.Lock()
	defer q.statusMu.Unlock()
	q.status.Full, q.status.Problem = true, full.Error()
}

// spaceLeft reports whether appends have room on the disk.
func (q *committer) spaceLeft() bool {
	log := q.store.log
	return q.prepareErr.Load() == nil || log.Room() >= 2*min(lastRoom, log.Active().Size()/8)
}

// setProblem says why the queue isn't healthy.
func (q *engine) setProblem(problem string) {
	q.statusMu.Lock()
	changed := q.status.Healthy
	q.status.Healthy, q.status.Problem = false, problem
	q.statusMu.Unlock()
	if changed {
		q.opts.Log.Error("the queue can't take events; webhooks get 503 until it can", "event", "queue_unavailable", "error", problem)
	}
}

// statusOf is what the store says, but for the outputs. The caller holds mu.
func (q *engine) statusOf(s *store) queue.Status {
	consumed := s.state.consumed()
	_, letterBytes, letterCount := s.letters.sizes()
	l := q.opts.limits.get()
	st := queue.Status{
		AsOf: q.opts.Now(), BridgeID: s.state.BridgeID,
		FirstSeq: consumed + 1, LastSeq: s.state.LastSeq, Events: s.state.waiting(consumed), Bytes: s.used(), MaxBytes: l.MaxBytes,
		DeadLetters: letterCount, QuarantineBytes: letterBytes, QuarantineMaxBytes: l.QuarantineMaxBytes,
		Remembered: s.remembered, Capacity: q.opts.Capacity, Evicted: s.evicted, Commits: q.commits.Load(),
	}
	for _, x := range s.indexes {
		if !x.retired {
			st.DiskBytes += x.meta.Bytes
		}
		if x.side != nil {
			st.DiskBytes += x.side.end
		}
	}
	st.DiskBytes += letterBytes
	if s.remembered > 0 && !s.oldestSeen.IsZero() {
		st.WindowCovered = max(0, q.opts.Now().Sub(s.oldestSeen))
	}
	for _, loss := range s.state.openLosses() {
		st.Losses++
		switch {
		case loss.First != 0:
			st.LostEvents += loss.Last - loss.First + 1
		default:
			st.LostUnknown = true
		}
	}
	return st
}

// Status implements queue.Reporter.
func (q *engine) Status() queue.Status {
	q.statusMu.Lock()
	st := q.status
	q.statusMu.Unlock()
	l := q.opts.limits.get()
	st.MaxBytes, st.QuarantineMaxBytes = l.MaxBytes, l.QuarantineMaxBytes
	if err := q.readErr.Load(); err != nil && st.Problem == "" {
		st.Problem = "a part of the queue can't be read, and is tried again: " + (*err).Error()
	}
	q.outputStatus(&st)
	return st
}

func (q *engine) outputStatus(st *queue.Status) {
	all := q.places.snapshot()
	l := q.opts.limits.get()
	owned := q.tenures.ownedKeys()
	q.mu.RLock()
	byOutput, _, _ := q.store.letters.sizes()
	if low, ok := lowestCursor(all); ok && !q.store.state.CursorsLost {
		low = min(low, q.store.state.LastSeq)
		st.FirstSeq, st.Events = low+1, q.store.state.waiting(low)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		o := queue.OutputStatus{
			Name: name, Cursor: p.cursor, Queued: q.store.state.waiting(p.cursor), Dropped: p.dropped,
			QuarantineBytes: byOutput[name], QuarantineFull: q.store.letters.isFull(name, outputShare(l, len(all))),
		}
		if owned[name] {
			o.Owner = q.opts.Bridge
		}
		st.Outputs = append(st.Outputs, o)
	}
	q.mu.RUnlock()
	for i := range st.Outputs {
		if st.Outputs[i].Queued > 0 {
			st.Outputs[i].Oldest = q.receivedAt(st.Outputs[i].Cursor)
		}
	}
}

// lowestCursor is what every output has advanced to; false: there is none.
func lowestCursor(all map[string]place) (low uint64, ok bool) {
	low = ^uint64(0)
	for _, p := range all {
		low = min(low, p.cursor)
	}
	return low, len(all) > 0
}

// receivedAt is when the first event above a cursor was received; zero when that isn't known without reading the disk. It is
// then read in the background, for those who ask again.
func (q *engine) receivedAt(cursor uint64) time.Time {
	if events, ok := q.tail.read(cursor, 1, 0); ok && len(events) > 0 {
		return events[0].ReceivedAt
	}
	if at, ok := q.oldest.get(cursor); ok {
		return at
	}
	q.mu.RLock()
	at := q.store.receivedAt(cursor + 1)
	q.mu.RUnlock()
	if at.IsZero() {
		select {
		case q.oldest.wanted <- cursor:
		default: // the next one who asks tries again
		}
	}
	return at
}

// receivedAt is when the event seq was received, as the memory of deliveries that is not on the disk knows it; zero: it doesn't.
func (s *store) receivedAt(seq uint64) time.Time {
	for _, x := range s.indexes {
		if x.side != nil || x.meta.LastSeq < seq {
			continue
		}
		n := sort.Search(x.entries.len(), func(i int) bool {
			v, err := viewEntry(x.entries.at(i))
			return err == nil && v.seq >= seq
		})
		if n < x.entries.len() {
			if v, err := viewEntry(x.entries.at(n)); err == nil && v.seq == seq {
				return v.receivedAt
			}
		}
		return time.Time{}
	}
	return time.Time{}
}

// oldest remembers, by cursor, when the event behind it was received.
type oldest struct {
	wanted chan uint64 // cursors that somebody has asked for

	mu sync.Mutex
	at map[uint64]time.Time
}

// maxOldest is how many are remembered.
const maxOldest = 64

func newOldest() *oldest { return &oldest{wanted: make(chan uint64, 16), at: map[uint64]time.Time{}} }

func (o *oldest) get(cursor uint64) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.at[cursor]
	return at, ok
}

func (o *oldest) set(cursor uint64, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.at) >= maxOldest {
		clear(o.at)
	}
	o.at[cursor] = at
}

func (o *oldest) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.at)
}

// findOldest reads what Status was asked for and does not know.
func (q *engine) findOldest() {
	for {
		select {
		case cursor := <-q.oldest.wanted:
			b := queue.Batch{Through: cursor}
			if _, err := q.readStored(q.current(), &b, math.MaxInt64, 1, 0); err == nil && len(b.Events) > 0 {
				q.oldest.set(cursor, b.Events[0].ReceivedAt)
			}
		case <-q.stop:
			return
		}
	}
}

// fillLevels are the shares of the allowance, in percent, at which a warning is due.
var fillLevels = [...]int64{50, 80, 100}

// watchFill warns when the allowance fills up, once a level; a level is armed again 10 points below it.
func (q *committer) watchFill(full error) {
	l := q.opts.limits.get()
	bytes := q.store.used()
	percent := bytes * 100 / l.MaxBytes
	if full != nil {
		percent = 100
	}
	q.places.setHurry(percent >= fillLevels[1])
	for q.warned > 0 && percent < fillLevels[q.warned-1]-10 {
		q.warned--
	}
	before := q.warned
	for q.warned < len(fillLevels) && percent >= fillLevels[q.warned] {
		q.warned++
	}
	if q.warned > before {
		event := "queue_filling"
		if percent >= 100 {
			event = "queue_full"
		}
		q.opts.Log.Warn("the queue is filling up: an output does not take its events",
			"event", event, "percent", percent, "output", q.places.slowest(), "bytes", bytes, "max_bytes", l.MaxBytes)
	}
}

// throttleInterval is how often what goes on and on is logged.
const throttleInterval = 10 * time.Second

// logThrottle is what the log has to say about groups that come by the hundred: one line for all of an interval.
type logThrottle struct {
	said    time.Time
	dropped map[string]seqRange // by output: from the first to the last that drop_oldest gave up
	evicted uint64              // as last said
	now     uint64
}

func (n *logThrottle) note(t *txn, evicted uint64) {
	n.now = evicted
	for _, m := range t.moves {
		if !m.drop {
			continue
		}
		if n.dropped == nil {
			n.dropped = make(map[string]seqRange)
		}
		r, ok := n.dropped[m.name]
		if !ok {
			r.First = m.outcomes[0].First
		}
		r.Last = m.through
		n.dropped[m.name] = r
	}
}

// say logs what was noted, unless that was done a moment ago.
func (n *logThrottle) say(log logger, now time.Time, capacity int) {
	if (n.evicted == n.now && len(n.dropped) == 0) || now.Sub(n.said) < throttleInterval {
		return
	}
	for output, r := range n.dropped {
		log.Warn("the queue is full: the oldest events of an output with when_full = drop_oldest were dropped",
			"event", "record_dropped", "output", output, "first", r.First, "last", r.Last)
	}
	if n.evicted != n.now {
		log.Warn("the memory of seen deliveries is full: entries younger than dedupe.window were evicted; raise dedupe.capacity",
			"event", "dedupe_evicted", "evicted", n.now-n.evicted, "capacity", capacity)
	}
	*n = logThrottle{said: now, evicted: n.now, now: n.now}
}

// logger is the one method that logThrottle needs.
type logger interface{ Warn(msg string, args ...any) }
