package queue

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets.
var buckets = [...]string{bucketEvents, bucketSeen, bucketQuarantine, bucketCursors, bucketFates, bucketMeta}

const (
	bucketEvents     = "events"
	bucketSeen       = "seen"
	bucketQuarantine = "quarantine"
	bucketCursors    = "cursors"
	bucketFates      = "fates"
	bucketMeta       = "meta"
)

// The keys of the meta bucket.
const (
	keyBridgeID      = "bridge_id"
	keyCounts        = "counts"
	keySalvaged      = "salvaged" // there since a salvage, until SetOutputs says whose cursors it has missed
	keyHorizonPrefix = "horizon/"
)

// openStore opens the database, or makes it, and fills the memory from it. A damaged one is salvaged.
func (q *embedded) openStore() error {
	err := q.tryStore()
	if err == nil || !errors.Is(err, errDamaged) {
		return err
	}
	if err := q.salvageStore(err); err != nil {
		return err
	}
	return q.tryStore()
}

func (q *embedded) salvageStore(cause error) error {
	found, err := q.salvageFile()
	if err != nil {
		return fmt.Errorf("the queue's database is damaged (%w) and could not be salvaged: %w", cause, err)
	}
	q.salvages.Add(1)
	q.opts.Log.Error("the queue's database was damaged and has been salvaged", "event", "queue_damaged", "error", cause, "set_aside_as", found.aside,
		"events", found.events, "lost", found.lost, "new_bridge_id", found.newIdentity)
	return nil
}

// tryStore opens the database. An error that wraps errDamaged means that salvaging it can help.
func (q *embedded) tryStore() error {
	if _, err := os.Stat(q.path); errors.Is(err, os.ErrNotExist) {
		if err := q.createStore(); err != nil {
			return fmt.Errorf("make the queue's database %s: %w", q.path, err)
		}
	}
	if err := verifyFile(q.path); err != nil {
		return fmt.Errorf("check the queue's database %s: %w", q.path, err)
	}
	db, err := openDatabase(q.path, q.mmapSize(), q.opts.hooks.openFile)
	if err != nil {
		return fmt.Errorf("open the queue's database %s: %w", q.path, err)
	}
	if err := q.loadFrom(db); err != nil {
		return errors.Join(fmt.Errorf("read the queue's database %s: %w", q.path, err), db.Close())
	}
	q.setDatabase(db)
	return nil
}

func (q *embedded) setDatabase(db *bbolt.DB) {
	q.dbMu.Lock()
	defer q.dbMu.Unlock()
	q.db = db
}

func verifyFile(path string) error {
	p, err := openPageFile(path)
	if p == nil {
		return err
	}
	defer func() { _ = p.close() }() // only read
	if err != nil {
		return err
	}
	return p.verify()
}

// createStore makes an empty database. It appears under its name when it is complete.
func (q *embedded) createStore() error {
	temporary := q.path + ".new"
	if err := removeIfThere(temporary); err != nil {
		return err
	}
	db, err := openDatabase(temporary, 0, q.opts.hooks.openFile)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(createBuckets), db.Close()); err != nil {
		return err
	}
	return replaceFile(temporary, q.path)
}

// openDatabase opens one bbolt file with the options that this layout was measured with. A panic of bbolt's on the
// way is an error that wraps errDamaged.
func openDatabase(path string, mmapSize int, openFile func(string, int, os.FileMode) (*os.File, error)) (db *bbolt.DB, err error) {
	defer recoverDamage(&err)()
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         time.Second, // the folder's lock is ours, so nobody should hold the file
		FreelistType:    bbolt.FreelistMapType,
		NoFreelistSync:  true,
		InitialMmapSize: mmapSize,
		OpenFile:        openFile,
	})
}

// mmapSize is large enough for everything that the allowances admit, so that growing the file never has to wait for a
// reader. It is address space, not memory.
func (q *embedded) mmapSize() int {
	size := q.opts.MaxBytes + q.opts.QuarantineMaxBytes
	size += size/2 + int64(q.opts.Capacity)*256 + 64<<20
	if bits.UintSize == 32 {
		size = min(size, 512<<20)
	}
	return int(size)
}

// errFault says that reading the database panicked or faulted: a truncated file, a bad block, a damaged page.
var errFault = errors.New("fault")

// recoverDamage turns a panic and a fault in mapped memory into an error that wraps errDamaged and errFault. It is called
// as: defer recoverDamage(&err)().
func recoverDamage(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %w: %v", errDamaged, errFault, r)
		}
	}
}

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta, id, empty := tx.Bucket([]byte(bucketMeta)), []byte(keyBridgeID), counts{}
	return errors.Join(
		meta.Put(id, encodeMetaText(newBridgeID(), id)),
		meta.Put([]byte(keyCounts), empty.encode([]byte(keyCounts))))
}

// loadFrom fills what the committer and the readers keep in memory.
func (q *embedded) loadFrom(db *bbolt.DB) (err error) {
	defer recoverDamage(&err)()
	return db.View(q.load)
}

func encodeMetaText(text string, key []byte) []byte {
	return seal(appendText(newValue(nil, kindState), text), key)
}

func parseMetaText(value, key []byte) (string, error) {
	p, err := open(value, key, kindState)
	if err != nil {
		return "", err
	}
	text := p.text()
	return text, p.err()
}

func (q *embedded) load(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if tx.Bucket([]byte(name)) == nil {
			return damage("bucket %s is missing", name)
		}
	}
	id, err := q.loadMeta(tx.Bucket([]byte(bucketMeta)))
	if err != nil {
		return err
	}
	q.loadMemory(tx.Bucket([]byte(bucketSeen)))
	q.loadQuarantine(tx.Bucket([]byte(bucketQuarantine)))
	q.outputs.load(tx.Bucket([]byte(bucketCursors)), tx.Bucket([]byte(bucketMeta)), q.opts.Log)
	q.tail.reset(q.counts.lastSeq)
	q.head = firstSequence(tx.Bucket([]byte(bucketEvents)))
	if q.head == 0 {
		q.head = q.counts.lastSeq + 1
	}

	q.statusMu.Lock()
	defer q.statusMu.Unlock()
	q.bridgeID = id
	q.committed = q.counts
	q.firstSeq = q.head
	return nil
}

func (q *embedded) loadMeta(meta *bbolt.Bucket) (bridgeID string, err error) {
	bridgeID, err = parseMetaText(meta.Get([]byte(keyBridgeID)), []byte(keyBridgeID))
	if err != nil {
		return "", fmt.Errorf("bridge_id: %w", err)
	}
	stored, err := parseCounts(meta.Get([]byte(keyCounts)), []byte(keyCounts))
	if err != nil {
		return "", fmt.Errorf("counts: %w", err)
	}
	stored.lastSeq = max(stored.lastSeq, q.counts.lastSeq) // reopened: what was given is never given again
	q.counts = stored
	q.horizons = make(map[string]time.Time)
	return bridgeID, meta.ForEach(func(k, v []byte) error {
		if endpoint, ok := strings.CutPrefix(string(k), keyHorizonPrefix); ok {
			p, err := open(v, k, kindState)
			if err != nil {
				return err
			}
			q.horizons[endpoint] = p.time()
		}
		return nil
	})
}

// loadMemory rebuilds the memory from the remembered deliveries. A damaged one is passed over: it will be pruned in time.
func (q *embedded) loadMemory(seen *bbolt.Bucket) {
	q.memory = newMemory(min(q.counts.seen, q.opts.Capacity))
	load := newLoader(q.memory)
	defer load.finish()
	var oldest time.Time
	c := seen.Cursor()
	tooMany := q.counts.seen - q.opts.Capacity - forgetEvery(q.opts.Capacity)
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, err := viewSeen(v, k)
		if err != nil {
			q.damaged.Add(1)
			continue
		}
		if tooMany--; tooMany >= 0 { // the capacity was lowered; the next transactions evict these
			q.raiseHorizon(r)
			continue
		}
		if oldest.IsZero() {
			oldest = r.receivedAt
		}
		load.add(entry{q.keys.digest(r.endpoint, r.digest), q.keys.delivery(r.endpoint, r.deliveryID), keySequence(k)})
	}
	q.statusMu.Lock()
	defer q.statusMu.Unlock()
	q.oldestSeen = oldest
}

func (q *embedded) raiseHorizon(r seenView) {
	if endpoint := string(r.endpoint); r.sentAt.After(q.horizons[endpoint]) {
		q.horizons[endpoint] = r.sentAt
	}
}

func (q *embedded) loadQuarantine(bucket *bbolt.Bucket) {
	q.quarantined = make(map[uint64]uint64)
	c := bucket.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		item, digest, err := parseQuarantine(v, k)
		if err == nil && digest != zeroDigest {
			q.quarantined[q.keys.digest([]byte(item.Event.Endpoint), digest[:])] = item.ID
		}
	}
}

func firstSequence(events *bbolt.Bucket) uint64 {
	k, _ := events.Cursor().First()
	return keySequence(k)
}
