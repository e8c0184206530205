package local

import (
	"errors"
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// txn is one group on its way to the log, with what it will change in memory once it is synced. Until then nothing but the txn
// knows of it, so a write that fails leaves no trace.
type txn struct {
	q   *committer
	s   *store
	now time.Time

	records [][]byte
	known   []*request // by record: the accepted event that it holds, nil for others
	size    int64

	lastSeq, lastItem uint64
	floors            map[string]uint64 // the outputs' cursors with what this group moves
	moves             []move
	letterBytes       map[string]int64  // that this group adds, by output
	gone              map[uint64]uint64 // dead letters that this group takes away, with the sequence that they are re-sent as
	newLosses         int
	judging           *judging
	full              error // the last append that found no room
	fullNeed          int64 // the bytes that it would have taken
	after             []func()
}

func (q *committer) newTxn() *txn {
	s := q.store
	q.judging.s = s
	q.judging.reset()
	t := &txn{
		q: q, s: s, now: q.opts.Now().UTC(), lastSeq: s.state.LastSeq, lastItem: s.state.LastItem, judging: q.judging,
		records: q.records[:0], known: q.known[:0],
	}
	return t
}

func (t *txn) put(record []byte, known *request) {
	t.records, t.known = append(t.records, record), append(t.known, known)
	t.size += journal.RecordSize(len(record))
}

// putJSON adds one of the records that are rare.
func (t *txn) putJSON(kind byte, v any) error {
	b, err := jsonRecord(kind, v)
	if err == nil {
		t.put(b, nil)
	}
	return err
}

// add runs one request. It has its outcome afterwards, should the group be written.
func (t *txn) add(r *request) {
	if r.job != nil {
		r.err = r.job(t)
		return
	}
	r.receipt, r.err = t.append(r)
	r.receipt.Generation = t.q.generation.Load()
}

// append judges one event.
func (t *txn) append(r *request) (queue.Receipt, error) {
	j, err := queue.Judge(t.judging, r.event, r.digest, r.reason, t.now, t.q.opts.Window)
	if err != nil {
		return queue.Receipt{}, fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
	if j.Known {
		return j.Receipt, nil
	}
	if err := t.q.spaceFor(t.size + int64(len(r.record))); err != nil {
		return queue.Receipt{}, err
	}
	if j.Verdict == queue.Quarantined {
		return j.Receipt, t.quarantine(r, j.Reason)
	}
	seq, err := t.accept(r)
	j.Seq = seq
	return j.Receipt, err
}

// accept gives r's event its sequence.
func (t *txn) accept(r *request) (uint64, error) {
	if err := t.makeRoom(int64(len(r.record))); err != nil {
		return 0, err
	}
	t.lastSeq++
	fill(r.record, t.lastSeq, t.now)
	t.put(r.record, r)
	from := r.event.ReceivedAt
	if r.item != 0 || from.IsZero() {
		from = t.now
	}
	t.judging.accepted(r.event, r.digest, queue.Remembered{Seq: t.lastSeq, ReceivedAt: from})
	r.receipt.Seq = t.lastSeq
	return t.lastSeq, nil
}

// quarantine keeps r's event out of the outputs.
func (t *txn) quarantine(r *request, reason string) error {
	item := queue.DeadLetter{Reason: reason, Event: *r.event}
	item.Event.Seq = 0
	if err := t.putLetter(&item); err != nil {
		return err
	}
	t.judging.letters[bodyKey{r.event.Endpoint, r.digest}] = true
	return nil
}

// putLetter adds a dead letter within the allowance of the one who puts it there.
func (t *txn) putLetter(item *queue.DeadLetter) error {
	record := appendDeadLetter(nil, item)
	size := max(int64(len(record)), minLetter)
	if err := t.letterRoom(item.Output, size); err != nil {
		return err
	}
	t.lastItem++
	at := item.At
	if at.IsZero() {
		at = t.now
	}
	fill(record, t.lastItem, at)
	t.put(record, nil)
	if t.letterBytes == nil {
		t.letterBytes = map[string]int64{}
	}
	t.letterBytes[item.Output] += size
	return nil
}

// letterRoom answers whether a dead letter of size bytes fits.
func (t *txn) letterRoom(output string, size int64) error {
	l := t.q.opts.limits.get()
	share, whose := receiverShare(l), "the receiver's half of the quarantine"
	if output != "" {
		share, whose = outputShare(l, len(t.s.state.Outputs)), "the share of output "+output+" in the quarantine"
	}
	if !t.s.letters.fits(output, t.letterBytes[output]+size, share) {
		return fmt.Errorf("%w: %s (%d bytes) is used up; re-send or drop what is in it, or raise quarantine_max_bytes", queue.ErrFull, whose, share)
	}
	return nil
}

// flush adds every cursor that has moved, with what became of the sequences that it moved over.
func (t *txn) flush() {
	for _, m := range t.q.places.take() {
		t.move(m)
	}
}

func (t *txn) move(m move) {
	o := t.s.state.Outputs[m.name]
	if o == nil { // it has ended
		return
	}
	r := progressRecord{output: m.name, born: o.Born, through: m.through, outcomes: m.outcomes}
	t.put(r.encode(), nil)
	t.moves = append(t.moves, m)
	if t.floors == nil {
		t.floors = map[string]uint64{}
	}
	t.floors[m.name] = max(t.floors[m.name], m.through)
}

// floor is an output's cursor with what this group moves.
func (t *txn) floor(name string) uint64 {
	return max(t.floors[name], t.s.state.Outputs[name].Cursor)
}

// consumed is the sequence that every output is done with once this group is written.
func (t *txn) consumed() uint64 {
	if len(t.s.state.Outputs) == 0 || t.s.state.CursorsLost {
		return 0
	}
	low := t.lastSeq
	for name := range t.s.state.Outputs {
		low = min(low, t.floor(name))
	}
	return low
}

// makeRoom answers whether an event of size bytes fits into the allowance, if need be at the cost of the oldest events of outputs
// with drop_oldest. Nothing is given up when that would not make enough room.
func (t *txn) makeRoom(size int64) error {
	need := journal.GroupSize(t.size+journal.RecordSize(int(size))) - t.freeFrom(t.consumed())
	if need <= 0 {
		return nil
	}
	if len(t.moves) == 0 {
		t.flush()
		if need = journal.GroupSize(t.size+journal.RecordSize(int(size))) - t.freeFrom(t.consumed()); need <= 0 {
			return nil
		}
	}
	if t.dropOldest(need) {
		return nil
	}
	t.fullNeed = size
	t.full = fmt.Errorf("%w: max_bytes (%d) is used up by events that output %q has not taken yet", queue.ErrFull,
		t.q.opts.limits.get().MaxBytes, t.q.places.slowest())
	return t.full
}

// freeFrom is how many bytes the allowance leaves when everything up to a sequence is done with.
func (t *txn) freeFrom(consumed uint64) int64 {
	return t.q.opts.limits.get().MaxBytes - (t.s.end() - t.s.positionOf(consumed+1))
}

// dropOldest moves the cursors of drop_oldest outputs over the oldest events until need bytes are free. It goes no further than
// the other outputs are, and does nothing when that is not far enough.
func (t *txn) dropOldest(need int64) bool {
	limit, droppable := t.s.state.LastSeq, false
	for name, p := range t.q.places.snapshot() {
		if p.spec.DropOldest {
			droppable = true
		} else {
			limit = min(limit, t.floor(name))
		}
	}
	if !droppable {
		return false
	}
	next := t.s.seqAt(t.s.positionOf(t.consumed()+1) + need)
	through := next - 1
	if next == 0 { // all that is in the log
		through = t.s.state.LastSeq
	}
	if through > limit || t.s.positionOf(through+1)-t.s.positionOf(t.consumed()+1) < need {
		return false
	}
	for name, p := range t.q.places.snapshot() {
		if from := t.floor(name); p.spec.DropOldest && from < through {
			t.move(move{name: name, through: through, drop: true, outcomes: []queue.OutcomeRange{
				{First: from + 1, Last: through, Outcome: queue.Dropped, At: t.now}}})
		}
	}
	return true
}

// discard gives back what the group had taken.
func (t *txn) discard() {
	for _, m := range t.moves {
		t.q.places.putBack(m)
	}
}

// errTooLarge is the answer to an event for which no segment is large enough yet.
var errTooLarge = errors.New("a segment that is large enough is being made")
