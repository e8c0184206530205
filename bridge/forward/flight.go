package forward

import (
	"cmp"
	"slices"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

type flightState uint8

const (
	waiting  flightState = iota // failed before, or never sent: to be sent (again)
	inFlight                    // handed to the output, done not called yet
	finished                    // the fate of every event is known
)

// mark is the fate of one event of a flight; 0 as long as it is to be delivered.
type mark struct {
	seq  uint64
	fate queue.Fate
}

// flight is one batch under way: a stretch of the queue with the events that the output gets and those it doesn't.
type flight struct {
	marks   []mark // every event of the stretch, ascending
	state   flightState
	tries   int
	records int       // that were sent
	level   string    // of the delivery
	at      time.Time // when it finished
}

func (f *flight) first() uint64 { return f.marks[0].seq }
func (f *flight) last() uint64  { return f.marks[len(f.marks)-1].seq }

// open counts the events that are still to be delivered.
func (f *flight) open() int {
	n := 0
	for _, m := range f.marks {
		if m.fate == 0 {
			n++
		}
	}
	return n
}

// settle gives every open event of f the same fate.
func (f *flight) settle(fate queue.Fate) {
	for i := range f.marks {
		if f.marks[i].fate == 0 {
			f.marks[i].fate = fate
		}
	}
}

// find returns where the event seq stands in f's marks.
func (f *flight) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(f.marks, seq, func(m mark, seq uint64) int { return cmp.Compare(m.seq, seq) })
}

// isOpen reports whether the event seq of f is still to be delivered.
func (f *flight) isOpen(seq uint64) bool {
	i, ok := f.find(seq)
	return ok && f.marks[i].fate == 0
}

// mark sets the fate of one event of f.
func (f *flight) mark(seq uint64, fate queue.Fate) {
	if i, ok := f.find(seq); ok {
		f.marks[i].fate = fate
	}
}

// appendRuns appends the fates of f as runs, joined with the last run of runs where they continue it. through is the
// sequence before: what lies between and never came out of the queue is damaged there. (What the queue has dropped it
// has accounted for itself, and ignores runs about it.)
func (f *flight) appendRuns(runs []queue.Run, through uint64) []queue.Run {
	for _, m := range f.marks {
		if m.seq > through+1 {
			runs = append(runs, queue.Run{First: through + 1, Last: m.seq - 1, Fate: queue.Lost, At: f.at})
		}
		through = m.seq
		level := ""
		if m.fate == queue.Delivered {
			level = f.level
		}
		if n := len(runs); n > 0 && runs[n-1].Last+1 == m.seq && runs[n-1].Fate == m.fate && runs[n-1].Level == level {
			runs[n-1].Last, runs[n-1].At = m.seq, f.at
			continue
		}
		runs = append(runs, queue.Run{First: m.seq, Last: m.seq, Fate: m.fate, Level: level, At: f.at})
	}
	return runs
}
