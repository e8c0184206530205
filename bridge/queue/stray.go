package queue

import (
	"maps"
	"slices"
)

// scan takes over what lies in pages that the tree doesn't reach any more: the newest of each, by what can be told.
func (s *salvage) scan() error {
	s.scanning = true
	s.floor = s.lowestCursor()
	if s.certain { // what is newer was never committed
		s.ceiling = s.counts.lastSeq
	}
	var page []byte
	var list []element
	for id := uint64(2); id < uint64(s.from.size/s.from.pageSize); id++ { //nolint:gosec // a size
		b, err := s.from.node(id, page)
		if err != nil {
			continue
		}
		page = b
		found, leaf, err := elements(b, id, false, list)
		if err != nil || !leaf {
			continue
		}
		list = found
		if err := s.takeStray(list); err != nil {
			return err
		}
	}
	return nil
}

// lowestCursor is the sequence below which stray events were delivered everywhere.
func (s *salvage) lowestCursor() uint64 {
	if len(s.cursors) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(s.cursors)))
}

// takeStray takes the records of a page that may be of any age, and those of the small buckets in it.
func (s *salvage) takeStray(list []element) error {
	for _, e := range list {
		if !e.bucket {
			if err := s.take(e.key, e.value); err != nil {
				return err
			}
			continue
		}
		if inline, _, err := elements(e.value[16:], 0, true, nil); err == nil {
			if err := s.takeStray(inline); err != nil {
				return err
			}
		}
	}
	return nil
}
