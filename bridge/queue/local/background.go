package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// pause waits, and reports false when the queue closes meanwhile.
func (q *engine) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.stop:
		return false
	}
}

// maxFilings is how many dead letters are filed under one sync of the folder.
const maxFilings = 256

// filer writes dead letters to files.
type filer struct{ *engine }

// run writes the files of dead letters and deletes those that are gone, in the log's order.
func (q filer) run() {
	delay := 100 * time.Millisecond
	for {
		s := q.current()
		n, err := q.fileSome(s)
		switch {
		case err != nil:
			q.opts.Log.Warn("a quarantined event has no file yet; it is safe in the log", "error", err)
			if !q.pause(delay) {
				return
			}
			delay = min(2*delay, 10*time.Second)
			continue
		case n > 0:
			delay = 100 * time.Millisecond
			continue
		}
		select {
		case <-s.letters.wake:
		case <-time.After(q.opts.ProgressInterval): // the folder may have been opened again
		case <-q.stop:
			_, _ = q.fileSome(q.current()) // what is left is filed after the next start
			return
		}
	}
}

// fileSome does the oldest tasks and returns how many.
func (q filer) fileSome(s *store) (int, error) {
	tasks := s.letters.someTasks()
	if len(tasks) == 0 {
		return 0, nil
	}
	for _, task := range tasks {
		if err := q.file(s, task); err != nil {
			return 0, err
		}
	}
	if err := s.letters.fs.SyncDir(s.letters.dir); err != nil {
		return 0, fmt.Errorf("sync the quarantine's folder: %w", err)
	}
	s.letters.tasksDone(tasks)
	return len(tasks), nil
}

func (q filer) file(s *store, task filing) error {
	if task.unlink != "" {
		err := s.letters.fs.Remove(filepath.Join(s.letters.dir, task.unlink))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete a quarantined event's file: %w", err)
		}
		return nil
	}
	l, ok := s.letters.get(task.id)
	if !ok { // it is gone already, and its file's deletion is another task
		return nil
	}
	item, err := q.letterFromLog(s, l.place)
	if errors.Is(err, errRecord) {
		q.noteLoss(s, loss{FirstRecord: task.record, LastRecord: task.record, Loss: queue.Loss{
			What: fmt.Sprintf("dead letter %d is damaged in segment %d, and had no file yet", l.id, l.place.Segment), Records: 1,
		}})
		return nil
	}
	if err == nil {
		err = s.letters.writeFile(item, l.letterName())
	}
	if err != nil {
		return fmt.Errorf("file dead letter %d: %w", task.id, err)
	}
	return nil
}

func (l *letters) someTasks() []filing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]filing(nil), l.tasks[:min(len(l.tasks), maxFilings)]...)
}

func (l *letters) tasksDone(tasks []filing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, task := range tasks {
		if kept := l.byID[task.id]; kept != nil && task.unlink == "" {
			kept.filed = true
		}
	}
	l.tasks = l.tasks[len(tasks):]
}

// sealSoon says that a segment waits for its sidecar.
func (q *engine) sealSoon() {
	select {
	case q.sealing <- struct{}{}:
	default:
	}
}

// sealer gives sealed segments their sidecars.
type sealer struct{ *engine }

// run writes the sidecars of segments that take no more.
func (q sealer) run() {
	for !q.isStopping() {
		s, x := q.unsealed()
		if x == nil {
			select {
			case <-q.sealing:
			case <-time.After(q.opts.ProgressInterval): // after a start, and after the folder was opened again
			case <-q.stop:
				return
			}
			continue
		}
		if err := q.seal(s, x); err != nil {
			q.opts.Log.Warn("the sidecar of a segment could not be written; trying again", "segment", x.meta.Number, "error", err)
			if !q.pause(time.Second) {
				return
			}
		}
	}
}

// unsealed returns the first index that waits for its sidecar.
func (q sealer) unsealed() (*store, *index) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	for _, x := range q.store.indexes {
		if x.side == nil && !x.retired && q.store.isSealed(x) {
			return q.store, x
		}
	}
	return nil, nil
}

// sidecarOf is a sidecar that was written, on its way to the committer.
type sidecarOf struct {
	x     *index
	side  *sidecar
	taken chan struct{} // closed when x has it
}

// seal writes x's sidecar. Nobody but the committer changes x meanwhile, and it changes no more than how much is forgotten.
func (q sealer) seal(s *store, x *index) error {
	if err := s.log.CheckPaths(); err != nil { // no sidecar into a folder that has taken the place of ours
		return err
	}
	side, err := writeSidecar(q.opts.FS, s.logDir(), x)
	if err != nil {
		return err
	}
	w := sidecarOf{x, side, make(chan struct{})}
	select {
	case q.sidecars <- w:
		<-w.taken
		return nil
	case <-q.stop:
		return side.file.Close()
	}
}

// takeSidecar lets a sidecar take the place of what its index has in memory. It is the committer that does so: it looks at indexes
// without a lock.
func (q *committer) takeSidecar(w sidecarOf) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer close(w.taken)
	w.x.side = w.side
	w.x.meta.Outcomes = w.side.meta.Outcomes
	w.x.entries, w.x.outcomes = entryLog{}, nil
}

// verifier looks for damage.
type verifier struct{ *engine }

// run reads every segment that was sealed before the start once, in the background, so that damage is told before
// somebody needs what is damaged.
func (q verifier) run() {
	s := q.current()
	q.mu.RLock()
	var numbers []uint64
	for _, x := range s.indexes {
		if !x.retired && s.isSealed(x) {
			numbers = append(numbers, x.meta.Number)
		}
	}
	q.mu.RUnlock()
	for _, n := range numbers {
		for q.verifySegment(s, n) != nil {
			if !q.pause(time.Second) || q.current() != s {
				return
			}
		}
		if !q.pause(time.Millisecond) {
			return
		}
	}
}

// verifySegment reads one segment and tells what is missing in it. An error is that of a read.
func (q verifier) verifySegment(s *store, number uint64) error {
	seg := s.log.Hold(number)
	if seg == nil {
		return nil
	}
	defer s.log.Release(seg)
	c, before := seg.Scanner(0, 0), uint64(0)
	var open *loss
	for !q.isStopping() {
		g, err := c.Next()
		if err != nil {
			return err
		}
		if m := c.Missing(); m != nil {
			open = open.with(m)
		}
		first, last := uint64(0), uint64(0)
		if g != nil {
			first, last = sequencesOf(g)
		}
		if open != nil && (g == nil || first != 0) {
			q.tellMissing(s, number, open, before, first)
			open = nil
		}
		if g == nil {
			return nil
		}
		before = max(before, last)
	}
	return nil
}

// with adds missing records to a loss, which may be nil. What lies between has no events.
func (l *loss) with(m *journal.Missing) *loss {
	if l == nil {
		l = &loss{FirstRecord: m.First}
	}
	l.LastRecord = m.Last
	l.Records += m.Last - m.First + 1
	return l
}

// tellMissing tells records that can't be read, between the events before and next (0: unknown).
func (q verifier) tellMissing(s *store, number uint64, l *loss, before, next uint64) {
	q.mu.RLock()
	if x := s.indexOf(number); x != nil {
		if before == 0 && x.meta.FirstSeq != 0 {
			before = x.meta.FirstSeq - 1
		}
		if next == 0 && x.meta.LastSeq > before {
			next = x.meta.LastSeq + 1
		}
	}
	q.mu.RUnlock()
	l.What = fmt.Sprintf("%d records of segment %d are damaged", l.Records, number)
	if next > before+1 {
		l.First, l.Last = before+1, next-1
	}
	q.noteLoss(s, *l)
}

// sequencesOf returns the first and the last event of a group, 0 when it has none.
func sequencesOf(g *journal.Group) (first, last uint64) {
	for _, record := range g.Records {
		if len(record) < timeAt || record[0] != kindEvent {
			continue
		}
		last = sequenceOf(record)
		if first == 0 {
			first = last
		}
	}
	return first, last
}

func (q *engine) isStopping() bool {
	select {
	case <-q.stop:
		return true
	default:
		return false
	}
}
