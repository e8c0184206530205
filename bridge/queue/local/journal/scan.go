package journal

import "errors"

// Group is one whole group as it is read. Its records are valid until the next one is read.
type Group struct {
	Segment *Segment
	Offset  int64
	First   uint64 // the number of the first record
	Marks   Marks
	Records [][]byte
	Size    int64 // in the segment
}

// Next is the number of the record behind the group.
func (g *Group) Next() uint64 { return g.First + uint64(len(g.Records)) }

// Missing is a range of record numbers that can't be read, of the group that comes behind them.
type Missing struct{ First, Last uint64 }

// Scanned is what a scan has found.
type Scanned struct {
	End     int64  // behind the last whole group
	Next    uint64 // the number behind the last record
	Missing []Missing
	// Remains reports that the end of more than an unfinished write follows the last whole group.
	Remains bool
	Last    int64 // the offset of the last whole group, 0: none
	Marks   Marks // of the last whole group
}

// Scanner reads a segment's groups from front to back, over damage.
type Scanner struct {
	s       *Segment
	w       window
	offset  int64
	missing *Missing // before the group that Next has returned
	found   Scanned
}

// Scanner begins at an offset at which a group may stand and where the record with a number is expected (0: whichever comes);
// offset 0: at the first group.
func (s *Segment) Scanner(offset int64, expected uint64) *Scanner {
	if offset == 0 {
		offset, expected = headSize, s.Base()
	}
	size := s.size
	if s.short {
		if info, err := s.file.Stat(); err == nil {
			size = min(size, info.Size)
		}
	}
	if s.known.Load() {
		size = min(size, s.end.Load())
	}
	return &Scanner{s: s, w: window{file: s.file, size: size}, offset: offset, found: Scanned{End: offset, Next: expected}}
}

// Next returns the next whole group, nil at the end. An error is that of a failed read: the same call can be made again.
func (c *Scanner) Next() (*Group, error) {
	c.missing = nil
	if c.s.Base() == 0 || (c.s.void != 0 && c.found.Next >= c.s.void) {
		return nil, nil
	}
	for offset := c.offset; offset+sector <= c.w.size; offset += sector {
		h, body, err := c.s.groupAt(&c.w, offset)
		if err == nil && h.first >= c.found.Next && (c.s.void == 0 || h.first < c.s.void) {
			if g, ok := c.take(&h, body); ok {
				return g, nil
			}
		}
		if err != nil && !errors.Is(err, errNoGroup) {
			return nil, err
		}
		c.noteRemains(offset)
	}
	if c.s.void != 0 && c.s.followed && c.found.Next < c.s.void {
		c.missing = &Missing{c.found.Next, c.s.void - 1}
		c.found.Missing = append(c.found.Missing, *c.missing)
		c.found.Next = c.s.void
	}
	return nil, nil
}

func (c *Scanner) take(h *header, body []byte) (*Group, bool) {
	records, err := h.records(body)
	if err != nil {
		return nil, false
	}
	if c.found.Next != 0 && h.first > c.found.Next {
		c.missing = &Missing{c.found.Next, h.first - 1}
		c.found.Missing = append(c.found.Missing, *c.missing)
	}
	g := &Group{Segment: c.s, Offset: h.offset, First: h.first, Marks: h.marks, Records: records, Size: roundUp(int64(h.size))}
	c.offset = h.offset + g.Size
	c.found.End, c.found.Next, c.found.Last, c.found.Marks = c.offset, g.Next(), h.offset, h.marks
	c.found.Remains = false
	return g, true
}

// noteRemains looks for the header of a group that is not whole behind the place where one may be unfinished.
func (c *Scanner) noteRemains(offset int64) {
	if offset == c.found.End || c.s.void != 0 {
		return
	}
	b, err := c.w.get(offset, headerSize)
	if err != nil {
		return // the caller's next read says so
	}
	if _, ok := looksLikeGroup(b, offset, &c.s.head); ok {
		c.found.Remains = true
	}
}

// Missing returns what is missing before the group that Next has just returned, or before the end; nil: nothing.
func (c *Scanner) Missing() *Missing { return c.missing }

// Found sums up what was read.
func (c *Scanner) Found() Scanned { return c.found }
