package local

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// reopen gets out of a folder that was replaced. When the very files are back, nothing has happened. Otherwise what is at the path
// is opened under a new bridge ID, and what it lacks of what was acknowledged is appended there out of the files that are
// still open. Until all of that is done nothing is answered but 503.
func (q *committer) reopen() error {
	if q.samePaths() == nil {
		return nil
	}
	lock, err := q.lockAgain()
	if err != nil {
		return err
	}
	old := q.store
	next, err := recoverOver(&q.opts, q.opts.Directory, old.state)
	if err != nil {
		return errors.Join(err, q.unlockNew(lock))
	}
	if err := newWriteBack(q.engine, old, next).run(); err != nil {
		return errors.Join(fmt.Errorf("write back what the folder lacks: %w", err), next.close(), q.unlockNew(lock))
	}
	if lock != q.lock {
		_ = q.lock.Close() // it locks a file that is no longer at the path
		q.lock = lock
	}
	q.adopt(next)
	q.sealSoon()
	q.opts.Log.Warn("the queue's folder was replaced while the bridge ran; what it lacked was written back, under a new bridge_id",
		"event", "queue_recovered", "bridge_id", next.state.BridgeID)
	_ = old.close() // nobody needs it any more
	return nil
}

// lockAgain returns the lock of the folder that is at the path now: the one that is held where that is still it.
func (q *committer) lockAgain() (*folderLock, error) {
	if err := journal.MakeDir(q.opts.FS, q.opts.Directory, 0o700); err != nil {
		return nil, err
	}
	if q.lock.isAtPath(q.opts.FS) == nil {
		return q.lock, nil
	}
	return lockFolder(q.opts.FS, q.opts.Directory)
}

func (q *committer) unlockNew(lock *folderLock) error {
	if lock == q.lock {
		return nil
	}
	return lock.Close()
}

// writeBack brings what one store has acknowledged into the store that has taken its place, which nobody else uses yet. What
// that has already stays as it is.
type writeBack struct {
	q         *engine
	old, next *store
	same      bool              // next is an older state of the very queue that old is
	cursors   map[string]uint64 // old's outputs, as their workers have advanced them

	records [][]byte // the group that is being put together
	size    int64
	marks   journal.Marks
}

func newWriteBack(q *engine, old, next *store) *writeBack {
	w := &writeBack{q: q, old: old, next: next, same: old.state.BridgeID == next.foundID, cursors: map[string]uint64{}, marks: next.marks()}
	for name, o := range old.state.Outputs {
		cursor, ok := q.places.get(name)
		if !ok {
			cursor = o.Cursor
		}
		w.cursors[name] = cursor
	}
	return w
}

func (w *writeBack) run() error {
	for _, step := range []func() error{w.outputs, w.outcomes, w.events, w.letters, w.memory, w.flush} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// maxWriteBack is how large a group gets before it is written.
const maxWriteBack = 256 << 10

// put adds a record, and writes the group when it is large enough.
func (w *writeBack) put(record []byte) error {
	size := journal.RecordSize(len(record))
	if w.size > 0 && w.size+size > maxWriteBack {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.records, w.size = append(w.records, record), w.size+size
	return nil
}

func (w *writeBack) flush() error {
	if len(w.records) == 0 {
		return nil
	}
	if most := w.next.log.MaxGroup() - largestSnapshot; journal.GroupSize(w.size) > most {
		w.next.log.Want(journal.GroupSize(w.size) + 2*largestSnapshot)
		return errTooLarge
	}
	err := w.next.write(w.records, w.marks)
	w.records, w.size = nil, 0
	return err
}

// outputs makes the outputs known again. In an older state of this very queue no cursor is behind what was delivered since.
func (w *writeBack) outputs() error {
	outputs := map[string]*outputState{}
	for name, o := range w.old.state.Outputs {
		cursor := w.next.state.LastSeq
		if known := w.next.state.Outputs[name]; known != nil {
			cursor = known.Cursor
			if w.same {
				cursor = max(cursor, w.cursors[name])
			}
		}
		outputs[name] = &outputState{DropOldest: o.DropOldest, Cursor: cursor, Born: w.next.log.Next()}
	}
	record, err := jsonRecord(kindOutputs, outputs)
	if err != nil {
		return err
	}
	if err := w.put(record); err != nil {
		return err
	}
	return w.flush() // what comes next looks at the cursors
}

// outcomes brings back what is known of delivered events, where their sequences still mean them.
func (w *writeBack) outcomes() error {
	if !w.same && w.next.foundID != "" {
		return nil
	}
	for name, o := range w.old.state.Outputs {
		noted, err := w.old.notedOf(o.outcomesKey(name), 1, w.old.state.LastSeq)
		if err != nil {
			return err
		}
		noted = append(noted, w.q.places.noted(name)...)
		known := queue.MergeOutcomes(noted, w.cursors[name], 1, w.old.state.LastSeq)
		known = slices.DeleteFunc(known, func(r queue.OutcomeRange) bool { return r.Outcome == queue.Unknown || r.Outcome == queue.Queued })
		next := w.next.state.Outputs[name]
		for part := range slices.Chunk(known, 1000) {
			r := progressRecord{output: name, born: next.Born, through: next.Cursor, outcomes: part}
			if err := w.put(r.encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeBackEvents is how many events are read at once.
const writeBackEvents = 256

// events appends those that some output still needs.
func (w *writeBack) events() error {
	last, low := w.old.state.LastSeq, w.old.state.LastSeq
	for _, cursor := range w.cursors {
		low = min(low, cursor)
	}
	if len(w.cursors) == 0 {
		low = w.old.oldestEvent() - 1
	}
	for after := low; after < last; {
		b, err := w.read(after, last)
		if err != nil {
			return err
		}
		for _, e := range b.Events {
			if err := w.event(e); err != nil {
				return err
			}
		}
		if err := w.lost(b.Gaps); err != nil {
			return err
		}
		after = b.Through
	}
	return nil
}

// read reads from memory what is there, since it is not sure what the files still hold.
func (w *writeBack) read(after, last uint64) (queue.Batch, error) {
	b := queue.Batch{Through: after}
	if events, ok := w.q.tail.read(after, writeBackEvents, maxReadBytes); ok && len(events) > 0 {
		b.Events, b.Through = events, events[len(events)-1].Seq
		return b, nil
	}
	_, err := w.q.readStored(w.old, &b, min(last, w.q.tail.first()-1), writeBackEvents, maxReadBytes)
	return b, err
}

// event appends an event again, for the outputs that will not get it otherwise.
func (w *writeBack) event(e *queue.Event) error {
	digest := queue.DigestOf(e.Body)
	there := w.kept(e.Endpoint, digest)
	needing := []string{}
	for name, cursor := range w.cursors {
		if cursor < e.Seq && (len(e.Only) == 0 || slices.Contains(e.Only, name)) && there <= w.next.state.Outputs[name].Cursor {
			needing = append(needing, name)
		}
	}
	if len(needing) == 0 && (len(w.cursors) > 0 || there != 0) {
		return nil
	}
	again := *e
	if len(needing) < len(w.cursors) {
		slices.Sort(needing)
		again.Only = needing
	}
	w.marks[0]++
	record := appendEventRecord(nil, &again, 0)
	fill(record, w.marks[0], w.q.opts.Now().UTC())
	return w.put(record)
}

// kept returns the sequence under which the folder has a body, 0 when it hasn't, or has only a memory of it.
func (w *writeBack) kept(endpoint string, digest queue.Digest) uint64 {
	r, err := w.next.remembers(endpoint, digest)
	if err != nil || r.Seq == 0 {
		return 0
	}
	if _, gone := w.next.state.goneAt(r.Seq); gone {
		return 0
	}
	for _, x := range w.next.indexes {
		if !x.retired && x.meta.FirstSeq != 0 && x.meta.FirstSeq <= r.Seq && r.Seq <= x.meta.LastSeq {
			return r.Seq
		}
	}
	return 0
}

// lost tells events that were still needed and can be read nowhere.
func (w *writeBack) lost(gaps []queue.Gap) error {
	for _, g := range gaps {
		if g.Outcome != queue.Lost || w.old.state.goneWithin(g.First, g.Last) == g.Last-g.First+1 {
			continue
		}
		if err := w.tell(queue.Loss{What: "events of the folder that was replaced can be read nowhere", First: g.First, Last: g.Last, Records: g.Last - g.First + 1}); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeBack) tell(l queue.Loss) error {
	if err := w.flush(); err != nil { // the number of the next loss comes from the state
		return err
	}
	l.ID, l.At = w.next.state.LastLoss+1, w.q.opts.Now().UTC()
	w.q.opts.Log.Error("something that was acknowledged is lost; see losses list", "event", "queue_damaged", "what", l.What,
		"first", l.First, "last", l.Last, "records", l.Records)
	record, err := jsonRecord(kindLoss, loss{Loss: l})
	if err != nil {
		return err
	}
	if err := w.put(record); err != nil {
		return err
	}
	return w.flush()
}

// letters puts back the dead letters that the folder lacks, and takes away those that were re-sent or dropped since it was copied.
func (w *writeBack) letters() error {
	if w.same {
		for _, l := range w.next.letters.after(0, math.MaxInt) {
			if _, there := w.old.letters.get(l.id); !there && l.id <= w.old.state.LastItem {
				if err := w.put(dropRecord(l.id)); err != nil {
					return err
				}
			}
		}
	}
	for _, l := range w.old.letters.after(0, math.MaxInt) {
		if known, ok := w.next.letters.get(l.id); ok && known.digest == l.digest {
			continue
		}
		if err := w.letter(&l); err != nil {
			return err
		}
	}
	return nil
}

// letter puts back one dead letter, under its ID where that is free. It is read from the log, where it is still kept, or from its
// file.
func (w *writeBack) letter(l *letter) error {
	item, err := w.q.letterFromLog(w.old, l.place)
	if err != nil {
		item, _, err = w.old.letters.readFile(l)
	}
	if err != nil {
		return w.tell(queue.Loss{What: fmt.Sprintf("dead letter %d was in the folder that was replaced, and nowhere else", l.id), Records: 1})
	}
	id := l.id
	if _, taken := w.next.letters.get(id); taken {
		w.marks[1]++
		id = w.marks[1]
	}
	record := appendDeadLetter(nil, item)
	fill(record, id, item.At)
	return w.put(record)
}

// memory brings back the memory of the deliveries whose events every output has had.
func (w *writeBack) memory() error {
	if err := w.flush(); err != nil {
		return err
	}
	for _, x := range w.old.indexes {
		for i := x.forgotten; i < x.meta.Entries; i++ {
			b, err := x.entry(i)
			if err != nil {
				return err
			}
			v, err := viewEntry(b)
			if err != nil {
				continue
			}
			known, err := w.next.remembers(string(v.endpoint), queue.Digest(v.digest))
			if err != nil {
				return err
			}
			if known.Seq != 0 {
				continue
			}
			if err := w.put(append([]byte{kindRemembered}, b...)); err != nil {
				return err
			}
		}
	}
	return nil
}
