package queue

import (
	"bytes"
	"crypto/sha256"
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
	if err := s.scanPages(); err != nil {
		return err
	}
	s.seenOnly = true
	return s.scanPages()
}

func (s *salvage) scanPages() error {
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

// takeSeen remembers a delivery. A stray one counts only when its event can't be missing: every output has had it, or it
// is in the queue. It may be of a transaction that failed, whose sender was told to come again: a delivery forgotten is
// a record twice, one remembered wrongly is a record lost.
func (s *salvage) takeSeen(key, value []byte) error {
	seq := keySequence(key)
	if s.scanning && !s.certain {
		s.counts.lastSeq = max(s.counts.lastSeq, seq) // the numbering goes on behind what may have been given
	}
	if s.scanning && seq > s.floor && !s.hasEventOf(key, value) {
		return nil
	}
	_, err := s.put(bucketSeen, key, value)
	return err
}

// hasEventOf reports whether the event of a remembered delivery is in the queue: a sequence whose transaction failed is
// given to another event.
func (s *salvage) hasEventOf(key, value []byte) bool {
	stored := s.tx.Bucket([]byte(bucketEvents)).Get(key)
	seen, err := viewSeen(value, key)
	if stored == nil || err != nil {
		return false
	}
	p, err := open(stored, key, kindEvent)
	if err != nil {
		return false
	}
	var e Event
	if err := parseEvent(&p, &e); err != nil {
		return false
	}
	digest := sha256.Sum256(e.Body)
	return bytes.Equal(digest[:], seen.digest)
}
