package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// PreparedName is the name of a segment that is being made.
	PreparedName = "prepared"
	zeroPiece    = 256 << 10 // written at once while a file is filled, so that the disk is there for groups in between
	syncEvery    = 2 << 20

	minPrepareRetry = 100 * time.Millisecond
	maxPrepareRetry = 5 * time.Second
)

// prepareLoop keeps a prepared segment at hand, a segment ahead, so that a roll waits for nothing.
func (j *Journal) prepareLoop() {
	defer close(j.done)
	retry := time.NewTimer(0)
	defer retry.Stop()
	delay := minPrepareRetry
	failing := false
	for {
		select {
		case <-j.wake:
		case <-retry.C:
		}
		needed, closed := j.lacksPrepared()
		if closed {
			return
		}
		if !needed {
			continue
		}
		err := j.prepareNext()
		j.attempted(err)
		if (err != nil || failing) && j.opts.Failed != nil {
			j.opts.Failed(err)
		}
		failing = err != nil
		if !failing {
			delay = minPrepareRetry
			continue
		}
		retry.Reset(delay)
		delay = min(2*delay, maxPrepareRetry)
	}
}

// attempted tells those who wait for a segment.
func (j *Journal) attempted(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stuck = err != nil
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *Journal) wakePreparer() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// lacksPrepared reports whether a segment is to be made, because there is none or a group waits for a larger one.
func (j *Journal) lacksPrepared() (needed, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.prepared == nil || (j.prepared.size-headSize)/2 < j.wanted, j.closed
}

func (j *Journal) prepareNext() error {
	j.mu.Lock()
	small := j.prepared
	j.prepared = nil
	j.mu.Unlock()
	if small != nil {
		if err := j.discard(small); err != nil {
			return err
		}
	}
	s, err := j.prepare(j.opts.SegmentSize())
	if err != nil {
		return err
	}
	j.mu.Lock()
	fits := s.identity == j.identity
	if fits {
		j.prepared = s
	}
	j.mu.Unlock()
	if fits {
		return nil
	}
	j.wakePreparer()
	return j.discard(s) // the identity was changed meanwhile
}

// prepare makes a segment: from the spare one where there is one of the right size, else from zeros. It has its final name
// when its head is durable, and not before.
func (j *Journal) prepare(size int64) (*Segment, error) {
	j.mu.Lock()
	spare := j.spare
	j.spare = nil
	h := head{number: j.highest + 1, salt: j.opts.Salt(), identity: j.identity}
	h.size = roundUp(max(size, MinSegment, 2*j.wanted+headSize+2*sector))
	j.mu.Unlock()
	temporary := filepath.Join(j.dir, PreparedName)
	file, err := j.preparedFile(temporary, spare, h.size)
	if err != nil {
		return nil, fmt.Errorf("make the next segment: %w", err)
	}
	s, err := j.finish(temporary, file, h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the next segment: %w", err), file.Close())
	}
	return s, nil
}

// preparedFile returns a file of the right size under the temporary name.
func (j *Journal) preparedFile(temporary string, spare *Segment, size int64) (File, error) {
	if spare != nil {
		if spare.size == size && !spare.short {
			err := j.opts.FS.Rename(spare.path, temporary)
			if err == nil {
				return spare.file, nil
			}
			return nil, errors.Join(err, spare.file.Close())
		}
		if err := j.discard(spare); err != nil {
			return nil, err
		}
	}
	file, err := j.opts.FS.Open(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := j.fill(file, size); err != nil { // what was taken is given back at once
		return nil, errors.Join(err, file.Close(), j.opts.FS.Remove(temporary))
	}
	return file, nil
}

// fill writes zeros, so that a group's sync has no size and no extents to write.
func (j *Journal) fill(file File, size int64) error {
	zeros := make([]byte, zeroPiece)
	for at := int64(0); at < size; at += zeroPiece {
		if j.isClosed() {
			return errClosed
		}
		if _, err := file.WriteAt(zeros[:min(zeroPiece, size-at)], at); err != nil {
			return err
		}
		if (at+zeroPiece)%syncEvery == 0 {
			if err := file.Sync(); err != nil {
				return err
			}
		}
	}
	return file.Sync()
}

func (j *Journal) isClosed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

// finish gives a file its head and its name.
func (j *Journal) finish(temporary string, file File, h head) (*Segment, error) {
	if _, err := file.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := &Segment{head: h, path: segmentPath(j.dir, h.number), file: file, id: info.ID, onDisk: info.Size}
	s.SetEnd(headSize)
	if err := j.opts.FS.Rename(temporary, s.path); err != nil {
		return nil, err
	}
	j.Note(h.number) // whatever comes, the number is taken
	return s, j.opts.FS.SyncDir(j.dir)
}

// discard deletes a segment's file. The number of one that was never used may be given again.
func (j *Journal) discard(s *Segment) error {
	j.forgetNumber(s.number, s.Base() == 0)
	err := j.opts.FS.Remove(s.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("delete a segment: %w", err)
	}
	return errors.Join(err, s.file.Close())
}

func (j *Journal) forgetNumber(number uint64, unused bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if unused && number == j.highest {
		j.highest--
	}
}

// Hold keeps a segment's file open until Release; nil: it is retired or was never there.
func (j *Journal) Hold(number uint64) *Segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, found := slices.BinarySearchFunc(j.segments, number, func(s *Segment, n uint64) int { return compare(s.number, n) })
	if !found {
		return nil
	}
	j.segments[i].holds++
	return j.segments[i]
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// Release ends a Hold.
func (j *Journal) Release(s *Segment) {
	j.mu.Lock()
	s.holds--
	free := s.retired && s.holds == 0
	j.mu.Unlock()
	if free {
		j.recycle(s)
	}
}

// Retire gives a segment up: its file becomes a later segment, or is deleted, when nobody holds it any more. The active one
// can't be retired.
func (j *Journal) Retire(number uint64) {
	j.mu.Lock()
	i, found := slices.BinarySearchFunc(j.segments, number, func(s *Segment, n uint64) int { return compare(s.number, n) })
	if !found || j.segments[i] == j.active {
		j.mu.Unlock()
		return
	}
	s := j.segments[i]
	s.retired = true
	j.segments = slices.Delete(slices.Clone(j.segments), i, i+1)
	free := s.holds == 0
	j.mu.Unlock()
	if free {
		j.recycle(s)
	}
}

// recycle keeps one file for the next segment and deletes others.
func (j *Journal) recycle(s *Segment) {
	j.mu.Lock()
	keep := j.spare == nil && !j.closed
	if keep {
		j.spare = s
	}
	j.mu.Unlock()
	if keep {
		j.wakePreparer()
		return
	}
	if err := j.discard(s); err != nil && j.opts.Failed != nil {
		j.opts.Failed(err)
	}
}

// SetIdentity changes the identity of segments that are made from now on. What is prepared under the old one is deleted.
func (j *Journal) SetIdentity(identity string) error {
	j.mu.Lock()
	j.identity = identity
	old := j.prepared
	j.prepared = nil
	j.mu.Unlock()
	j.wakePreparer()
	if old == nil {
		return nil
	}
	return j.discard(old)
}
