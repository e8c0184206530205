package local

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// dedupe is the index of the remembered deliveries in RAM. It holds 64-bit hashes under a seed of its own and points to the
// entry in a segment's index, which is compared in full before anything is called a duplicate. So it is small, and neither a
// collision nor a made-up body can make the queue take one event for another.
//
// It has no order of its own: entries are in the order of the log, no look-up changes that, and whoever lets the oldest of
// them go makes it forget. Without an order there are no pointers either, which the garbage collector would follow.
type dedupe struct {
	hash       hasher
	byBody     map[uint64]uint64 // hash of endpoint and body to the newest place with it
	byDelivery map[uint64]uint64 // hash of endpoint and delivery ID, alone and with a signal ID, to the newest place
}

func newDedupe() *dedupe {
	return &dedupe{hash: hasher{maphash.MakeSeed()}, byBody: map[uint64]uint64{}, byDelivery: map[uint64]uint64{}}
}

// A place is a segment's number and the ordinal of an entry in it.
const ordinalBits = 24

func placeOf(number uint64, ordinal int) uint64 { return number<<ordinalBits | uint64(ordinal) } //nolint:gosec // an ordinal

func splitPlace(place uint64) (number uint64, ordinal int) {
	return place >> ordinalBits, int(place & (1<<ordinalBits - 1))
}

// addDelivery notes the newest place of a delivery ID. The one that had it before is then found with its signal ID.
func (d *dedupe) addDelivery(k keys, place uint64, before func(uint64) (keys, bool)) {
	if k.delivery == 0 {
		return
	}
	if old, ok := d.byDelivery[k.delivery]; ok {
		if older, ok := before(old); ok && older.delivery == k.delivery {
			d.byDelivery[older.pair] = old
		}
	}
	d.byDelivery[k.delivery] = place
}

// forget removes a place unless a younger one has taken it.
func (d *dedupe) forget(k keys, place uint64) {
	if d.byBody[k.body] == place {
		delete(d.byBody, k.body)
	}
	for _, key := range [...]uint64{k.delivery, k.pair} {
		if key != 0 && d.byDelivery[key] == place {
			delete(d.byDelivery, key)
		}
	}
}

// view reads the entry at a place; ok false: there is none any more.
func (s *store) view(place uint64) (v entryView, ok bool, err error) {
	number, ordinal := splitPlace(place)
	x := s.indexOf(number)
	if x == nil || ordinal < x.forgotten || ordinal >= x.meta.Entries {
		return entryView{}, false, nil
	}
	b, err := x.entry(ordinal)
	if err != nil {
		return entryView{}, false, fmt.Errorf("look up a delivery: %w", err)
	}
	v, err = viewEntry(b)
	return v, err == nil, err
}

// keysAt is the keys of the entry at a place.
func (s *store) keysAt(place uint64) (keys, bool) {
	v, ok, err := s.view(place)
	if err != nil || !ok {
		return keys{}, false
	}
	return s.dedupe.hash.keysOf(&v), true
}

// remember adds an entry to the index of the segment that is written to, and to the dedupe index.
func (s *store) remember(x *index, e *entry) {
	x.addEntry(e)
	place := placeOf(x.meta.Number, x.meta.Entries-1)
	b := x.entries.at(x.meta.Entries - 1)
	v, err := viewEntry(b)
	if err != nil {
		return // never: it was encoded just now
	}
	k := s.dedupe.hash.keysOf(&v)
	s.dedupe.byBody[k.body] = place
	s.dedupe.addDelivery(k, place, s.keysAt)
	s.remembered++
}

// forgetOld lets go of deliveries that are older than the window or beyond the capacity, at most limit of them, and raises
// "evicted up to" for all: for one that has reached the window's age that matters only when the clock was ahead and is
// set back, since what it made us forget would come as new.
func (s *store) forgetOld(now time.Time, limit int) error {
	for ; limit > 0; limit-- {
		x := s.oldestRemembered()
		if x == nil {
			return nil
		}
		b, err := x.entry(x.forgotten)
		if err != nil {
			return err
		}
		v, err := viewEntry(b)
		if err != nil {
			return err
		}
		old, over := now.Sub(v.receivedAt) > s.opts.Window, s.remembered > s.opts.Capacity
		if !old && !over {
			s.oldestSeen = v.receivedAt
			return nil
		}
		s.dedupe.forget(s.dedupe.hash.keysOf(&v), placeOf(x.meta.Number, x.forgotten))
		s.state.raiseEvicted(string(v.endpoint), v.sentAt)
		x.forgotten++
		s.remembered--
		if !old {
			s.evicted++
		}
		if x.remembered() == 0 {
			s.forgottenAt = s.log.Next()
		}
	}
	return nil
}

// oldestRemembered is the first index with an entry that counts.
func (s *store) oldestRemembered() *index {
	for ; s.oldest < len(s.indexes); s.oldest++ {
		if x := s.indexes[s.oldest]; x.remembered() > 0 {
			return x
		}
		if s.oldest == len(s.indexes)-1 {
			break // it may get some
		}
	}
	return nil
}

// judging is what an append is judged by: the store, and what the same group holds already.
type judging struct {
	q          *engine
	s          *store
	bodies     map[bodyKey]queue.Remembered
	deliveries map[deliveryKey]queue.Remembered
	letters    map[bodyKey]bool
}

type bodyKey struct {
	endpoint string
	digest   queue.Digest
}

type deliveryKey struct{ endpoint, deliveryID, signalID string }

func newJudging(q *engine) *judging {
	return &judging{q: q, bodies: map[bodyKey]queue.Remembered{}, deliveries: map[deliveryKey]queue.Remembered{}, letters: map[bodyKey]bool{}}
}

func (j *judging) reset() {
	clear(j.bodies)
	clear(j.deliveries)
	clear(j.letters)
}

// accepted notes an event of the group.
func (j *judging) accepted(e *queue.Event, digest queue.Digest, r queue.Remembered) {
	j.bodies[bodyKey{e.Endpoint, digest}] = r
	if e.DeliveryID != "" {
		j.deliveries[deliveryKey{e.Endpoint, e.DeliveryID, ""}] = r
		j.deliveries[deliveryKey{e.Endpoint, e.DeliveryID, "\x00" + shortID(e.SignalID())}] = r
	}
}

// Body implements queue.DedupeIndex.
func (j *judging) Body(endpoint string, digest queue.Digest) (queue.Remembered, error) {
	if len(j.bodies) > 0 {
		if r, ok := j.bodies[bodyKey{endpoint, digest}]; ok {
			return r, nil
		}
	}
	return j.s.remembers(endpoint, digest)
}

// remembers returns the newest accepted delivery of a body at an endpoint.
func (s *store) remembers(endpoint string, digest queue.Digest) (queue.Remembered, error) {
	probe := entryView{digest: digest[:], endpoint: []byte(endpoint)}
	place, ok := s.dedupe.byBody[s.dedupe.hash.keysOf(&probe).body]
	if !ok {
		return queue.Remembered{}, nil
	}
	v, ok, err := s.view(place)
	if err != nil || !ok || string(v.endpoint) != endpoint || queue.Digest(v.digest) != digest {
		return queue.Remembered{}, err
	}
	return queue.Remembered{Seq: v.seq, ReceivedAt: v.receivedAt}, nil
}

// Delivery implements queue.DedupeIndex.
func (j *judging) Delivery(endpoint, deliveryID, signalID string) (same, newest queue.Remembered, err error) {
	signalID = shortID(signalID)
	if len(j.deliveries) > 0 {
		same = j.deliveries[deliveryKey{endpoint, deliveryID, "\x00" + signalID}]
		newest = j.deliveries[deliveryKey{endpoint, deliveryID, ""}]
		if same.Seq != 0 {
			return same, newest, nil
		}
	}
	probe := entryView{deliveryID: []byte(shortID(deliveryID)), endpoint: []byte(endpoint), signalID: []byte(signalID)}
	k := j.s.dedupe.hash.keysOf(&probe)
	for _, key := range [...]uint64{k.delivery, k.pair} {
		v, ok, err := j.s.viewDelivery(key, &probe)
		if err != nil {
			return same, newest, err
		}
		if !ok {
			continue
		}
		found := queue.Remembered{Seq: v.seq, ReceivedAt: v.receivedAt}
		if newest.Seq == 0 {
			newest = found
		}
		if string(v.signalID) == signalID {
			return found, newest, nil
		}
	}
	return same, newest, nil
}

// viewDelivery reads the entry under a key, when it has the probe's delivery ID.
func (s *store) viewDelivery(key uint64, probe *entryView) (entryView, bool, error) {
	place, ok := s.dedupe.byDelivery[key]
	if !ok {
		return entryView{}, false, nil
	}
	v, ok, err := s.view(place)
	ok = ok && string(v.deliveryID) == string(probe.deliveryID) && string(v.endpoint) == string(probe.endpoint)
	return v, ok, err
}

// DeadLetter implements queue.DedupeIndex.
func (j *judging) DeadLetter(endpoint string, digest queue.Digest) (bool, error) {
	if j.letters[bodyKey{endpoint, digest}] {
		return true, nil
	}
	return j.q.holds(j.s, endpoint, digest)
}

// EvictedUpTo implements queue.DedupeIndex.
func (j *judging) EvictedUpTo(endpoint string) time.Time { return j.s.state.EvictedUpTo[endpoint] }
