package queue

import (
	"hash/maphash"
	"sync"
)

// memory is the index of the remembered deliveries in RAM. It holds 64-bit hashes under a seed of its own and points
// to the record on disk, which is compared in full before anything is called a duplicate. So an entry is small, and
// neither a collision nor a made-up body can make the queue take one event for another.
//
// It has no order of its own: the records on disk are in the order of their sequences, no look-up changes that, and
// whoever deletes the oldest of them makes the memory forget it. Without an order there are no pointers either, which
// the garbage collector would follow, every one of them in every cycle. Only the committer uses it.
type memory struct {
	byDigest   map[uint64]uint64 // hash of endpoint and body to the newest sequence with it
	byDelivery map[uint64]uint64 // hash of endpoint and delivery ID to the newest sequence with it
}

// entry is what the memory knows of one delivery.
type entry struct {
	digestKey   uint64
	deliveryKey uint64 // 0: it has no delivery ID
	seq         uint64
}

// newMemory makes a memory with room for as many entries as are expected; it grows when there are more.
func newMemory(expected int) *memory {
	return &memory{byDigest: make(map[uint64]uint64, expected), byDelivery: make(map[uint64]uint64, expected)}
}

func (m *memory) add(e entry) {
	m.addDigest(e)
	m.addDelivery(e)
}

func (m *memory) addDigest(e entry) { m.byDigest[e.digestKey] = e.seq }

func (m *memory) addDelivery(e entry) {
	if e.deliveryKey != 0 {
		m.byDelivery[e.deliveryKey] = e.seq
	}
}

// forget removes e unless a younger one has taken its place.
func (m *memory) forget(e entry) {
	if m.byDigest[e.digestKey] == e.seq {
		delete(m.byDigest, e.digestKey)
	}
	if m.byDelivery[e.deliveryKey] == e.seq {
		delete(m.byDelivery, e.deliveryKey)
	}
}

// loader fills a memory that nobody uses yet, both maps side by side: to reach a million random places in RAM takes
// longer than to read the records.
type loader struct {
	chunk  []entry
	chunks [2]chan []entry
	filled sync.WaitGroup
}

const loaderChunk = 1024

func newLoader(m *memory) *loader {
	l := &loader{}
	for i, add := range []func(entry){m.addDigest, m.addDelivery} {
		chunks := make(chan []entry, 4)
		l.chunks[i] = chunks
		l.filled.Go(func() {
			for chunk := range chunks {
				for _, e := range chunk {
					add(e)
				}
			}
		})
	}
	return l
}

func (l *loader) add(e entry) {
	if l.chunk = append(l.chunk, e); len(l.chunk) == loaderChunk {
		l.flush()
	}
}

func (l *loader) flush() {
	for _, c := range l.chunks {
		c <- l.chunk
	}
	l.chunk = make([]entry, 0, loaderChunk)
}

// finish returns when all of them are in the memory.
func (l *loader) finish() {
	l.flush()
	for _, c := range l.chunks {
		close(c)
	}
	l.filled.Wait()
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
