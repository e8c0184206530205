package webhook

import (
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// answeredSize is how many answered deliveries are known by their body, and as many by their IDs.
const answeredSize = 8192

// answered is the cache of deliveries that the queue has said to be accepted, in front of it: in a storm of retries nothing
// waits for a commit. It promises nothing that the queue has not promised before. What the queue has quarantined is never in it.
//
// An entry counts while it is younger than the window (look-ups don't refresh its age), and while the queue has the
// generation under which it gave its answer. A queue that is unavailable has the generation 0, so that it is asked then.
type answered struct {
	queue  queue.Appender
	byBody *lru.Cache[answeredBody, *answer200]
	byIDs  *lru.Cache[answeredIDs, *answer200]
	hits   atomic.Uint64
}

// answer200 is one accepted delivery.
type answer200 struct {
	seq        uint64
	since      time.Time // from when on the window counts
	generation uint64
	hits       atomic.Int64
}

type answeredBody struct {
	endpoint string
	body     queue.Digest
}

// answeredIDs is a key only when both IDs are there: the signature covers the signal ID alone.
type answeredIDs struct{ endpoint, delivery, signal string }

func newAnswered(q queue.Appender) *answered {
	byBody, err := lru.New[answeredBody, *answer200](answeredSize)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	byIDs, err := lru.New[answeredIDs, *answer200](answeredSize)
	if err != nil {
		panic(err) // as above
	}
	return &answered{queue: q, byBody: byBody, byIDs: byIDs}
}

// find returns the sequence under which a delivery was accepted before, as far as that is known here.
func (a *answered) find(e *queue.Event, body queue.Digest, now time.Time, window time.Duration) (seq uint64, ok bool) {
	known, ok := a.byBody.Get(answeredBody{e.Endpoint, body})
	if !ok || !a.counts(known, now, window) {
		ids, both := idsOf(e)
		if !both {
			return 0, false
		}
		if known, ok = a.byIDs.Get(ids); !ok || !a.counts(known, now, window) {
			return 0, false
		}
	}
	known.hits.Add(1)
	a.hits.Add(1)
	return known.seq, true
}

func (a *answered) counts(known *answer200, now time.Time, window time.Duration) bool {
	return now.Sub(known.since) <= window && known.generation == a.queue.Generation()
}

// add takes over what the queue has said of e.
func (a *answered) add(e *queue.Event, body queue.Digest, r queue.Receipt) {
	if r.Seq == 0 || r.Generation == 0 || r.Verdict == queue.Quarantined {
		return
	}
	known := &answer200{seq: r.Seq, since: r.Since, generation: r.Generation}
	a.byBody.Add(answeredBody{e.Endpoint, body}, known)
	if ids, both := idsOf(e); both {
		ids.delivery, ids.signal = strings.Clone(ids.delivery), strings.Clone(ids.signal) // the signal's shares memory with its whole body
		a.byIDs.Add(ids, known)
	}
}

func idsOf(e *queue.Event) (answeredIDs, bool) {
	ids := answeredIDs{e.Endpoint, e.DeliveryID, e.SignalID()}
	return ids, ids.delivery != "" && ids.signal != ""
}

// hitsOf counts the duplicates of a sequence that were answered from here.
func (a *answered) hitsOf(seq uint64) int {
	found := map[*answer200]bool{} // the same one is known by its body and by its IDs
	for _, known := range append(a.byBody.Values(), a.byIDs.Values()...) {
		if known.seq == seq {
			found[known] = true
		}
	}
	n := int64(0)
	for known := range found {
		n += known.hits.Load()
	}
	return int(n)
}

// CachedDuplicates counts the duplicates of the event seq that were answered without the queue, as far as is remembered.
func (h *Handler) CachedDuplicates(seq uint64) int { return h.answered.hitsOf(seq) }
