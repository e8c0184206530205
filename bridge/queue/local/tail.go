package local

import (
	"sync"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// tail keeps the newest committed events that some output has not finished, up to a limit of memory, so that workers
// that keep up read the very same events, decoded, without a look at the database.
type tail struct {
	limit int // bytes of memory, roughly

	mu      sync.RWMutex
	events  []*queue.Event // contiguous sequences, the last is the newest
	bytes   int
	lastSeq uint64        // the newest committed sequence
	changed chan struct{} // closed at the next commit; nil when nobody waits
}

// memoryOf estimates what an event costs in memory: its body, the decoded signal's strings and the structs.
func memoryOf(e *queue.Event) int { return 2*len(e.Body) + 1024 }

func (t *tail) reset(lastSeq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events, t.bytes, t.lastSeq = nil, 0, lastSeq
	t.wakeReaders()
}

// push adds committed events and drops those up to done and those beyond the limit.
func (t *tail) push(events []*queue.Event, done uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		t.bytes += memoryOf(e)
		t.lastSeq = e.Seq
	}
	t.events = append(t.events, events...)
	drop := 0
	for drop < len(t.events) && (t.events[drop].Seq <= done || t.bytes > t.limit) {
		t.bytes -= memoryOf(t.events[drop])
		drop++
	}
	// The space of the dropped ones is used again when append has to move the slice; until then it must not hold them.
	clear(t.events[:drop])
	t.events = t.events[drop:]
	if len(events) > 0 {
		t.wakeReaders()
	}
}

func (t *tail) wakeReaders() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// read returns up to limit events above after, of at most maxBytes of bodies except for the first. ok is false when
// there are committed events above after that are not in the tail.
func (t *tail) read(after uint64, limit, maxBytes int) (events []*queue.Event, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if after >= t.lastSeq {
		return nil, true
	}
	if len(t.events) == 0 || t.events[0].Seq > after+1 {
		return nil, false
	}
	start := int(after + 1 - t.events[0].Seq) //nolint:gosec // an index of events
	end := start
	for bytes := 0; end < len(t.events) && end-start < limit; end++ {
		bytes += len(t.events[end].Body)
		if bytes > maxBytes && end > start {
			break
		}
	}
	return append([]*queue.Event(nil), t.events[start:end]...), true
}

// first returns the sequence from which on the tail has everything.
func (t *tail) first() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.events) == 0 {
		return t.lastSeq + 1
	}
	return t.events[0].Seq
}

// last returns the newest committed sequence.
func (t *tail) last() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.lastSeq
}

// wait returns a channel that is closed when there may be events above after; nil when there are some already.
func (t *tail) wait(after uint64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lastSeq > after {
		return nil
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}
