package queue

import (
	"encoding/binary"
	"math"
	"time"

	"go.etcd.io/bbolt"
)

// txn is one write transaction with what it will change in memory once it is committed. Until then nothing but the txn
// knows of it, so a commit that fails leaves no trace.
type txn struct {
	q   *embedded
	tx  *bbolt.Tx
	now time.Time

	events, seen, quarantine, cursors, fates, meta *bbolt.Bucket

	written bool  // there is something to commit
	broken  error // a change failed halfway: nothing of the transaction may be committed
	counts  counts
	head    uint64 // the oldest live sequence, lastSeq+1 when there is none

	unpruned int // appended since it was last looked for deliveries to forget

	accepted    []*request
	bodies      map[uint64]uint64 // digestKey to the sequence, of accepted
	deliveries  map[uint64]uint64 // deliveryKey to the sequence, of accepted
	held        map[uint64]uint64 // digestKey to the quarantine item
	forgotten   []entry
	evictions   uint64
	oldestSeen  time.Time
	horizons    map[string]time.Time
	flushed     []flushed
	newcomer    uint64   // the lowest cursor of the outputs that are being added
	removed     []string // the outputs that are being removed
	full        bool
	afterCommit []func()
}

// scratch is memory that one transaction after the other uses.
type scratch struct {
	key  [8]byte
	slab []byte // the values of the seen bucket
}

// reserve returns empty room for n bytes behind what the slab holds.
func (s *scratch) reserve(n int) []byte {
	if cap(s.slab)-len(s.slab) < n {
		s.slab = make([]byte, 0, max(n, 64<<10))
	}
	return s.slab[len(s.slab):len(s.slab):cap(s.slab)]
}

func (q *embedded) newTxn(tx *bbolt.Tx) *txn {
	q.scratch.slab = q.scratch.slab[:0]
	t := &txn{
		q: q, tx: tx, now: q.opts.Now(), counts: q.counts, head: q.head, unpruned: q.unpruned, newcomer: math.MaxUint64,
		bodies: make(map[uint64]uint64), deliveries: make(map[uint64]uint64),
		events: tx.Bucket([]byte(bucketEvents)), seen: tx.Bucket([]byte(bucketSeen)),
		quarantine: tx.Bucket([]byte(bucketQuarantine)), cursors: tx.Bucket([]byte(bucketCursors)),
		fates: tx.Bucket([]byte(bucketFates)), meta: tx.Bucket([]byte(bucketMeta)),
	}
	for _, b := range []*bbolt.Bucket{t.events, t.seen, t.quarantine} {
		b.FillPercent = 1.0 // keys only grow
	}
	return t
}

// put and delete change a bucket. One that fails breaks the transaction, whatever its caller makes of the error.
func (t *txn) put(b *bbolt.Bucket, key, value []byte) error {
	err := b.Put(key, value)
	if err != nil {
		t.broken = err
	}
	return err
}

func (t *txn) delete(b *bbolt.Bucket, key []byte) error {
	err := b.Delete(key)
	if err != nil {
		t.broken = err
	}
	return err
}

// append judges one event: known, to be held, or to be accepted.
func (t *txn) append(r *request) (Receipt, error) {
	receipt, ok := t.known(r)
	if ok {
		return receipt, nil
	}
	hold := r.hold
	if hold == "" && t.cannotJudge(r) {
		hold = ReasonEvicted
	}
	if hold != "" {
		return t.hold(r, hold)
	}
	if err := t.accept(r); err != nil {
		return Receipt{}, err
	}
	return Receipt{Outcome: Accepted, Seq: t.counts.lastSeq, Reused: r.previous != 0}, nil
}

// known answers a request whose event is durable already: accepted before, or held in the quarantine.
func (t *txn) known(r *request) (Receipt, bool) {
	seq := t.knownBody(r)
	if seq == 0 {
		seq, r.previous = t.knownDelivery(r)
	}
	if seq != 0 {
		return Receipt{Outcome: Duplicate, Seq: seq}, true
	}
	if r.hold != "" && t.alreadyHeld(r) {
		return Receipt{Outcome: Quarantined, Reason: r.hold}, true
	}
	return Receipt{}, false
}

// knownBody returns the sequence of the same body at the same endpoint within the window, or 0.
func (t *txn) knownBody(r *request) uint64 {
	seq, ok := t.bodies[r.digestKey]
	if !ok {
		seq = t.q.memory.byDigest[r.digestKey]
	}
	if seen := t.remembered(seq, r); seen != nil && t.inWindow(seen) && seen.digest == r.digest {
		return seq
	}
	return 0
}

// maxReuses bounds how many events with one delivery ID are compared.
const maxReuses = 16

// knownDelivery returns the sequence with the same delivery ID and the same signal, or 0; previous is the newest
// one with that delivery ID and another signal.
func (t *txn) knownDelivery(r *request) (seq, previous uint64) {
	if r.deliveryKey == 0 {
		return 0, 0
	}
	next := t.newestDelivery(r)
	for range maxReuses {
		seen := t.remembered(next, r)
		if seen == nil || seen.deliveryID != r.event.DeliveryID {
			break
		}
		if t.inWindow(seen) {
			if id := signalID(r.event); id != "" && id == seen.signalID {
				return next, 0
			}
			previous = max(previous, next)
		}
		next = seen.previous
	}
	return 0, previous
}

// newestDelivery returns the newest sequence that may have r's delivery ID, or 0.
func (t *txn) newestDelivery(r *request) uint64 {
	if seq, ok := t.deliveries[r.deliveryKey]; ok {
		return seq
	}
	return t.q.memory.byDelivery[r.deliveryKey]
}

// inWindow reports whether a delivery is young enough to count.
func (t *txn) inWindow(seen *seenRecord) bool { return t.now.Sub(seen.receivedAt) <= t.q.opts.Window }

// remembered returns the record of seq when it is of r's endpoint.
func (t *txn) remembered(seq uint64, r *request) *seenRecord {
	if seq == 0 {
		return nil
	}
	key := t.key(seq)
	value := t.seen.Get(key)
	if value == nil {
		return nil
	}
	seen, err := parseSeen(value, key)
	if err != nil || seen.endpoint != r.event.Endpoint {
		return nil
	}
	return seen
}

// cannotJudge reports whether r may be a body that the memory was forced to forget.
func (t *txn) cannotJudge(r *request) bool {
	horizon, ok := t.horizons[r.event.Endpoint]
	if !ok {
		horizon, ok = t.q.horizons[r.event.Endpoint]
	}
	if !ok || t.now.Sub(horizon) > t.q.opts.Window {
		return false
	}
	sent, ok := sentAt(r.event)
	return !ok || !sent.After(horizon)
}

// accept gives r's event its sequence and stores it.
func (t *txn) accept(r *request) error {
	if err := t.makeRoom(int64(len(r.value))); err != nil {
		return err
	}
	seq := t.counts.lastSeq + 1
	key := t.key(seq)
	sealWith(r.value, r.own, key)
	if err := t.put(t.events, key, r.value); err != nil {
		return err
	}
	if err := t.remember(r, key); err != nil {
		return err
	}
	t.counts.lastSeq = seq
	t.counts.events++
	t.counts.bytes += int64(len(r.value))
	t.bodies[r.digestKey] = seq
	if r.deliveryKey != 0 {
		t.deliveries[r.deliveryKey] = seq
	}
	t.accepted = append(t.accepted, r)
	r.receipt.Seq = seq
	t.written = true
	return nil
}

func (t *txn) remember(r *request, key []byte) error {
	seen := seenRecord{
		receivedAt: r.event.ReceivedAt, digest: r.digest, previous: r.previous,
		endpoint: r.event.Endpoint, deliveryID: r.event.DeliveryID, signalID: signalID(r.event),
	}
	if seen.receivedAt.IsZero() || r.resent {
		seen.receivedAt = t.now
	}
	seen.sentAt, _ = sentAt(r.event)
	value := seen.encode(t.q.scratch.reserve(128+len(seen.endpoint)+len(seen.deliveryID)+len(seen.signalID)), key)
	t.q.scratch.slab = t.q.scratch.slab[:len(t.q.scratch.slab)+len(value)]
	if err := t.put(t.seen, key, value); err != nil {
		return err
	}
	if t.counts.seen == 0 {
		t.oldestSeen = seen.receivedAt
	}
	t.counts.seen++
	return nil
}

// key returns the key of seq in memory that the next call uses again. bbolt copies keys.
func (t *txn) key(seq uint64) []byte {
	binary.BigEndian.PutUint64(t.q.scratch.key[:], seq)
	return t.q.scratch.key[:]
}

func signalID(e *Event) string {
	if e.Signal == nil {
		return ""
	}
	return e.Signal.SignalID
}

func sentAt(e *Event) (time.Time, bool) {
	if e.Signal == nil {
		return time.Time{}, false
	}
	return e.Signal.SentAt()
}
