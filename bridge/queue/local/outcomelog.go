package local

import (
	"encoding/binary"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// outcomeLog keeps outcome ranges in a few bytes each, in the order in which they were noted:
//
//	distance of First from the last one's end (varint) | length less one | outcome | level length and text | time less the last one's, ms (varint)
//
// A level that is the last one's is written as a length of 255.
type outcomeLog struct {
	buf         []byte
	open        queue.OutcomeRange // the last one, not encoded yet; First 0: none
	before      outcomeBase
	first, last uint64 // the lowest and the highest sequence noted; 0: none
}

// outcomeBase is what the next range is written in relation to.
type outcomeBase struct {
	end   uint64
	level string
	at    int64
}

const sameLevel = 255

// ceilMilli rounds up, so that nothing is said to be done before it was.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func (l *outcomeLog) add(r queue.OutcomeRange) {
	if l.first == 0 || r.First < l.first {
		l.first = r.First
	}
	l.last = max(l.last, r.Last)
	if l.open.First != 0 {
		joined := queue.AppendOutcome([]queue.OutcomeRange{l.open}, r)
		if len(joined) == 1 {
			l.open = joined[0]
			return
		}
		l.buf = l.before.encode(l.buf, l.open)
	}
	l.open = r
}

// bytes returns all of it, encoded. The log goes on.
func (l *outcomeLog) bytes() []byte {
	if l.open.First == 0 {
		return l.buf
	}
	base := l.before
	return base.encode(l.buf[:len(l.buf):len(l.buf)], l.open)
}

func (o *outcomeBase) encode(b []byte, r queue.OutcomeRange) []byte {
	b = binary.AppendVarint(b, int64(r.First-o.end)) //nolint:gosec // a difference, either way
	b = binary.AppendUvarint(b, r.Last-r.First)
	b = append(b, byte(r.Outcome))
	level := r.Level[:min(len(r.Level), sameLevel-1)]
	if level == o.level {
		b = append(b, sameLevel)
	} else {
		b = append(append(b, byte(len(level))), level...) //nolint:gosec // below sameLevel
	}
	at := int64(0)
	if !r.At.IsZero() {
		at = ceilMilli(r.At)
	}
	b = binary.AppendVarint(b, at-o.at)
	o.end, o.level, o.at = r.Last, level, at
	return b
}

func decodeOutcomes(b []byte) ([]queue.OutcomeRange, error) {
	var all []queue.OutcomeRange
	p, base := parser{rest: b}, outcomeBase{}
	for len(p.rest) > 0 {
		r := queue.OutcomeRange{First: base.end + uint64(p.varint())} //nolint:gosec // a difference, either way
		r.Last = r.First + p.uvarint()
		r.Outcome = queue.Outcome(p.byte())
		r.Level = base.level
		if n := p.byte(); n != sameLevel {
			r.Level = string(p.take(int(n)))
		}
		at := base.at + p.varint()
		if at != 0 {
			r.At = time.UnixMilli(at).UTC()
		}
		if p.bad || r.Last < r.First {
			return all, errRecord
		}
		base = outcomeBase{r.Last, r.Level, at}
		all = append(all, r)
	}
	return all, nil
}
