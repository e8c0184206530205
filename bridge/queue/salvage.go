package queue

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
)

// salvageBatch bounds one transaction of a salvage, in bytes of values.
const salvageBatch = 4 << 20

// salvage is a damaged file on its way into a new database.
type salvage struct {
	from *pageFile
	db   *bbolt.DB
	tx   *bbolt.Tx
	size int

	certain  bool // the newest state is known, so no sequence can be given twice
	bridge   string
	counts   counts
	cursors  map[string]uint64
	named    bool // all outputs are among cursors
	horizons map[string][]byte

	events, lost   uint64
	scanning       bool   // reading pages that no tree reaches
	seenOnly       bool   // the second time: the remembered deliveries, once it is known which events there are
	floor, ceiling uint64 // the stray events that are of use lie above and up to
}

// salvaged says what a salvage found.
type salvaged struct {
	aside        string // the damaged file's new name
	events, lost uint64 // that some output waits for
	newIdentity  bool   // the newest sequence is not certain, so none may be given under the old bridge_id
}

// salvageFile makes a new database at q.path of what the damaged one there holds, and keeps that one under a dated name.
// Whenever it is interrupted, the damaged file is still at q.path and is salvaged again.
func (q *embedded) salvageFile() (*salvaged, error) {
	from, err := openPageFile(q.path)
	if from == nil {
		return nil, err
	}
	defer func() { _ = from.close() }() // only read
	temporary := q.path + ".salvage"
	if err := removeIfThere(temporary); err != nil {
		return nil, err
	}
	s := &salvage{from: from, horizons: make(map[string][]byte), ceiling: math.MaxUint64}
	s.cursors, s.named = q.outputs.places()
	if q.counts.lastSeq > 0 { // it was open in this process
		s.certain, s.bridge, s.counts = true, q.id(), counts{lastSeq: q.counts.lastSeq, nextItem: q.counts.nextItem}
	}
	if err := s.fill(temporary, q); err != nil {
		return nil, fmt.Errorf("salvage %s: %w", q.path, err)
	}
	aside := fmt.Sprintf("%s.damaged-%s", q.path, q.opts.Now().UTC().Format("20060102T150405.000Z"))
	if err := os.Link(q.path, aside); err != nil {
		return nil, fmt.Errorf("set the damaged database aside: %w", err)
	}
	if err := replaceFile(temporary, q.path); err != nil {
		return nil, fmt.Errorf("put the salvaged database in place: %w", err)
	}
	return &salvaged{aside: filepath.Base(aside), events: s.events, lost: s.lost, newIdentity: !s.certain}, nil
}

// fill writes the new database.
func (s *salvage) fill(path string, q *embedded) (err error) {
	s.db, err = openDatabase(path, 0, q.opts.hooks.openFile)
	if err != nil {
		return err
	}
	s.db.NoSync = true // one sync at the end: until then nobody relies on the file
	defer func() { err = errors.Join(err, s.db.Close()) }()
	if err := s.begin(); err != nil {
		return err
	}
	if err := errors.Join(s.copyTree(), s.scan(), s.finish()); err != nil {
		return errors.Join(err, s.tx.Rollback())
	}
	if err := s.tx.Commit(); err != nil {
		return err
	}
	return s.db.Sync()
}

func (s *salvage) begin() (err error) {
	if s.tx, err = s.db.Begin(true); err != nil {
		return err
	}
	for _, name := range buckets {
		if _, err := s.tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

// copyTree takes over what the tree still reaches.
func (s *salvage) copyTree() error {
	if s.from.meta.pages == 0 || s.from.meta.pages > uint64(s.from.size) { //nolint:gosec // a size
		return nil
	}
	w := &walker{file: s.from, leaf: s.takeLeaf, broken: func(error) error { return nil }}
	if err := w.walk(); err != nil {
		return err
	}
	s.certain = s.certain || (s.bridge != "" && s.counts != counts{} && !s.from.doubtful)
	return nil
}

// takeLeaf takes the records of a page of the tree.
func (s *salvage) takeLeaf(path []string, list []element) error {
	for _, e := range list {
		if e.bucket {
			continue
		}
		if len(path) == 2 && path[0] == bucketFates {
			if err := s.takeRun(path[1], e.key, e.value); err != nil {
				return err
			}
			continue
		}
		if err := s.take(e.key, e.value); err != nil {
			return err
		}
	}
	return nil
}

// take stores one record that passes its checksum, by the kind that it says it is.
func (s *salvage) take(key, value []byte) error {
	if len(value) < headerSize {
		return nil
	}
	kind := value[4]
	if s.scanning && (kind == kindSeen) != s.seenOnly {
		return nil
	}
	if _, err := open(value, key, kind); err != nil {
		return nil //nolint:nilerr // damaged: that is what is left behind
	}
	switch kind {
	case kindEvent:
		return s.takeEvent(key, value)
	case kindSeen:
		return s.takeSeen(key, value)
	case kindQuarantine:
		// A stray one may have been deleted or re-sent long ago; better once too often in the list than lost.
		_, err := s.put(bucketQuarantine, key, value)
		return err
	case kindCursor:
		if s.scanning && s.named {
			return nil // of an output that was removed, or an old one
		}
		if seq, err := parseCursor(value, key); err == nil {
			s.cursors[string(key)] = max(s.cursors[string(key)], seq)
		}
	case kindState:
		s.takeState(string(key), key, value)
	}
	return nil
}

func (s *salvage) takeEvent(key, value []byte) error {
	seq := keySequence(key)
	if s.scanning && (seq <= s.floor || seq > s.ceiling) {
		return nil
	}
	added, err := s.put(bucketEvents, key, value)
	if added {
		s.events++
	}
	return err
}

func (s *salvage) takeState(name string, key, value []byte) {
	switch name {
	case keyBridgeID:
		if id, err := parseMetaText(value, key); err == nil && s.bridge == "" {
			s.bridge = id
		}
	case keyCounts:
		if s.scanning && s.certain {
			return
		}
		if c, err := parseCounts(value, key); err == nil && c.lastSeq >= s.counts.lastSeq {
			s.counts = c
		}
	default:
		if strings.HasPrefix(name, keyHorizonPrefix) && !s.scanning {
			s.horizons[name] = append([]byte(nil), value...)
		}
	}
}

// put adds a record that is not there yet.
func (s *salvage) put(bucket string, key, value []byte) (added bool, err error) {
	if s.size > salvageBatch {
		if err := s.tx.Commit(); err != nil {
			return false, err
		}
		s.size = 0
		if err := s.begin(); err != nil {
			return false, err
		}
	}
	b := s.tx.Bucket([]byte(bucket))
	if b.Get(key) != nil {
		return false, nil
	}
	s.size += len(value)
	return true, b.Put(key, append([]byte(nil), value...))
}

func (s *salvage) takeRun(output string, key, value []byte) error {
	if _, err := parseRun(value, key); err != nil {
		return nil //nolint:nilerr // damaged: that is what is left behind
	}
	ledger, err := s.tx.Bucket([]byte(bucketFates)).CreateBucketIfNotExists([]byte(output))
	if err != nil {
		return err
	}
	return ledger.Put(key, append([]byte(nil), value...))
}

// finish writes the state, counted anew, and the cursors. Events that every output is past are left out by the
// committer's first transaction.
func (s *salvage) finish() error {
	if s.bridge == "" || !s.certain {
		s.bridge = newBridgeID()
	}
	c, err := s.recount()
	if err != nil {
		return err
	}
	meta, cursors := s.tx.Bucket([]byte(bucketMeta)), s.tx.Bucket([]byte(bucketCursors))
	errs := []error{
		meta.Put([]byte(keyBridgeID), encodeMetaText(s.bridge, []byte(keyBridgeID))),
		meta.Put([]byte(keyCounts), c.encode([]byte(keyCounts))),
	}
	if !s.named { // of those whose cursors are lost, nothing tells that they were there
		errs = append(errs, meta.Put([]byte(keySalvaged), encodeMetaText("", []byte(keySalvaged))))
	}
	for name, seq := range s.cursors {
		errs = append(errs, cursors.Put([]byte(name), encodeCursor(min(seq, c.lastSeq), []byte(name))))
	}
	for name, value := range s.horizons {
		errs = append(errs, meta.Put([]byte(name), value))
	}
	live := uint64(0)
	if floor := s.lowestCursor(); c.lastSeq > floor {
		live = c.lastSeq - floor
	}
	s.lost = live - min(live, s.pending())
	return errors.Join(errs...)
}

// pending is the number of salvaged events that some output has not had.
func (s *salvage) pending() uint64 {
	n := uint64(0)
	c := s.tx.Bucket([]byte(bucketEvents)).Cursor()
	for k, _ := c.Seek(sequenceKey(s.lowestCursor() + 1)); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}

// recount makes the state from the records.
func (s *salvage) recount() (counts, error) {
	c := counts{lastSeq: s.counts.lastSeq, nextItem: s.counts.nextItem}
	err := errors.Join(
		s.tx.Bucket([]byte(bucketEvents)).ForEach(func(k, v []byte) error {
			c.events++
			c.bytes += int64(len(v))
			c.lastSeq = max(c.lastSeq, keySequence(k))
			return nil
		}),
		s.tx.Bucket([]byte(bucketSeen)).ForEach(func(k, _ []byte) error {
			c.seen++
			c.lastSeq = max(c.lastSeq, keySequence(k))
			return nil
		}),
		s.tx.Bucket([]byte(bucketQuarantine)).ForEach(func(k, v []byte) error {
			c.quarantine++
			c.quarantineBytes += int64(len(v))
			c.nextItem = max(c.nextItem, keySequence(k))
			return nil
		}))
	for _, seq := range s.cursors {
		c.lastSeq = max(c.lastSeq, seq)
	}
	return c, err
}
