package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Options are what Open needs to know.
type Options struct {
	FS        FS
	Directory string
	// Identity is that of the segments that are made from now on, at most MaxIdentity bytes. SetIdentity changes it.
	Identity string
	// SegmentSize is how large new segments should be, in bytes. It may change.
	SegmentSize func() int64
	// FirstSegment is the size of a segment that is made while somebody waits for it.
	FirstSegment func() int64
	// Salt returns a random number for each use of a segment's file.
	Salt func() uint32
	// ReadOnly opens the files for reading only: Begin must not be called.
	ReadOnly bool
	// Failed is told when the next segment can't be made, and with nil when it could be after all. It may be nil.
	Failed func(error)
}

// MinSegment is the size of the smallest segment.
const MinSegment = 256 << 10

var (
	// ErrNoSegment says that a group needs a new segment and none is ready.
	ErrNoSegment = errors.New("no segment is ready")
	// ErrReplaced says that what was written is not at its path: the folder was deleted, replaced or mounted over, or the
	// file was cut short. Nothing that was not read back from the path can be relied upon.
	ErrReplaced = errors.New("the file at the path is not the one that is open")
	// ErrTooLarge says that a group fits into no segment that is at hand; a larger one is being made.
	ErrTooLarge = errors.New("it is larger than a segment takes")
	errClosed   = errors.New("the journal is closed")
)

// Journal is an open folder of segments. One goroutine writes (Write, Roll, Confirm, SetIdentity); any may read.
type Journal struct {
	opts Options
	dir  string

	// The writer's own.
	active *Segment
	next   uint64 // the number of the next record
	failed error  // a write or sync of the active segment failed: the next group goes into another
	group  []byte

	unreadable []Unreadable

	mu       sync.Mutex
	segments []*Segment // in order, the active one last; without the prepared one
	prepared *Segment   // made and named, nothing in it yet
	spare    *Segment   // retired, waits to be the next prepared one
	highest  uint64     // the highest number that was ever given to a segment
	identity string
	wanted   int64         // a group of this size waits for a segment that takes it
	stuck    bool          // the last attempt to prepare a segment failed
	changed  chan struct{} // closed, and made anew, when an attempt has ended
	begun    bool          // prepareLoop runs
	closed   bool
	wake     chan struct{}
	done     chan struct{}
}

// Open reads what there is in a folder, which exists, and changes nothing of it but to delete an unfinished segment. Recovery is
// the user's: read Segments by Scanner from where it wants to, then Begin. An error that is no *VersionError says that
// something can't be read now.
func Open(opts Options) (*Journal, error) {
	j := &Journal{opts: opts, dir: opts.Directory, identity: opts.Identity, wake: make(chan struct{}, 1), changed: make(chan struct{}), done: make(chan struct{})}
	names, err := opts.FS.List(j.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := j.load(name); err != nil {
			return nil, errors.Join(err, j.closeFiles())
		}
	}
	j.settleVoid()
	return j, nil
}

func (j *Journal) load(name string) error {
	number, ok := segmentNumber(name)
	if !ok {
		return nil
	}
	j.highest = max(j.highest, number)
	flag := os.O_RDWR
	if j.opts.ReadOnly {
		flag = os.O_RDONLY
	}
	s, err := openSegment(j.opts.FS, segmentPath(j.dir, number), number, flag)
	if err != nil || s != nil {
		if s != nil {
			j.segments = append(j.segments, s)
		}
		return err
	}
	info, err := j.opts.FS.Stat(segmentPath(j.dir, number))
	j.unreadable = append(j.unreadable, Unreadable{number, info.Size})
	return err
}

// Unreadable is a file with a segment's name in which nothing can be read as one.
type Unreadable struct {
	Number uint64
	Size   int64
}

// Unreadable returns the files with a segment's name that are none.
func (j *Journal) Unreadable() []Unreadable { return j.unreadable }

// DeleteUnreadable deletes such a file.
func (j *Journal) DeleteUnreadable(u Unreadable) error {
	j.forgetNumber(u.Number, true)
	return j.opts.FS.Remove(segmentPath(j.dir, u.Number))
}

// settleVoid finds what of a segment doesn't count, because a later one begins with the same number.
func (j *Journal) settleVoid() {
	void, follower := uint64(0), uint64(0)
	for _, s := range slices.Backward(j.segments) {
		s.void, s.followed = void, follower == s.number+1
		follower = s.number
		if base := s.Base(); base != 0 && (void == 0 || base < void) {
			void = base
		} else if base == 0 && void == 0 {
			follower = 0 // nothing is in it: it says nothing of what was before
		}
	}
}

// Segments returns the segments in order, those with nothing in them included. They stay readable until they are retired
// and released.
func (j *Journal) Segments() []*Segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.segments)
}

// Highest returns the highest number that any file of the folder shows to have been given to a segment. Note raises it.
func (j *Journal) Highest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.highest
}

// Note says that a segment with this number has been there, by what the user knows.
func (j *Journal) Note(number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.highest = max(j.highest, number)
}

// Begin ends the recovery: groups are written from now on, the first behind end in the segment last (nil: in a new one, and
// also when its identity is another than the journal's), with the record number next. Segments above last have nothing in
// them: one becomes the prepared one, the others are deleted. It returns when a segment is ready.
func (j *Journal) Begin(last *Segment, end int64, next uint64) error {
	j.next = next
	empty := j.splitAfter(last)
	j.discardUnused()
	if last != nil {
		last.SetEnd(end)
		j.active = last
	}
	if err := j.adoptPrepared(empty); err != nil {
		return err
	}
	j.begun = true
	go j.prepareLoop()
	if last != nil && last.identity == j.identity && !last.short {
		return nil
	}
	return j.Roll()
}

// splitAfter takes the segments behind last off the list.
func (j *Journal) splitAfter(last *Segment) []*Segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	if last != nil {
		n = slices.Index(j.segments, last) + 1
	}
	empty := slices.Clone(j.segments[n:])
	j.segments = j.segments[:n:n]
	return empty
}

// discardUnused deletes the segments before the last one in which no group was ever written whole: a write to them failed.
func (j *Journal) discardUnused() {
	j.mu.Lock()
	var unused []*Segment
	j.segments = slices.DeleteFunc(slices.Clone(j.segments), func(s *Segment) bool {
		if s.Base() == 0 {
			unused = append(unused, s)
		}
		return s.Base() == 0
	})
	j.mu.Unlock()
	for _, s := range unused {
		_ = j.discard(s) // the next start tries again
	}
}

// adoptPrepared makes one of the empty segments the prepared one where it is fit for it, and makes one where there is none and
// one is needed at once.
func (j *Journal) adoptPrepared(empty []*Segment) error {
	slices.Reverse(empty) // the highest first, so that no number is left out
	for i, s := range empty {
		if i == len(empty)-1 && !s.short && s.identity == j.identity && s.Base() == 0 {
			j.prepared = s
			return nil
		}
		if err := j.discard(s); err != nil {
			return err
		}
	}
	if j.active != nil && j.active.identity == j.identity && !j.active.short {
		return nil
	}
	s, err := j.prepare(j.opts.FirstSegment())
	j.prepared = s
	return err
}

// Next returns the number of the record that is written next.
func (j *Journal) Next() uint64 { return j.next }

// Active returns the segment that is written to.
func (j *Journal) Active() *Segment { return j.active }

// Fits reports whether a group of size bytes, as GroupSize counts them, goes into the active segment.
func (j *Journal) Fits(size int64) bool {
	return j.failed == nil && j.active.end.Load()+size <= j.active.size
}

// MaxGroup returns the size of the largest group that may be written: half the segment that it goes into when the active one
// has no room for it, so that no roll is in vain.
func (j *Journal) MaxGroup() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := j.active.size
	if j.prepared != nil {
		size = j.prepared.size
	}
	return (size - headSize) / 2
}

// Want asks for segments that take a group of size bytes; MaxGroup tells when there is one.
func (j *Journal) Want(size int64) {
	j.mu.Lock()
	j.wanted = max(j.wanted, size)
	j.mu.Unlock()
	j.wakePreparer()
}

// Room returns the bytes that can be written without a new file: what is left in the active segment, and the prepared one.
func (j *Journal) Room() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	room := int64(0)
	if j.failed == nil {
		room = j.active.size - j.active.end.Load()
	}
	for _, s := range []*Segment{j.prepared, j.spare} {
		if s != nil {
			room += s.size - headSize
		}
	}
	return room
}

// AwaitPrepared waits until a segment is prepared, or none can be made, or the time is up, and reports whether there is one.
func (j *Journal) AwaitPrepared(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		j.mu.Lock()
		there, stuck := j.prepared != nil, j.stuck || j.closed
		news := j.changed
		j.mu.Unlock()
		if there || stuck {
			return there
		}
		select {
		case <-news:
		case <-timer.C:
			return false
		}
	}
}

// Roll seals the active segment; the next group goes into the prepared one. ErrNoSegment: there is none yet.
func (j *Journal) Roll() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.prepared == nil {
		j.wakePreparer()
		return ErrNoSegment
	}
	j.active, j.prepared, j.failed = j.prepared, nil, nil
	j.segments = append(j.segments, j.active)
	j.wakePreparer()
	return nil
}

// Write makes records durable as one group behind the last one and returns where it is. An error says that it can't be told
// whether they are: they don't count, and the segment takes no more.
func (j *Journal) Write(records [][]byte, marks Marks) (offset int64, err error) {
	s := j.active
	h := header{offset: s.end.Load(), count: len(records), first: j.next, base: s.Base(), marks: marks}
	if h.base == 0 {
		h.base = j.next
	}
	b := j.assemble(records)
	h.size = len(b)
	b = b[:roundUp(int64(len(b)))]
	clear(b[h.size:])
	if !j.Fits(int64(len(b))) {
		return 0, fmt.Errorf("write %d bytes to %s: %w", len(b), s.path, ErrTooLarge)
	}
	h.seal(b, &s.head)
	if err := j.writeSynced(s, b, h.offset); err != nil {
		j.failed = err
		return 0, err
	}
	s.base.Store(h.base)
	s.end.Store(h.offset + int64(len(b)))
	j.next += uint64(len(records))
	return h.offset, nil
}

// assemble puts the records behind room for a header, with room behind them to fill the last sector.
func (j *Journal) assemble(records [][]byte) []byte {
	size := headerSize
	for _, r := range records {
		size += binary.MaxVarintLen32 + len(r)
	}
	if cap(j.group) < size+sector || cap(j.group) > 12<<20 {
		j.group = make([]byte, size+size/4+sector)
	}
	b := j.group[:headerSize]
	for _, r := range records {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	return b
}

func (j *Journal) writeSynced(s *Segment, b []byte, offset int64) error {
	if info, err := s.file.Stat(); err != nil || info.Size != s.size { // a write behind a cut would make a hole of what was there
		return errors.Join(fmt.Errorf("%s: %w", s.path, ErrReplaced), err)
	}
	if _, err := s.file.WriteAt(b, offset); err != nil {
		return fmt.Errorf("write to %s: %w", s.path, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	return j.checkPath(s)
}

// checkPath compares a segment's path with the open file.
func (j *Journal) checkPath(s *Segment) error {
	info, err := j.opts.FS.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && (info.ID != s.id || info.Size != s.onDisk):
		return fmt.Errorf("%s: %w", s.path, ErrReplaced)
	case err != nil:
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// CheckPaths compares all paths with the open files; ErrReplaced names the first that differs.
func (j *Journal) CheckPaths() error {
	for _, s := range j.Segments() {
		if err := j.checkPath(s); err != nil {
			return err
		}
	}
	return nil
}

// Confirm writes and syncs a segment's group at an offset again, byte for byte: what recovery has read may have been in the
// page cache only.
func (j *Journal) Confirm(s *Segment, offset int64) error {
	w := window{file: s.file, size: s.size}
	h, _, err := s.groupAt(&w, offset)
	if err != nil {
		return fmt.Errorf("read the last group of %s again: %w", s.path, err)
	}
	b, err := w.get(offset, int(roundUp(int64(h.size))))
	if err != nil {
		return fmt.Errorf("read the last group of %s again: %w", s.path, err)
	}
	if _, err := s.file.WriteAt(b, offset); err != nil {
		return fmt.Errorf("write the last group of %s again: %w", s.path, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	return nil
}

// Close releases the files. Nothing is written.
func (j *Journal) Close() error {
	j.mu.Lock()
	begun, closed := j.begun, j.closed
	j.closed = true
	j.mu.Unlock()
	if closed {
		return nil
	}
	if begun {
		j.wakePreparer()
		<-j.done
	}
	return j.closeFiles()
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, s := range append(slices.Clone(j.segments), j.prepared, j.spare) {
		if s != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}
