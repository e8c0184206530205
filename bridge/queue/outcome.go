package queue

import "time"

// Outcome is what became of one event at one output.
type Outcome uint8

// The outcomes. Their numbers are stored.
const (
	Unknown   Outcome = iota // done with, and no longer remembered
	Delivered                // at the level that the range names
	Filtered                 // the output's match does not want it, or a re-sent event is for others
	Refused                  // quarantined: the destination refuses it for good
	Dropped                  // by when_full = "drop_oldest"
	Lost                     // damaged on disk, or skipped with a change of the bridge ID
	Queued                   // it waits; never stored
)

// String returns the outcome's name as audit and trace show it.
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Filtered:
		return "filtered"
	case Refused:
		return "quarantined"
	case Dropped:
		return "dropped"
	case Lost:
		return "lost"
	case Queued:
		return "queued"
	default:
		return "unknown"
	}
}

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes; any other name is Unknown.
func (o *Outcome) UnmarshalText(name []byte) error {
	for *o = Queued; *o > Unknown; *o-- {
		if o.String() == string(name) {
			break
		}
	}
	return nil
}

// OutcomeRange is a range of sequences with one outcome.
type OutcomeRange struct {
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Outcome Outcome   `json:"outcome"`
	Level   string    `json:"level,omitempty"` // of a delivery, e.g. "kernel-acknowledged"
	At      time.Time `json:"at,omitzero"`     // when the last of them was done, rounded up; never before any of them was
}

// RangeSpan is how far apart in time the events of one range may be: the resolution of At, and with it the size of the
// memory of outcomes.
const RangeSpan = time.Minute

// AppendOutcome adds r to ranges, to the last one when they belong together.
func AppendOutcome(ranges []OutcomeRange, r OutcomeRange) []OutcomeRange {
	if n := len(ranges); n > 0 && continues(ranges[n-1], r) {
		ranges[n-1].Last = r.Last
		if r.At.After(ranges[n-1].At) { // not where the clock was set back
			ranges[n-1].At = r.At
		}
		return ranges
	}
	return append(ranges, r)
}

// continues reports whether b can continue a. At says when the last one was done, so it moves; a range that began in another
// minute ends there.
func continues(a, b OutcomeRange) bool {
	return a.Last+1 == b.First && a.Outcome == b.Outcome && a.Level == b.Level &&
		a.At.Truncate(RangeSpan).Equal(b.At.Truncate(RangeSpan))
}

// ClipOutcome appends the part of r that lies in first..last.
func ClipOutcome(ranges []OutcomeRange, r OutcomeRange, first, last uint64) []OutcomeRange {
	r.First, r.Last = max(r.First, first), min(r.Last, last)
	if r.First > r.Last {
		return ranges
	}
	return append(ranges, r)
}

// MergeOutcomes makes one answer of History.Outcomes from what was noted, in the order in which it was noted: later notes
// win, but delivered wins over whatever else is said of an event (it left this host, whatever the queue has given up
// meanwhile). What lies above cursor is Queued, what nothing was noted of is Unknown.
func MergeOutcomes(noted []OutcomeRange, cursor, first, last uint64) []OutcomeRange {
	var merged []OutcomeRange // in order, without overlaps
	for _, r := range noted {
		if r.First = max(r.First, first); r.First <= min(r.Last, last) {
			r.Last = min(r.Last, last)
			merged = overlay(merged, r)
		}
	}
	var all []OutcomeRange
	next := first
	fill := func(to uint64, o Outcome) {
		if next <= to {
			all = append(all, OutcomeRange{First: next, Last: to, Outcome: o})
			next = to + 1
		}
	}
	done := min(cursor, last)
	for _, r := range merged {
		if r.First > done {
			break
		}
		fill(r.First-1, Unknown)
		r.Last = min(r.Last, done)
		all = append(all, r)
		next = r.Last + 1
	}
	fill(done, Unknown)
	fill(last, Queued)
	return all
}

// overlay puts r over what stands in merged.
func overlay(merged []OutcomeRange, r OutcomeRange) []OutcomeRange {
	if n := len(merged); n == 0 || merged[n-1].Last < r.First {
		return append(merged, r)
	}
	var next []OutcomeRange
	at := r.First // what of r is not placed yet begins here
	place := func(to uint64) {
		if at <= min(to, r.Last) {
			piece := r
			piece.First, piece.Last = at, min(to, r.Last)
			next = append(next, piece)
			at = piece.Last + 1
		}
	}
	for _, old := range merged {
		if old.Last < r.First {
			next = append(next, old)
			continue
		}
		next = ClipOutcome(next, old, 0, r.First-1)
		if old.Outcome == Delivered && r.Outcome != Delivered && old.First <= r.Last {
			place(max(old.First, r.First) - 1)
			next = ClipOutcome(next, old, r.First, r.Last)
			at = max(at, min(old.Last, r.Last)+1)
		}
		if old.Last > r.Last {
			place(r.Last)
			next = ClipOutcome(next, old, r.Last+1, old.Last)
		}
	}
	place(r.Last)
	return next
}
