package journal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

const suffix = ".seg"

// Segment is one file of a journal. What its methods return holds for as long as the segment is held.
type Segment struct {
	head
	path    string
	file    File
	id      FileID
	short   bool  // the file had less than its size when it was opened
	onDisk  int64 // what it had
	retired bool  // guarded by the journal's mu
	holds   int   // guarded by the journal's mu

	end      atomic.Int64  // behind the last whole group
	known    atomic.Bool   // end is certain: what lies behind it does not count
	base     atomic.Uint64 // the number of its first record; 0: it has none
	followed bool          // the next segment is there, so all records up to its first one should be
	void     uint64        // records from this number on don't count, since a later segment begins with it; 0: all count
}

// Number returns the segment's number.
func (s *Segment) Number() uint64 { return s.number }

// Base returns the number of the segment's first record, 0 when it has none.
func (s *Segment) Base() uint64 { return s.base.Load() }

// Used returns the bytes of the segment's groups.
func (s *Segment) Used() int64 { return s.end.Load() - headSize }

// Size returns the size of the segment's file.
func (s *Segment) Size() int64 { return s.size }

// SetEnd says behind which offset nothing counts.
func (s *Segment) SetEnd(end int64) {
	s.end.Store(end)
	s.known.Store(true)
}

// Begin is the offset of the first group.
func (s *Segment) Begin() int64 { return headSize }

// Short reports that the file is shorter than its head says.
func (s *Segment) Short() bool { return s.short }

// Identity returns the identity under which the segment was made; empty when its head can't be read.
func (s *Segment) Identity() string { return s.identity }

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d", number)+suffix)
}

// segmentNumber is the inverse of segmentPath's file name.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && segmentPath("", n) == name
}

// openSegment opens a segment's file. nil without an error: it is none, nothing in it can be read as one.
func openSegment(fs FS, path string, number uint64, flag int) (*Segment, error) {
	file, err := fs.Open(path, flag, 0)
	if err != nil {
		return nil, err
	}
	s, err := readSegment(file, path, number)
	if s == nil || err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func readSegment(file File, path string, number uint64) (*Segment, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := &Segment{path: path, file: file, id: info.ID, onDisk: info.Size}
	s.end.Store(headSize)
	w := window{file: file, size: info.Size}
	page, err := w.get(0, headSize)
	if err != nil {
		return nil, fmt.Errorf("read the head of %s: %w", path, err)
	}
	h, ok, err := decodeHead(page, path)
	if err != nil {
		return nil, err
	}
	if ok && h.number == number {
		s.head, s.short = h, info.Size < h.size
		return s, s.findBase(&w)
	}
	if ok && h.number > number { // it was being reused for a later segment, so nobody needs it as this one
		return nil, nil
	}
	return s.guessHead(&w, number)
}

// guessHead reads a segment whose head is damaged: the salt stands in every group, and a group that is whole with it under
// this number is this segment's.
func (s *Segment) guessHead(w *window, number uint64) (*Segment, error) {
	s.head = head{number: number, size: w.size}
	for offset := int64(headSize); offset+sector <= w.size; offset += sector {
		b, err := w.get(offset, headerSize)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.path, err)
		}
		if len(b) < headerSize || [4]byte(b[:4]) != groupMagic {
			continue
		}
		s.salt = order.Uint32(b[8:])
		h, _, err := s.groupAt(w, offset)
		if err == nil {
			s.base.Store(h.base)
			return s, nil
		}
		if !errors.Is(err, errNoGroup) {
			return nil, err
		}
	}
	return nil, nil
}

// findBase looks for the first whole group.
func (s *Segment) findBase(w *window) error {
	for offset := int64(headSize); offset+sector <= w.size; offset += sector {
		h, _, err := s.groupAt(w, offset)
		if err == nil {
			s.base.Store(h.base)
			return nil
		}
		if !errors.Is(err, errNoGroup) {
			return err
		}
	}
	return nil
}

// groupAt reads the group at an offset. errNoGroup: there is no whole one.
func (s *Segment) groupAt(w *window, offset int64) (header, []byte, error) {
	b, err := w.get(offset, headerSize)
	if err != nil {
		return header{}, nil, fmt.Errorf("read %s at %d: %w", s.path, offset, err)
	}
	h, ok := looksLikeGroup(b, offset, &s.head)
	if !ok {
		return header{}, nil, errNoGroup
	}
	group, err := w.get(offset, h.size)
	if err != nil {
		return header{}, nil, fmt.Errorf("read %s at %d: %w", s.path, offset, err)
	}
	if len(group) < h.size || order.Uint32(group[4:]) != groupSum(group, &s.head) {
		return header{}, nil, errNoGroup
	}
	return h, group, nil
}

// IsSegment reports whether a file's name is a segment's.
func IsSegment(name string) bool {
	_, ok := segmentNumber(name)
	return ok
}

// Reader reads the segment's file up to an offset, for a copy.
func (s *Segment) Reader(end int64) io.Reader { return io.NewSectionReader(s.file, 0, end) }

// Complete gives a copy of a segment that ends behind its last group the size that its head says. Other files stay as they are.
func Complete(file File) error {
	page := make([]byte, headSize)
	if n, err := file.ReadAt(page, 0); n < headSize {
		if err == nil || errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	h, ok, err := decodeHead(page, "the copy")
	if err != nil || !ok {
		return err
	}
	return file.Truncate(h.size)
}
