package memory

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// state is everything that is durable. A published state never changes: whoever wants to change something clones it.
type state struct {
	bridgeID string
	lastSeq  uint64
	events   []*queue.Event // the kept ones, contiguous up to lastSeq
	seen     []*seen        // by age
	outputs  map[string]*output

	items    map[uint64]*queue.DeadLetter
	lastItem uint64
	resent   map[uint64]uint64 // item ID to the sequence that it got

	evictedUpTo  map[string]time.Time // by endpoint
	lastAccepted map[string]time.Time // by endpoint
	evicted      uint64
	commits      uint64
}

// seen is one remembered delivery.
type seen struct {
	queue.Seen
	digest queue.Digest
	sentAt time.Time
}

// output is one output's durable place.
type output struct {
	spec    queue.OutputSpec
	cursor  uint64
	noted   []queue.OutcomeRange // as queue.MergeOutcomes wants them
	dropped uint64
	bridges map[string]bool // the bridges whose last declaration names it
	unnamed time.Time       // since when no bridge names it
}

func newState(bridgeID string) *state {
	return &state{
		bridgeID: bridgeID, outputs: make(map[string]*output), items: make(map[uint64]*queue.DeadLetter),
		resent: make(map[uint64]uint64), evictedUpTo: make(map[string]time.Time), lastAccepted: make(map[string]time.Time),
	}
}

func (s *state) clone() *state {
	c := *s
	c.events, c.seen = slices.Clip(s.events), slices.Clip(s.seen) // an append makes a copy
	c.outputs = make(map[string]*output, len(s.outputs))
	for name, o := range s.outputs {
		copied := *o
		copied.noted = slices.Clone(o.noted)
		copied.bridges = maps.Clone(o.bridges)
		c.outputs[name] = &copied
	}
	c.items, c.resent = maps.Clone(s.items), maps.Clone(s.resent)
	c.evictedUpTo, c.lastAccepted = maps.Clone(s.evictedUpTo), maps.Clone(s.lastAccepted)
	return &c
}

// first is the oldest kept sequence, lastSeq+1 when there is none.
func (s *state) first() uint64 { return s.lastSeq + 1 - uint64(len(s.events)) }

// event returns a kept event, or nil.
func (s *state) event(seq uint64) *queue.Event {
	if seq < s.first() || seq > s.lastSeq {
		return nil
	}
	return s.events[seq-s.first()]
}

// lowest is the lowest cursor of the outputs that count asks for; MaxUint64 when there are none.
func (s *state) lowest(count func(*output) bool) uint64 {
	low := uint64(math.MaxUint64)
	for _, o := range s.outputs {
		if count(o) {
			low = min(low, o.cursor)
		}
	}
	return low
}

// done is the sequence that every output is past. Without an output nobody has got anything.
func (s *state) done() uint64 {
	if len(s.outputs) == 0 {
		return 0
	}
	return s.lowest(func(*output) bool { return true })
}

// needed is what the events above a cursor take.
func (s *state) needed(cursor uint64) (events uint64, bytes int64) {
	for _, e := range s.events {
		if e.Seq > cursor {
			events++
			bytes += sizeOf(e)
		}
	}
	return events, bytes
}

// sizeOf is what an event takes of an allowance.
func sizeOf(e *queue.Event) int64 {
	size := 256 + len(e.Body) + len(e.Endpoint) + len(e.DeliveryID)
	for _, h := range e.Header {
		size += len(h.Name) + len(h.Value)
	}
	return int64(size)
}

// The following implement queue.DedupeIndex.

// find returns the matching delivery that was received last. It need not have the highest sequence: a clock can be set back.
func (s *state) find(match func(*seen) bool) (last queue.Remembered) {
	for _, r := range s.seen {
		if match(r) && !r.ReceivedAt.Before(last.ReceivedAt) {
			last = queue.Remembered{Seq: r.Seq, ReceivedAt: r.ReceivedAt}
		}
	}
	return last
}

// Body implements queue.DedupeIndex.
func (s *state) Body(endpoint string, digest queue.Digest) (queue.Remembered, error) {
	return s.find(func(r *seen) bool { return r.Endpoint == endpoint && r.digest == digest }), nil
}

// Delivery implements queue.DedupeIndex.
func (s *state) Delivery(endpoint, deliveryID, signalID string) (same, newest queue.Remembered, err error) {
	known := func(r *seen) bool { return r.Endpoint == endpoint && r.DeliveryID == deliveryID }
	return s.find(func(r *seen) bool { return known(r) && r.SignalID == signalID }), s.find(known), nil
}

// DeadLetter implements queue.DedupeIndex.
func (s *state) DeadLetter(endpoint string, digest queue.Digest) (bool, error) {
	for _, item := range s.items {
		if item.Output == "" && item.Event.Endpoint == endpoint && queue.DigestOf(item.Event.Body) == digest {
			return true, nil
		}
	}
	return false, nil
}

// EvictedUpTo implements queue.DedupeIndex.
func (s *state) EvictedUpTo(endpoint string) time.Time { return s.evictedUpTo[endpoint] }
