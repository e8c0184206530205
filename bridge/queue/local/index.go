package local

import (
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// index is what is known of one segment beside its bytes. It outlives the segment for as long as its deliveries are
// remembered.
type index struct {
	meta indexMeta

	start int64  // bytes of the log before this segment
	marks []mark // where events stand, in order

	// Until there is a sidecar, what will stand in it.
	entries  entryLog
	outcomes map[string]*outcomeLog

	side      *sidecar // nil: none yet
	forgotten int      // so many of the oldest entries don't count any more
	retired   bool     // its segment is given up
}

// indexMeta is the part of an index that its sidecar keeps as JSON.
type indexMeta struct {
	Number      uint64               `json:"number"`
	FirstRecord uint64               `json:"first_record"`
	LastRecord  uint64               `json:"last_record"`
	FirstSeq    uint64               `json:"first_seq,omitempty"` // of its events; 0: it has none
	LastSeq     uint64               `json:"last_seq,omitempty"`
	LastItem    uint64               `json:"last_item,omitempty"` // the newest dead letter given so far
	Bytes       int64                `json:"bytes"`               // of its groups
	Entries     int                  `json:"entries"`
	Received    time.Time            `json:"received,omitzero"` // when the newest of its events was received
	At          time.Time            `json:"at,omitzero"`       // the newest time in its records, which the clock may have gone back from
	Sent        map[string]time.Time `json:"sent,omitempty"`    // the newest signed timestamp by endpoint
	Outcomes    []outcomeMeta        `json:"outcomes,omitempty"`
}

// isEmpty reports that no record went into the segment.
func (m *indexMeta) isEmpty() bool { return m.LastRecord < m.FirstRecord }

func (m *indexMeta) newestAt(t time.Time) {
	if t.After(m.At) {
		m.At = t
	}
}

// outcomeMeta says where an output's outcomes stand in a sidecar.
type outcomeMeta struct {
	Output string `json:"output"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// mark says that the group at an offset has the event seq, and no older one stands behind it.
type mark struct {
	seq    uint64
	offset int64
}

// markEvery is how far apart marks are at the least: a mark takes 16 bytes.
const markEvery = 4 << 10

func newIndex(number, firstRecord uint64, start int64) *index {
	return &index{
		meta:  indexMeta{Number: number, FirstRecord: firstRecord, LastRecord: firstRecord - 1, Sent: map[string]time.Time{}},
		start: start, outcomes: map[string]*outcomeLog{},
	}
}

// addMark notes that the event seq stands in the group at an offset.
func (x *index) addMark(seq uint64, offset int64) {
	if x.meta.FirstSeq == 0 {
		x.meta.FirstSeq = seq
	}
	x.meta.LastSeq = max(x.meta.LastSeq, seq)
	if n := len(x.marks); n == 0 || offset-x.marks[n-1].offset >= markEvery {
		x.marks = append(x.marks, mark{seq, offset})
	}
}

// addEntry remembers a delivery.
func (x *index) addEntry(e *entry) {
	x.entries.add(e)
	x.meta.Entries++
	if e.sentAt.After(x.meta.Sent[e.endpoint]) {
		x.meta.Sent[e.endpoint] = e.sentAt
	}
}

func (x *index) addOutcomes(output string, ranges []queue.OutcomeRange) {
	l := x.outcomes[output]
	if l == nil {
		l = &outcomeLog{}
		x.outcomes[output] = l
	}
	for _, r := range ranges {
		l.add(r)
		x.meta.newestAt(r.At)
	}
}

// offsetOf returns the offset of a group at or before that of the event seq; false: it has no event so old.
func (x *index) offsetOf(seq uint64) (int64, bool) {
	i, found := slices.BinarySearchFunc(x.marks, seq, func(m mark, seq uint64) int {
		switch {
		case m.seq < seq:
			return -1
		case m.seq > seq:
			return 1
		default:
			return 0
		}
	})
	if !found {
		i--
	}
	if i < 0 {
		return 0, false
	}
	return x.marks[i].offset, true
}

// remembered is how many deliveries of this segment count.
func (x *index) remembered() int { return x.meta.Entries - x.forgotten }

// entry returns the bytes of an entry. They must not be changed, and are valid until the index changes.
func (x *index) entry(ordinal int) ([]byte, error) {
	if x.side != nil {
		return x.side.entry(ordinal)
	}
	return x.entries.at(ordinal), nil
}

// outcomesOf returns what was noted of first..last at an output.
func (x *index) outcomesOf(output string, first, last uint64) ([]queue.OutcomeRange, error) {
	var encoded []byte
	if x.side == nil {
		l := x.outcomes[output]
		if l == nil || l.first > last || l.last < first {
			return nil, nil
		}
		encoded = l.bytes()
	} else {
		var err error
		if encoded, err = x.side.outcomes(output, first, last); err != nil {
			return nil, err
		}
	}
	all, err := decodeOutcomes(encoded)
	if err != nil {
		return nil, err
	}
	var within []queue.OutcomeRange
	for _, r := range all {
		within = queue.ClipOutcome(within, r, first, last)
	}
	return within, nil
}
