package local

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// state is what the records of the log add up to, beside events, deliveries and outcomes. It is the snapshot with which each
// segment begins.
type state struct {
	BridgeID string `json:"bridge_id"`
	LastSeq  uint64 `json:"last_seq"`
	LastItem uint64 `json:"last_item"`
	LastLoss uint64 `json:"last_loss"`
	// Filed is the number of the last record whose dead letter has its file, or whose file is gone; all before are, too.
	Filed        uint64                  `json:"filed"`
	Outputs      map[string]*outputState `json:"outputs"`
	EvictedUpTo  map[string]time.Time    `json:"evicted_up_to"`
	LastAccepted map[string]time.Time    `json:"last_accepted"`
	Resent       []resent                `json:"resent,omitempty"` // the newest last
	Losses       []loss                  `json:"losses,omitempty"`
	Gone         []seqRange              `json:"gone,omitempty"`     // sequences that are lost and that some output still had to get
	Segments     []segmentMark           `json:"segments"`           // those before this one
	Sidecars     []seqRange              `json:"sidecars,omitempty"` // numbers of the sidecars that have what is remembered
	Began        time.Time               `json:"began"`              // when this segment got its first record
	// CursorsLost says that the cursors of outputs may be missing: until they are declared again no event is over.
	CursorsLost bool `json:"cursors_lost,omitempty"`
}

// outputState is one output's place.
type outputState struct {
	DropOldest bool   `json:"drop_oldest,omitempty"`
	Cursor     uint64 `json:"cursor"`
	Born       uint64 `json:"born"` // the number of about the record that named it first
}

// outcomesKey is what the outcomes of an output are kept under.
func (o *outputState) outcomesKey(name string) string { return outcomesKey(name, o.Born) }

func outcomesKey(name string, born uint64) string { return name + "@" + strconv.FormatUint(born, 10) }

// resent is a dead letter that was put back.
type resent struct {
	Item uint64 `json:"item"`
	Seq  uint64 `json:"seq"`
}

type seqRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// segmentMark is a segment that was there when a later one began.
type segmentMark struct {
	Number      uint64 `json:"number"`
	FirstRecord uint64 `json:"first_record"`
	LastRecord  uint64 `json:"last_record"`
	FirstSeq    uint64 `json:"first_seq,omitempty"`
	LastSeq     uint64 `json:"last_seq,omitempty"`
}

// loss is a queue.Loss with the records that it is about, by which a damage that is found again is known.
type loss struct {
	queue.Loss
	FirstRecord  uint64 `json:"first_record,omitempty"`
	LastRecord   uint64 `json:"last_record,omitempty"`
	Acknowledged string `json:"acknowledged,omitempty"` // by whom
}

func newState(bridgeID string) *state {
	return &state{
		BridgeID: bridgeID, Outputs: map[string]*outputState{}, EvictedUpTo: map[string]time.Time{},
		LastAccepted: map[string]time.Time{},
	}
}

// fillMaps makes what a snapshot has left out.
func (s *state) fillMaps() {
	if s.Outputs == nil {
		s.Outputs = map[string]*outputState{}
	}
	if s.EvictedUpTo == nil {
		s.EvictedUpTo = map[string]time.Time{}
	}
	if s.LastAccepted == nil {
		s.LastAccepted = map[string]time.Time{}
	}
}

func (s *state) raiseEvicted(endpoint string, sent time.Time) {
	if sent.After(s.EvictedUpTo[endpoint]) {
		s.EvictedUpTo[endpoint] = sent
	}
}

func (s *state) noteResent(item, seq uint64) {
	s.Resent = append(s.Resent, resent{item, seq})
	if over := len(s.Resent) - queue.MaxResent; over > 0 {
		s.Resent = slices.Delete(s.Resent, 0, over)
	}
}

// resentAs returns the sequence that a dead letter was re-sent under; 0: it wasn't.
func (s *state) resentAs(item uint64) uint64 {
	for _, r := range slices.Backward(s.Resent) {
		if r.Item == item {
			return r.Seq
		}
	}
	return 0
}

// consumed returns the sequence up to which every output is done; 0 when there is no output, since then nobody has got
// anything, and when there may be others.
func (s *state) consumed() uint64 {
	if len(s.Outputs) == 0 || s.CursorsLost {
		return 0
	}
	low := s.LastSeq
	for _, o := range s.Outputs {
		low = min(low, o.Cursor)
	}
	return low
}

// addSidecar notes the number of a sidecar, above all that are noted.
func (s *state) addSidecar(number uint64) {
	if n := len(s.Sidecars); n > 0 && s.Sidecars[n-1].Last+1 == number {
		s.Sidecars[n-1].Last = number
		return
	}
	s.Sidecars = append(s.Sidecars, seqRange{number, number})
}

// names returns the outputs' names in order.
func (s *state) names() []string { return slices.Sorted(maps.Keys(s.Outputs)) }

// addGone notes sequences that are lost.
func (s *state) addGone(r seqRange) {
	s.Gone = append(s.Gone, r)
	slices.SortFunc(s.Gone, func(a, b seqRange) int { return compare(a.First, b.First) })
	merged := s.Gone[:1]
	for _, g := range s.Gone[1:] {
		if last := &merged[len(merged)-1]; g.First <= last.Last+1 {
			last.Last = max(last.Last, g.Last)
			continue
		}
		merged = append(merged, g)
	}
	s.Gone = merged
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

// forgetGone drops what nobody asks for any more.
func (s *state) forgetGone(through uint64) {
	s.Gone = slices.DeleteFunc(s.Gone, func(r seqRange) bool { return r.Last <= through })
}

// goneWithin counts the lost sequences in first..last.
func (s *state) goneWithin(first, last uint64) uint64 {
	n := uint64(0)
	for _, g := range s.Gone {
		if from, to := max(g.First, first), min(g.Last, last); from <= to {
			n += to - from + 1
		}
	}
	return n
}

// goneAt returns the range of lost sequences that seq lies in.
func (s *state) goneAt(seq uint64) (seqRange, bool) {
	for _, g := range s.Gone {
		if g.First <= seq && seq <= g.Last {
			return g, true
		}
	}
	return seqRange{}, false
}

// waiting counts the events above a cursor.
func (s *state) waiting(cursor uint64) uint64 {
	if cursor >= s.LastSeq {
		return 0
	}
	n := s.LastSeq - cursor
	return n - min(n, s.goneWithin(cursor+1, s.LastSeq))
}

// knownLoss reports whether the records first..last are part of a loss that was told.
func (s *state) knownLoss(first, last uint64) bool {
	return slices.ContainsFunc(s.Losses, func(l loss) bool {
		return l.FirstRecord != 0 && l.FirstRecord <= first && last <= l.LastRecord
	})
}

// isKnown reports whether a loss was told: its records, or where they are not known its events.
func (s *state) isKnown(l *loss) bool {
	if l.FirstRecord != 0 {
		return s.knownLoss(l.FirstRecord, l.LastRecord)
	}
	if l.First == 0 {
		return false
	}
	return s.goneWithin(l.First, l.Last) == l.Last-l.First+1 || slices.ContainsFunc(s.Losses, func(known loss) bool {
		return known.First != 0 && known.First <= l.First && l.Last <= known.Last
	})
}

// openLosses returns what nobody has taken note of.
func (s *state) openLosses() []queue.Loss {
	var open []queue.Loss
	for _, l := range s.Losses {
		if l.Acknowledged == "" {
			open = append(open, l.Loss)
		}
	}
	return open
}

// acknowledge returns false when there is no such open loss.
func (s *state) acknowledge(id uint64, who string) bool {
	for i := range s.Losses {
		if s.Losses[i].ID == id && s.Losses[i].Acknowledged == "" {
			s.Losses[i].Acknowledged = who
			return true
		}
	}
	return false
}
