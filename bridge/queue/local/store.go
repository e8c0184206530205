package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

const (
	logFolder        = "log"
	quarantineFolder = "quarantine"
	temporarySuffix  = ".new"
)

// store is an open folder with what its log adds up to. The committer alone changes it, with the queue's mu held; what is read
// by others is read with that mu held for reading.
type store struct {
	opts    *Options
	dir     string
	log     *journal.Journal
	state   *state
	foundID string // the bridge ID that the folder had when it was opened
	dedupe  *dedupe

	letters *letters
	indexes []*index // by number; the last one is that of the active segment

	remembered  int
	oldest      int       // no index before this one has an entry that counts
	newestSeen  time.Time // when the newest remembered delivery was received
	oldestSeen  time.Time // when the oldest remembered delivery was received
	evicted     uint64    // forced out younger than the window, since start
	forgottenAt uint64    // the number of the next record when an index last lost its last entry
	snapshotAt  uint64    // the number of the newest snapshot's record
}

func (s *store) logDir() string { return filepath.Join(s.dir, logFolder) }

// indexOf finds a segment's index; nil: it is forgotten.
func (s *store) indexOf(number uint64) *index {
	i, found := slices.BinarySearchFunc(s.indexes, number, func(x *index, n uint64) int { return compare(x.meta.Number, n) })
	if !found {
		return nil
	}
	return s.indexes[i]
}

// active returns the index of the active segment, made when it is new.
func (s *store) active() *index {
	number := s.log.Active().Number()
	if n := len(s.indexes); n > 0 && s.indexes[n-1].meta.Number == number {
		return s.indexes[n-1]
	}
	x := newIndex(number, s.log.Next(), s.end())
	s.indexes = append(s.indexes, x)
	return x
}

// end is the position behind the last group: the bytes of the log up to there.
func (s *store) end() int64 {
	n := len(s.indexes)
	if n == 0 {
		return 0
	}
	return s.indexes[n-1].start + s.indexes[n-1].meta.Bytes
}

// used is what counts against MaxBytes: the log from the oldest event that some output needs.
func (s *store) used() int64 { return s.end() - s.positionOf(s.state.consumed()+1) }

// positionOf is the position of the group in which the event seq stands, or of one shortly before; the end for an event that
// is still to come.
func (s *store) positionOf(seq uint64) int64 {
	for _, x := range s.indexes {
		if x.retired || x.meta.LastSeq < seq {
			continue
		}
		if offset, ok := x.offsetOf(seq); ok {
			return x.start + offset - groupsBegin
		}
		if len(x.marks) > 0 { // seq is lost, and what follows it is here
			return x.start + x.marks[0].offset - groupsBegin
		}
	}
	return s.end()
}

// groupsBegin is the offset of a segment's first group.
const groupsBegin = 4096

// seqAt returns the first event that stands at or behind a position where a mark is; 0: there is none.
func (s *store) seqAt(position int64) uint64 {
	for _, x := range s.indexes {
		if x.retired || x.start+x.meta.Bytes <= position {
			continue
		}
		for _, m := range x.marks {
			if x.start+m.offset-groupsBegin >= position {
				return m.seq
			}
		}
	}
	return 0
}

// position is which record is applied, and how much of it is new: a recovery may know some of it from a sidecar or a snapshot.
type position struct {
	x      *index
	number uint64
	place  recordPlace

	index, state, letters bool // what takes it over
}

// apply takes over one record. An error says that it can't be understood.
func (s *store) apply(record []byte, at position) error {
	at.x.meta.LastRecord = max(at.x.meta.LastRecord, at.number)
	if len(record) == 0 {
		return errRecord
	}
	switch record[0] {
	case kindEvent:
		r, err := parseEventRecord(record)
		if err != nil {
			return err
		}
		r.event.Decode()
		s.applyEvent(r, queue.DigestOf(r.event.Body), at)
		return nil
	case kindDeadLetter:
		return s.applyLetter(record, at)
	case kindDrop:
		id, err := parseDrop(record)
		if err == nil && at.letters {
			s.letters.remove(id, at.number)
		}
		return err
	case kindProgress:
		return s.applyProgress(record, at)
	case kindRemembered:
		return s.applyRemembered(record, at)
	default:
		return s.applyRare(record, at)
	}
}

// applyEvent takes over an accepted event.
func (s *store) applyEvent(r *eventRecord, digest queue.Digest, at position) {
	e := &r.event
	if at.index {
		at.x.addMark(e.Seq, at.place.Offset)
		from := e.ReceivedAt
		if r.item != 0 || from.IsZero() { // what is re-sent is remembered from now on
			from = r.at
		}
		if from.Before(s.newestSeen) { // the clock was set back: none is older than the one before, so that the oldest goes first
			from = s.newestSeen
		}
		s.newestSeen = from
		entry := entryOf(e, e.Seq, digest, from)
		s.remember(at.x, &entry)
		at.x.meta.newestAt(r.at)
		if e.ReceivedAt.After(at.x.meta.Received) {
			at.x.meta.Received = e.ReceivedAt
		}
	}
	if r.item != 0 && at.letters {
		s.letters.remove(r.item, at.number)
	}
	if !at.state {
		return
	}
	s.state.LastSeq = max(s.state.LastSeq, e.Seq)
	if r.item != 0 {
		s.state.noteResent(r.item, e.Seq)
	} else if !e.Synthetic {
		s.state.LastAccepted[e.Endpoint] = e.ReceivedAt
	}
}

func (s *store) applyLetter(record []byte, at position) error {
	item, err := parseDeadLetter(record)
	if err != nil {
		return err
	}
	s.state.LastItem = max(s.state.LastItem, item.ID)
	if at.index {
		at.x.meta.LastItem = max(at.x.meta.LastItem, item.ID)
		at.x.meta.newestAt(item.At)
	}
	if at.letters {
		s.letters.apply(item, queue.DigestOf(item.Event.Body), int64(len(record)), at.number, at.place)
	}
	return nil
}

func (s *store) applyProgress(record []byte, at position) error {
	r, err := parseProgress(record)
	if err != nil {
		return err
	}
	if at.index {
		at.x.addOutcomes(outcomesKey(r.output, r.born), r.outcomes)
	}
	if o := s.state.Outputs[r.output]; o != nil && at.state && o.Born == r.born {
		o.Cursor = max(o.Cursor, r.through)
	}
	return nil
}

// applyRemembered takes over a delivery whose event is gone.
func (s *store) applyRemembered(record []byte, at position) error {
	v, err := viewEntry(record[1:])
	if err != nil || !at.index {
		return err
	}
	e := entry{
		seq: v.seq, receivedAt: v.receivedAt, sentAt: v.sentAt, digest: queue.Digest(v.digest), endpoint: string(v.endpoint),
		deliveryID: string(v.deliveryID), signalID: string(v.signalID), receivedBy: string(v.receivedBy),
	}
	s.remember(at.x, &e)
	return nil
}

// applyRare takes over the records that are JSON.
func (s *store) applyRare(record []byte, at position) error {
	if !at.state {
		return nil
	}
	switch record[0] {
	case kindSnapshot:
		var began state
		if err := parseJSONRecord(record, &began); err != nil {
			return err
		}
		s.state.Filed, s.state.Began, s.snapshotAt = max(s.state.Filed, began.Filed), began.Began, at.number
		return nil // the rest of it the state has already, or recovery has begun with it
	case kindOutputs:
		var outputs map[string]*outputState
		if err := parseJSONRecord(record, &outputs); err != nil {
			return err
		}
		s.state.Outputs, s.state.CursorsLost = outputs, false
	case kindReplay:
		var r replayRecord
		if err := parseJSONRecord(record, &r); err != nil {
			return err
		}
		if o := s.state.Outputs[r.Output]; o != nil {
			o.Cursor = r.Cursor
		}
	case kindLoss:
		var l loss
		if err := parseJSONRecord(record, &l); err != nil {
			return err
		}
		s.state.LastLoss = max(s.state.LastLoss, l.ID)
		s.state.Losses = append(s.state.Losses, l)
		if l.First != 0 && l.First <= l.Last {
			s.state.addGone(seqRange{l.First, l.Last})
		}
	case kindAck:
		var a ackRecord
		if err := parseJSONRecord(record, &a); err != nil {
			return err
		}
		s.state.acknowledge(a.ID, a.Who)
	default:
		return fmt.Errorf("%w: its kind is %q", errRecord, record[0])
	}
	return nil
}

// snapshot is the record with which the next segment begins.
func (s *store) snapshot(now time.Time) ([]byte, error) {
	s.state.forgetGone(s.state.consumed())
	next := *s.state
	next.Filed, next.Began, next.Segments, next.Sidecars = s.letters.filedThrough(s.log.Next()), now, nil, nil
	for _, x := range s.indexes {
		m := &x.meta
		if !x.retired && !m.isEmpty() {
			next.Segments = append(next.Segments, segmentMark{m.Number, m.FirstRecord, m.LastRecord, m.FirstSeq, m.LastSeq})
		}
		if x.retired && x.remembered() > 0 {
			next.addSidecar(m.Number)
		}
	}
	return jsonRecord(kindSnapshot, &next)
}

// begin returns the index of the active segment, and the snapshot that its first group begins with (nil: it has one).
func (s *store) begin(now time.Time) (x *index, snapshot []byte, err error) {
	x = s.active()
	if s.log.Active().Base() == 0 {
		snapshot, err = s.snapshot(now)
	}
	return x, snapshot, err
}

// roll makes sure that a group of size bytes goes into the active segment, and begins the next one where it doesn't.
func (s *store) roll(size int64) error {
	if s.log.Fits(journal.GroupSize(size)) {
		return nil
	}
	err := s.log.Roll()
	if errors.Is(err, journal.ErrNoSegment) && s.log.AwaitPrepared(prepareLimit) {
		err = s.log.Roll()
	}
	return err
}

// prepareLimit is how long a group waits for the segment that it needs.
const prepareLimit = time.Second

// write makes records durable while nobody else uses the store, and takes them over.
func (s *store) write(records [][]byte, marks journal.Marks) error {
	size := int64(0)
	for _, b := range records {
		size += journal.RecordSize(len(b))
	}
	if err := s.roll(size); err != nil {
		return err
	}
	x, snapshot, err := s.begin(s.opts.Now().UTC())
	if err != nil {
		return err
	}
	if snapshot != nil {
		records = append([][]byte{snapshot}, records...)
	}
	first := s.log.Next()
	offset, err := s.log.Write(records, marks)
	if err != nil {
		return err
	}
	x.meta.Bytes = s.log.Active().Used()
	for i, b := range records {
		if err := s.apply(b, s.newest(x, first, offset, i)); err != nil {
			return err
		}
	}
	return nil
}

// newest is the position of the ith record of a group that was written just now.
func (s *store) newest(x *index, first uint64, offset int64, i int) position {
	return position{x: x, number: first + uint64(i), place: recordPlace{x.meta.Number, offset, i}, index: true, state: true, letters: true} //nolint:gosec // an index
}

// sequenceOf returns the sequence of an event's record.
func sequenceOf(record []byte) uint64 { return binary.LittleEndian.Uint64(record[numberAt:]) }

// marks are what every group repeats.
func (s *store) marks() journal.Marks { return journal.Marks{s.state.LastSeq, s.state.LastItem} }

// isSealed reports whether x is that of a segment which takes no more.
func (s *store) isSealed(x *index) bool { return x != s.indexes[len(s.indexes)-1] }

// isNeeded reports whether the segment of indexes[i] can't be given up: what it has is needed by an output, by the filer, as
// one of the two newest snapshots, by keep, or by an operator who has not taken note of a damage.
func (s *store) isNeeded(i int, keep time.Duration, maxBytes int64, now time.Time) bool {
	x := s.indexes[i]
	switch {
	case x.side == nil, x.meta.LastSeq > s.state.consumed(), s.snapshotsAfter(i) < 2:
		return true
	case x.meta.LastRecord > s.state.Filed: // by the newest snapshot, so that a segment that is missing is known to be
		return true
	case keep > 0 && now.Sub(x.meta.Received) < keep && s.end()-x.start <= maxBytes:
		return true
	default:
		return s.hasOpenLoss(x)
	}
}

// snapshotsAfter counts the segments behind indexes[i] with something in them, each of which begins with a snapshot; two are enough.
func (s *store) snapshotsAfter(i int) int {
	n := 0
	for _, x := range slices.Backward(s.indexes[i+1:]) {
		if !x.meta.isEmpty() {
			n++
		}
		if n == 2 {
			break
		}
	}
	return n
}

// hasOpenLoss reports whether a loss in x's segment waits for an operator.
func (s *store) hasOpenLoss(x *index) bool {
	return slices.ContainsFunc(s.state.Losses, func(l loss) bool {
		return l.Acknowledged == "" && l.FirstRecord != 0 && l.FirstRecord <= x.meta.LastRecord && x.meta.FirstRecord <= l.LastRecord
	})
}

// retire gives up what isn't needed any more, and what is no longer remembered.
func (s *store) retire(keep time.Duration, maxBytes int64, now time.Time) error {
	for i, x := range s.indexes {
		if !x.retired && !s.isNeeded(i, keep, maxBytes, now) {
			x.retired = true
			s.log.Retire(x.meta.Number)
		}
	}
	lowest := s.lowestRecord()
	s.state.Losses = slices.DeleteFunc(s.state.Losses, func(l loss) bool { return l.Acknowledged != "" && l.LastRecord < lowest })
	return s.dropSidecars(now)
}

// lowestRecord is the number of the first record that is still there.
func (s *store) lowestRecord() uint64 {
	for _, x := range s.indexes {
		if !x.retired {
			return x.meta.FirstRecord
		}
	}
	return s.log.Next()
}

// dropSidecars deletes those whose segments are given up and whose deliveries are forgotten, once that is durable in a
// snapshot's "evicted up to". The outcomes in them are kept for the window, too, as long as all sidecars are small.
func (s *store) dropSidecars(now time.Time) error {
	for len(s.indexes) > 1 {
		x := s.indexes[0]
		outcomes := now.Sub(x.meta.At) <= s.opts.Window && s.sidecarBytes() <= s.opts.maxSidecarBytes()
		if !x.retired || x.remembered() > 0 || outcomes || s.snapshotAt < s.forgottenAt {
			return nil
		}
		if x.side != nil {
			if err := x.side.remove(s.opts.FS); err != nil {
				return err
			}
		}
		s.indexes = s.indexes[1:]
		s.oldest = max(0, s.oldest-1)
	}
	return nil
}

func (s *store) sidecarBytes() int64 {
	total := int64(0)
	for _, x := range s.indexes {
		if x.side != nil {
			total += x.side.end
		}
	}
	return total
}

// close releases the files.
func (s *store) close() error {
	err := s.log.Close()
	for _, x := range s.indexes {
		if x.side != nil {
			_ = x.side.file.Close() // only read
		}
	}
	return err
}
