package local

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// recovery is a folder on its way to a store.
type recovery struct {
	*store
	segments []*journal.Segment // those with something in them
	losses   []loss             // found and not told yet
	doubts   []string           // why the newest number is not certain
	highest  journal.Marks      // the highest marks seen in any group
	last     *journal.Segment   // the newest with something in it
	lastSeen journal.Scanned
	next     uint64 // the number of the next record
	highSeq  uint64 // the highest sequence seen in a sidecar
	before   uint64 // the newest event that was passed
	gone     []seqRange
	over     *state // of the folder that was at the path before; nil: none

	beyond    uint64   // the deliveries of the sidecars up to this one are forgotten
	forgetful bool     // some deliveries are not remembered, and it isn't known which
	damaged   []string // sidecars to delete once that is told
}

// recoverStore reads a folder, which exists and is locked, and makes it ready to be written to. Until it returns, nothing intact on
// disk is changed. An error is a failed read or write, or a *journal.VersionError; none says that something is damaged: that is in
// the state, as losses.
func recoverStore(opts *Options, dir string) (*store, error) { return recoverOver(opts, dir, nil) }

// recoverOver is recoverStore for a folder that has taken the place of one that was open, whose state was over: no number of that
// is given again.
func recoverOver(opts *Options, dir string, over *state) (*store, error) {
	s := &store{opts: opts, dir: dir, dedupe: newDedupe(), letters: newLetters(opts.FS, filepath.Join(dir, quarantineFolder))}
	r := &recovery{store: s, over: over}
	if err := refuseMoved(opts, dir); err != nil {
		return nil, err
	}
	if err := journal.MakeDir(opts.FS, s.logDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make the queue's folder: %w", err)
	}
	if err := r.openLog(); err != nil {
		return nil, err
	}
	if err := r.run(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.forgetOld(opts.Now(), math.MaxInt); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.evicted = 0 // since start
	return s, nil
}

func (r *recovery) openLog() error {
	log, err := journal.Open(journal.Options{
		FS: r.opts.FS, Directory: r.logDir(), SegmentSize: r.opts.segmentSize, FirstSegment: r.opts.firstSegment, Salt: r.opts.Salt, Failed: r.opts.prepareFailed,
	})
	if err != nil {
		return fmt.Errorf("read the queue's log: %w", err)
	}
	r.log = log
	return nil
}

func (r *recovery) run() error {
	sidecars, err := r.listFiles()
	if err != nil {
		return err
	}
	if err := r.letters.load(); err != nil {
		return err
	}
	for _, s := range r.log.Segments() {
		if s.Base() != 0 {
			r.segments = append(r.segments, s)
			r.last = s
		}
	}
	if err := r.findState(); err != nil {
		return err
	}
	if err := r.loadIndexes(sidecars); err != nil {
		return err
	}
	r.judgeFiles(sidecars)
	r.raise()
	return r.begin()
}

// listFiles returns the numbers of the sidecars and deletes temporary files.
func (r *recovery) listFiles() (map[uint64]bool, error) {
	names, err := r.opts.FS.List(r.logDir())
	if err != nil {
		return nil, fmt.Errorf("read the queue's log: %w", err)
	}
	sidecars := map[uint64]bool{}
	for _, name := range names {
		if n, ok := sidecarNumber(name); ok {
			sidecars[n] = true
			r.log.Note(n)
		}
		if strings.HasSuffix(name, temporarySuffix) || name == journal.PreparedName {
			if err := r.opts.FS.Remove(filepath.Join(r.logDir(), name)); err != nil {
				return nil, fmt.Errorf("delete a temporary file: %w", err)
			}
		}
	}
	return sidecars, nil
}

// findState takes the newest snapshot that can be read. What the log has behind it is applied later.
func (r *recovery) findState() error {
	for i := len(r.segments) - 1; i >= 0; i-- {
		g, err := r.segments[i].Scanner(0, 0).Next()
		if err != nil {
			return err
		}
		if g == nil || len(g.Records) == 0 || len(g.Records[0]) == 0 || g.Records[0][0] != kindSnapshot || g.First != g.Segment.Base() {
			continue
		}
		state := newState("")
		if err := parseJSONRecord(g.Records[0], state); err != nil {
			continue
		}
		state.fillMaps()
		r.state, r.snapshotAt = state, g.First
		return nil
	}
	r.state = newState("")
	if len(r.segments) > 0 {
		r.state.CursorsLost = true
		r.doubts = append(r.doubts, "no snapshot of the state can be read")
	}
	return nil
}

// loadIndexes walks the segments and the sidecars in the order of their numbers.
func (r *recovery) loadIndexes(sidecars map[uint64]bool) error {
	bySegment := map[uint64]*journal.Segment{}
	numbers := make([]uint64, 0, len(sidecars)+len(r.segments))
	for n := range sidecars {
		numbers = append(numbers, n)
	}
	for _, s := range r.segments {
		bySegment[s.Number()] = s
		if !sidecars[s.Number()] {
			numbers = append(numbers, s.Number())
		}
	}
	slices.Sort(numbers)
	r.beyond = r.beyondCapacity(sidecars)
	for _, n := range numbers {
		if err := r.loadIndex(n, bySegment[n], sidecars[n]); err != nil {
			return err
		}
	}
	return nil
}

// beyondCapacity returns the number of the sidecar up to which everything is forgotten, because those behind it have as many deliveries as
// are remembered; 0: there is none. Their deliveries need not be read.
func (r *recovery) beyondCapacity(sidecars map[uint64]bool) uint64 {
	behind := 0
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(sidecars))) {
		if behind >= r.opts.Capacity {
			return n
		}
		behind += sidecarEntries(r.opts.FS, r.logDir(), n)
	}
	return 0
}

// loadIndex makes the index of one segment from its sidecar, and where there is none or what it says is not enough, from the
// segment.
func (r *recovery) loadIndex(number uint64, seg *journal.Segment, hasSidecar bool) error {
	x, err := r.sidecarIndex(number, hasSidecar)
	if err != nil {
		return err
	}
	if seg == nil {
		if x == nil {
			r.forgetSidecar(number, "damaged")
			r.damaged = append(r.damaged, sidecarPath(r.logDir(), number))
			return nil
		}
		x.retired = true
		r.keep(x)
		r.before = max(r.before, x.meta.LastSeq)
		return nil
	}
	if x == nil {
		x = newIndex(number, seg.Base(), 0)
	}
	r.keep(x)
	defer func() { r.before = max(r.before, x.meta.LastSeq) }()
	if x.side == nil || seg == r.last || x.meta.LastRecord > r.state.Filed || x.meta.LastRecord >= r.snapshotAt {
		return r.scan(x, seg)
	}
	seg.SetEnd(groupsBegin + x.meta.Bytes)
	return nil
}

// raiseAllEvicted is for deliveries that are forgotten without a word of which: whatever is not newer than the newest that is
// known can't be told from a replay.
func (r *recovery) raiseAllEvicted() {
	for endpoint, at := range r.state.LastAccepted {
		r.state.raiseEvicted(endpoint, at)
	}
	for _, x := range r.indexes {
		for endpoint, at := range x.meta.Sent {
			r.state.raiseEvicted(endpoint, at)
		}
	}
}

// keep appends an index behind those before.
func (r *recovery) keep(x *index) {
	x.start = r.end()
	if x.retired {
		x.meta.Bytes = 0
	}
	r.indexes = append(r.indexes, x)
	r.highSeq = max(r.highSeq, x.meta.LastSeq)
	r.state.LastItem = max(r.state.LastItem, x.meta.LastItem)
}

// sidecarIndex reads a sidecar and remembers its deliveries; nil: there is none that is sound.
func (r *recovery) sidecarIndex(number uint64, has bool) (*index, error) {
	if !has {
		return nil, nil
	}
	type found struct {
		keys    keys
		ordinal int
	}
	var all []found
	forgotten := number <= r.beyond
	entries := 0
	x, err := openSidecar(r.opts.FS, r.logDir(), number, func(b []byte) error {
		entries++
		if forgotten {
			return nil
		}
		v, err := viewEntry(b)
		if err == nil {
			all = append(all, found{r.dedupe.hash.keysOf(&v), len(all)})
		}
		return err
	})
	if errors.Is(err, errSidecar) {
		r.opts.Log.Warn("a sidecar of the queue's log is damaged; it is rebuilt from its segment if that still exists",
			"event", "queue_damaged", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	x.meta.Entries = entries
	if forgotten {
		x.forgotten, r.forgottenAt = entries, r.log.Next()
		for endpoint, sent := range x.meta.Sent {
			r.state.raiseEvicted(endpoint, sent)
		}
	}
	r.remembered += len(all)
	if n := len(all); n > 0 {
		if b, err := x.entry(n - 1); err == nil {
			if v, err := viewEntry(b); err == nil && v.receivedAt.After(r.newestSeen) {
				r.newestSeen = v.receivedAt
			}
		}
	}
	before := len(r.indexes)
	r.indexes = append(r.indexes, x) // keysAt finds it
	for _, f := range all {
		place := placeOf(number, f.ordinal)
		r.dedupe.byBody[f.keys.body] = place
		r.dedupe.addDelivery(f.keys, place, r.keysAt)
	}
	r.indexes = r.indexes[:before]
	return x, nil
}

// scan reads a segment and applies what is new.
func (r *recovery) scan(x *index, seg *journal.Segment) error {
	sealed := x.side != nil
	if sealed { // what lies behind was not written, whatever the disk has of it
		seg.SetEnd(groupsBegin + x.meta.Bytes)
	}
	c := seg.Scanner(0, 0)
	for {
		g, err := c.Next()
		if err != nil {
			return err
		}
		if m := c.Missing(); m != nil {
			r.missing(seg, m)
		}
		if g == nil {
			break
		}
		r.highest = journal.Marks{max(r.highest[0], g.Marks[0]), max(r.highest[1], g.Marks[1])}
		for i, record := range g.Records {
			r.record(record, position{
				x: x, number: g.First + uint64(i), place: recordPlace{seg.Number(), g.Offset, i}, index: !sealed,
			})
		}
	}
	found := c.Found()
	if sealed {
		if !x.meta.isEmpty() && found.Next <= x.meta.LastRecord {
			r.missing(seg, &journal.Missing{First: found.Next, Last: x.meta.LastRecord})
			found.Next = x.meta.LastRecord + 1
		}
		found.End = groupsBegin + x.meta.Bytes
	} else {
		x.meta.Bytes = found.End - groupsBegin
		seg.SetEnd(found.End)
	}
	if seg == r.last {
		r.lastSeen, r.next = found, found.Next
	}
	return nil
}

func segmentName(s *journal.Segment) string { return fmt.Sprintf("%012d.seg", s.Number()) }

// record applies one record as far as the snapshot and the filer don't have it yet.
func (r *recovery) record(record []byte, at position) {
	at.state, at.letters = at.number >= r.snapshotAt, at.number > r.state.Filed
	if len(record) > timeAt && record[0] == kindEvent {
		r.follow(sequenceOf(record))
	}
	if err := r.apply(record, at); err != nil && !r.state.knownLoss(at.number, at.number) {
		r.losses = append(r.losses, loss{
			Loss:        queue.Loss{What: fmt.Sprintf("a record of segment %d can't be understood: %v", at.place.Segment, err), Records: 1},
			FirstRecord: at.number, LastRecord: at.number,
		})
	}
}

// follow notes which sequences are lost before the event seq.
func (r *recovery) follow(seq uint64) {
	if r.before != 0 && seq > r.before+1 {
		gone := seqRange{r.before + 1, seq - 1}
		r.gone = append(r.gone, gone)
		for i := range r.losses {
			if l := &r.losses[i]; l.First == openRange {
				l.First, l.Last = gone.First, gone.Last
			}
		}
	}
	for i := range r.losses { // nothing with a sequence is missing there
		if l := &r.losses[i]; l.First == openRange {
			l.First = 0
		}
	}
	r.before = max(r.before, seq)
}

// openRange is a loss's First until it is known which sequences it has.
const openRange = math.MaxUint64

// missing notes records that can't be read.
func (r *recovery) missing(seg *journal.Segment, m *journal.Missing) {
	if r.state.knownLoss(m.First, m.Last) {
		return
	}
	r.losses = append(r.losses, loss{
		Loss: queue.Loss{
			What:  fmt.Sprintf("%d records of %s are damaged or missing", m.Last-m.First+1, segmentName(seg)),
			First: openRange, Records: m.Last - m.First + 1,
		},
		FirstRecord: m.First, LastRecord: m.Last,
	})
}

// judgeFiles finds out whether the newest number is certain.
func (r *recovery) judgeFiles(sidecars map[uint64]bool) {
	doubt := func(format string, args ...any) { r.doubts = append(r.doubts, fmt.Sprintf(format, args...)) }
	present := map[uint64]bool{}
	newest := uint64(0)
	if r.last != nil {
		newest = r.last.Number()
	}
	above := uint64(0)
	for _, s := range r.log.Segments() {
		present[s.Number()] = true
		if s.Number() > newest {
			if above++; s.Number() != newest+above && newest != 0 {
				doubt("segment %d is missing", newest+above)
			}
			if s.Short() {
				doubt("%s is shorter than it should be", segmentName(s))
			}
		}
	}
	for _, u := range r.log.Unreadable() {
		if u.Number >= newest && u.Size < journal.MinSegment {
			doubt("segment %d was cut short", u.Number)
		}
	}
	for n := range sidecars { // a segment gets one when the next has begun, in which nothing may be yet
		if n > newest || n == newest && !present[n+1] {
			doubt("a segment after number %d is missing", n)
		}
	}
	if r.last != nil && r.last.Short() {
		doubt("%s is shorter than it should be", segmentName(r.last))
	}
	if r.lastSeen.Remains {
		doubt("the end of %s is damaged", segmentName(r.last))
	}
	for _, m := range r.state.Segments {
		if !present[m.Number] {
			r.missingSegment(m)
		}
	}
	r.missingSidecars(sidecars, present)
	if r.last == nil && (len(sidecars) > 0 || r.log.Highest() > uint64(len(r.log.Segments()))) { // else: never used
		doubt("no segment of the log can be read")
		r.state.CursorsLost = true
	}
	if r.over != nil {
		doubt("the folder was replaced while the bridge ran")
	}
	if _, err := r.opts.FS.Stat(filepath.Join(r.dir, backupMark)); err == nil {
		doubt("the folder is a restored backup")
	}
}

// missingSegment tells that a segment is missing, when it had something that was still needed.
func (r *recovery) missingSegment(m segmentMark) {
	l := loss{Loss: queue.Loss{What: fmt.Sprintf("segment %d is missing", m.Number)}, FirstRecord: m.FirstRecord, LastRecord: m.LastRecord}
	consumed := r.state.consumed()
	switch {
	case r.state.knownLoss(m.FirstRecord, m.LastRecord):
		return
	case m.LastSeq > consumed:
		l.First, l.Last = max(m.FirstSeq, consumed+1), m.LastSeq
		l.Records = l.Last - l.First + 1
		if r.state.goneWithin(l.First, l.Last) == l.Records {
			return
		}
		r.state.addGone(seqRange{l.First, l.Last})
	case m.LastRecord > r.state.Filed:
		l.What += ", with quarantined events that had no file yet"
		l.Records = m.LastRecord - max(m.FirstRecord, r.state.Filed+1) + 1
	default:
		return
	}
	r.losses = append(r.losses, l)
}

// missingSidecars tells that deliveries are not remembered because their sidecar is missing and their segment is given up.
func (r *recovery) missingSidecars(sidecars, segments map[uint64]bool) {
	for _, m := range r.state.Sidecars {
		for n := m.First; n <= m.Last; n++ {
			if !sidecars[n] && !segments[n] {
				r.forgetSidecar(n, "missing")
			}
		}
	}
}

// forgetSidecar tells that the deliveries of a segment that is gone are not remembered.
func (r *recovery) forgetSidecar(number uint64, how string) {
	r.losses = append(r.losses, loss{Loss: queue.Loss{What: fmt.Sprintf(
		"the sidecar %s is %s and its segment is gone: deliveries of that time are not remembered, and what could be a repeat of one is quarantined",
		filepath.Base(sidecarPath("", number)), how)}})
	r.forgetful = true
}

// raise brings the numbers to what anything in the folder has shown.
func (r *recovery) raise() {
	high := max(r.highest[0], r.highSeq, r.before)
	for _, o := range r.state.Outputs {
		high = max(high, o.Cursor)
	}
	if r.before != 0 && high > r.before {
		r.follow(high + 1)
	} else if high > r.state.LastSeq && r.state.LastSeq != 0 {
		r.gone = append(r.gone, seqRange{r.state.LastSeq + 1, high})
	}
	r.state.LastSeq = max(r.state.LastSeq, high)
	for _, g := range r.gone {
		r.state.addGone(g)
	}
	r.state.forgetGone(r.state.consumed())
	r.state.LastItem = max(r.state.LastItem, r.highest[1], r.letters.newest())
	r.takeOver()
	if r.forgetful {
		r.raiseAllEvicted()
	}
	for i := range r.losses {
		if r.losses[i].First == openRange {
			r.losses[i].First = 0
		}
	}
}

// takeOver raises the numbers to those of the folder that was at the path before, and keeps what that knew to be lost.
func (r *recovery) takeOver() {
	r.foundID = r.state.BridgeID
	if r.over == nil {
		return
	}
	if r.state.LastSeq != 0 && r.over.LastSeq > r.state.LastSeq {
		r.state.addGone(seqRange{r.state.LastSeq + 1, r.over.LastSeq})
	}
	r.state.LastSeq = max(r.state.LastSeq, r.over.LastSeq)
	r.state.LastItem = max(r.state.LastItem, r.over.LastItem)
	for endpoint, at := range r.over.EvictedUpTo {
		r.state.raiseEvicted(endpoint, at)
	}
	for endpoint, at := range r.over.LastAccepted {
		if at.After(r.state.LastAccepted[endpoint]) {
			r.state.LastAccepted[endpoint] = at
		}
	}
	for _, l := range r.over.Losses {
		if l.ID > r.state.LastLoss && l.Acknowledged == "" {
			l.FirstRecord, l.LastRecord = 0, 0
			r.losses = append(r.losses, l)
		}
	}
}

// begin makes the log ready to be written to, and tells what was found in its first group.
func (r *recovery) begin() error {
	if r.last != nil && r.lastSeen.Last != 0 {
		if err := r.log.Confirm(r.last, r.lastSeen.Last); err != nil {
			return err
		}
	}
	for _, u := range r.log.Unreadable() {
		if err := r.log.DeleteUnreadable(u); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	r.chooseID()
	if err := r.log.SetIdentity(r.state.BridgeID); err != nil {
		return err
	}
	if err := r.log.Begin(r.last, r.lastSeen.End, max(1, r.next)); err != nil {
		return err
	}
	if err := r.leaveSealed(); err != nil {
		return err
	}
	if err := r.tell(); err != nil {
		return err
	}
	return r.cleanUp()
}

// chooseID takes a new bridge ID where the newest number is not certain.
func (r *recovery) chooseID() {
	if all := r.log.Segments(); r.state.BridgeID == "" && len(all) > 0 {
		r.state.BridgeID = all[len(all)-1].Identity()
	}
	if r.state.BridgeID == "" || len(r.doubts) > 0 {
		r.state.BridgeID = r.opts.newBridgeID()
	}
	if len(r.doubts) > 0 {
		r.losses = append(r.losses, loss{Loss: queue.Loss{What: strings.Join(r.doubts, "; ") +
			": which events were lost, if any, can't be told; the queue has a new bridge_id"}})
	}
}

// leaveSealed goes on in a new segment when the newest one has its sidecar already, since the process died before it wrote to
// the next, and when the state has something that no record says, since a segment begins with it.
func (r *recovery) leaveSealed() error {
	if r.last == nil || r.log.Active() != r.last || (!r.forgetful && r.indexOf(r.last.Number()).side == nil) {
		return nil
	}
	if !r.log.AwaitPrepared(prepareLimit) {
		return journal.ErrNoSegment
	}
	return r.log.Roll()
}

// cleanUp deletes what was only to be read once.
func (r *recovery) cleanUp() error {
	for _, path := range append(r.damaged, filepath.Join(r.dir, backupMark)) {
		err := r.opts.FS.Remove(path)
		if err == nil {
			err = r.opts.FS.SyncDir(filepath.Dir(path))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// backupMark is the file by which a restored backup is known.
const backupMark = "backup"

// tell writes the first group of this process where there is something to say: a new segment's snapshot, and losses.
func (r *recovery) tell() error {
	now := r.opts.Now().UTC()
	var records [][]byte
	for i, l := range r.losses {
		l.ID, l.At = r.state.LastLoss+1+uint64(i), now
		b, err := jsonRecord(kindLoss, l)
		if err != nil {
			return err
		}
		records = append(records, b)
		r.opts.Log.Error("something that was acknowledged may be lost; see losses list", "event", "queue_damaged", "what", l.What,
			"first", l.First, "last", l.Last, "records", l.Records)
	}
	if len(records) == 0 && r.last != nil && r.log.Active() == r.last {
		return nil
	}
	return r.write(records, r.marks())
}
