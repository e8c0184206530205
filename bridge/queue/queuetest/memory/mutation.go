package memory

import (
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Mutation names one way in which a queue is wrong on purpose, so that a test of the suite can show that it is found.
type Mutation string

// The mutations.
const (
	answersBeforeSync Mutation = "answers before the sync"
	failsHalf         Mutation = "a failed write leaves a trace"
	sharesNothing     Mutation = "a duplicate in flight is judged alone"
	forgetsCursors    Mutation = "forgets cursors over a restart"
	givesTwice        Mutation = "gives a number twice"
	forgetsItems      Mutation = "forgets the quarantine over a restart"
	forgetsDeliveries Mutation = "forgets deliveries over a restart"
	forgetsEvicted    Mutation = "forgets what it had to forget over a restart"
	forgetsOutcomes   Mutation = "forgets outcomes over a restart"
	forgetsNotes      Mutation = "forgets a field of an event over a restart"
	forgetsResends    Mutation = "forgets over a restart what was re-sent"
	forgetsAccepted   Mutation = "forgets the last accepted event over a restart"
	keepsGeneration   Mutation = "keeps its generation over a restart"
	opensTwice        Mutation = "opens twice"
	dropsInVain       Mutation = "drops before it judges the room"
	dropsOthers       Mutation = "drops what others need"
	hidesGaps         Mutation = "sends a lost gap silently"
	sharesQuarantine  Mutation = "one output's quarantine takes the receiver's room"
	refusesTwice      Mutation = "a repeated refusal is a second item"
	resendsTwice      Mutation = "a repeated re-send is a second event"
	resendsToNobody   Mutation = "re-sends to an output that doesn't exist"
	countsResends     Mutation = "a re-sent event counts as accepted"
	progressWaits     Mutation = "progress doesn't ride along with appends"
	droppedWins       Mutation = "dropped wins over delivered"
	cursorsMoveBack   Mutation = "a cursor moves back"
	advancesBeyond    Mutation = "a cursor moves beyond the newest event"
	evictsSilently    Mutation = "evicts without a trace"
	expiresSilently   Mutation = "lets what a wrong clock has expired come again"
	refreshes         Mutation = "a look-up refreshes an entry's age"
	boundsReuses      Mutation = "compares 16 events of one delivery ID"
	startsNow         Mutation = "a new output never starts at the oldest event"
	removedHoldsBack  Mutation = "a removed output holds events back"
	removedIsSilent   Mutation = "a removed output's events go untold"
	ownsTwice         Mutation = "two own one output"
	tenureLivesOn     Mutation = "a tenure outlives its output and a replay"
	neverWakes        Mutation = "wakes no reader"
	readsTooMuch      Mutation = "reads more than was asked for"
	refusesKnown      Mutation = "a full queue answers no duplicates"
	mixesEndpoints    Mutation = "a body at another endpoint is a duplicate"
	roundsDown        Mutation = "an outcome was there before it happened"
	keepsOutcomes     Mutation = "outcomes never expire"
	reusesItemIDs     Mutation = "gives an item's ID twice"
	releaseForgets    Mutation = "a release forgets what was advanced"
	startsAtOldest    Mutation = "a new output always starts at the oldest event"
	splitsRefusals    Mutation = "stores some of the refusals that don't fit"
)

// reopened is the state that a wrong queue finds when it is opened.
func (m Mutation) reopened(s *state) *state {
	s = s.clone()
	switch m {
	case forgetsCursors:
		for _, o := range s.outputs {
			o.cursor = 0
		}
	case givesTwice:
		if s.lastSeq > 0 && len(s.events) == 0 {
			s.lastSeq--
		}
	case forgetsItems:
		clear(s.items)
	case forgetsDeliveries:
		s.seen = nil
	case forgetsEvicted:
		clear(s.evictedUpTo)
	case forgetsOutcomes:
		for _, o := range s.outputs {
			o.noted = nil
		}
	case forgetsNotes:
		for i := range s.events {
			e := *s.events[i]
			e.Notes = nil
			s.events[i] = &e
		}
	case forgetsResends:
		clear(s.resent)
	case forgetsAccepted:
		clear(s.lastAccepted)
	}
	return s
}

// memory is what Judge asks.
func (m Mutation) memory(s *state) queue.DedupeIndex {
	switch m {
	case boundsReuses:
		return boundedMemory{s}
	case mixesEndpoints:
		return mixedMemory{s}
	}
	return s
}

// mixedMemory finds a body whatever endpoint it came to.
type mixedMemory struct{ *state }

// Body implements queue.DedupeIndex.
func (m mixedMemory) Body(_ string, digest queue.Digest) (queue.Remembered, error) {
	return m.find(func(r *seen) bool { return r.digest == digest }), nil
}

// boundedMemory compares the newest 16 events of a delivery ID.
type boundedMemory struct{ *state }

// Delivery implements queue.DedupeIndex.
func (m boundedMemory) Delivery(endpoint, deliveryID, signalID string) (same, newest queue.Remembered, err error) {
	same, newest, err = m.state.Delivery(endpoint, deliveryID, signalID)
	if newest.Seq-same.Seq >= 16 {
		same = queue.Remembered{}
	}
	return same, newest, err
}

// lookedUp is where a wrong queue makes an entry young again.
func (c *change) lookedUp(r queue.Receipt) {
	if c.wrong != refreshes || r.Verdict != queue.Duplicate {
		return
	}
	var others, found []*seen
	for _, e := range c.seen {
		if e.Seq != r.Seq {
			others = append(others, e)
			continue
		}
		young := *e
		young.ReceivedAt = c.now
		found = append(found, &young)
	}
	c.seen = append(others, found...)
	c.written = true
}
