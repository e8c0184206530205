package queue

import (
	"hash/maphash"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is the index of the remembered deliveries in RAM. It holds 64-bit hashes under a seed of its own and points
// to the record on disk, which is compared in full before anything is called a duplicate. So an entry is small, and
// neither a collision nor a made-up body can make the queue take one event for another.
//
// Only the committer uses it. Look-ups are Peeks: a replay must not keep itself alive.
type memory struct {
	byDigest   *simplelru.LRU[uint64, remembered]
	byDelivery map[uint64]uint64 // hash of endpoint and delivery ID to the newest sequence with it
}

// remembered is one entry; it serves both look-ups.
type remembered struct {
	seq      uint64
	delivery uint64 // its key in byDelivery; 0: it has no delivery ID
}

// newMemory makes a memory that holds at most capacity entries and begins with about expected.
func newMemory(capacity, expected int) *memory {
	m := &memory{byDelivery: make(map[uint64]uint64, expected)}
	// A positive size is the only thing that NewLRU asks for.
	m.byDigest, _ = simplelru.NewLRU(max(1, capacity), m.forgetDelivery)
	return m
}

func (m *memory) add(digestKey, deliveryKey, seq uint64) {
	if deliveryKey != 0 {
		m.byDelivery[deliveryKey] = seq
	}
	m.byDigest.Add(digestKey, remembered{seq: seq, delivery: deliveryKey})
}

// forget removes seq's entry unless a younger one has taken its place.
func (m *memory) forget(digestKey, deliveryKey, seq uint64) {
	if r, ok := m.byDigest.Peek(digestKey); ok && r.seq == seq {
		m.byDigest.Remove(digestKey)
		return
	}
	m.forgetDelivery(digestKey, remembered{seq: seq, delivery: deliveryKey})
}

func (m *memory) forgetDelivery(_ uint64, r remembered) {
	if r.delivery != 0 && m.byDelivery[r.delivery] == r.seq {
		delete(m.byDelivery, r.delivery)
	}
}

// withDigest returns the sequence of the remembered body; 0: none.
func (m *memory) withDigest(key uint64) uint64 {
	r, _ := m.byDigest.Peek(key)
	return r.seq
}

// hasher makes the keys of a memory. The seed is drawn at start, so that nobody can prepare a collision.
type hasher struct{ seed maphash.Seed }

// digest is the key of a body at an endpoint.
func (h hasher) digest(endpoint, digest []byte) uint64 {
	var room [128]byte
	return maphash.Bytes(h.seed, append(append(room[:0], digest...), endpoint...))
}

// delivery is the key of a delivery ID at an endpoint; 0 when there is no ID.
func (h hasher) delivery(endpoint, id []byte) uint64 {
	if len(id) == 0 {
		return 0
	}
	var room [128]byte
	return max(1, maphash.Bytes(h.seed, append(append(append(room[:0], id...), 0), endpoint...)))
}
