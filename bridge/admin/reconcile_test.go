package admin

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// ledger is a queue of which only Status and Fates are asked. late, when set, replaces runs after that time.
type ledger struct {
	queue.Operator
	cursor uint64
	last   uint64
	runs   []queue.Run
	late   []queue.Run
	lateAt time.Time
	asked  int
}

func (l *ledger) Status() queue.Status {
	return queue.Status{LastSeq: l.last, Outputs: []queue.OutputStatus{{Name: "o", Cursor: l.cursor}}}
}

func (l *ledger) Fates(_ context.Context, _ string, first, last uint64) ([]queue.Run, error) {
	l.asked++
	runs := l.runs
	if l.late != nil && !time.Now().Before(l.lateAt) {
		runs = l.late
	}
	var found []queue.Run
	for _, r := range runs {
		if r.First, r.Last = max(r.First, first), min(r.Last, last); r.First <= r.Last {
			found = append(found, r)
		}
	}
	return found, nil
}

func run(first, last uint64, fate queue.Fate) queue.Run {
	return queue.Run{First: first, Last: last, Fate: fate}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	const delivered = queue.Delivered
	for name, c := range map[string]struct {
		l           ledger
		first, last uint64
		want        Reconciliation
	}{
		"empty queue": {ledger{}, 0, 0, Reconciliation{SeqRange: SeqRange{1, 0}}},
		"all of it": {
			ledger{cursor: 90, last: 100, runs: []queue.Run{run(1, 80, delivered), run(81, 85, queue.Filtered), run(86, 88, queue.Refused), run(89, 89, queue.Dropped), run(90, 90, queue.Lost)}},
			0, 0,
			Reconciliation{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 80, Filtered: 5, Quarantined: 3, Dropped: 1, Damaged: 1, Queued: 10, Newest: 100},
		},
		"a part": {
			ledger{cursor: 90, last: 100, runs: []queue.Run{run(1, 80, delivered), run(81, 90, queue.Filtered)}},
			75, 92,
			Reconciliation{SeqRange: SeqRange{75, 92}, Received: 18, Delivered: 6, Filtered: 10, Queued: 2, Newest: 100},
		},
		"a hole": {
			ledger{cursor: 100, last: 100, runs: []queue.Run{run(1, 40, delivered), run(42, 100, delivered)}},
			0, 0,
			Reconciliation{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 99, Missing: 1, MissingRanges: []SeqRange{{41, 41}}, Newest: 100},
		},
		"a hole at the cursor": {
			ledger{cursor: 50, last: 60, runs: []queue.Run{run(1, 48, delivered)}},
			0, 0,
			Reconciliation{SeqRange: SeqRange{1, 60}, Received: 60, Delivered: 48, Queued: 10, Missing: 2, MissingRanges: []SeqRange{{49, 50}}, Newest: 60},
		},
		"the range begins in a hole": {
			ledger{cursor: 100, last: 100, runs: []queue.Run{run(10, 40, delivered), run(51, 100, delivered)}},
			45, 100,
			Reconciliation{SeqRange: SeqRange{45, 100}, Received: 56, Delivered: 50, Missing: 6, MissingRanges: []SeqRange{{45, 50}}, Newest: 100},
		},
		"older than the memory": {
			ledger{cursor: 100, last: 100, runs: []queue.Run{run(61, 100, delivered)}},
			1, 100,
			Reconciliation{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 40, NotRemembered: 60, Newest: 100},
		},
		"wholly older": {
			ledger{cursor: 1000000, last: 1000000, runs: []queue.Run{run(900001, 1000000, delivered)}},
			5, 9,
			Reconciliation{SeqRange: SeqRange{5, 9}, Received: 5, NotRemembered: 5, Newest: 1000000},
		},
		"a new output": {
			ledger{cursor: 100, last: 103}, 0, 0,
			Reconciliation{SeqRange: SeqRange{1, 103}, Received: 103, NotRemembered: 100, Queued: 3, Newest: 103},
		},
		"not given yet": {
			ledger{cursor: 10, last: 10, runs: []queue.Run{run(1, 10, delivered)}},
			8, 14,
			Reconciliation{SeqRange: SeqRange{8, 14}, Received: 3, Delivered: 3, NotGiven: 4, Newest: 10},
		},
		"wholly not given yet": {
			ledger{cursor: 10, last: 10, runs: []queue.Run{run(1, 10, delivered)}},
			20, 24,
			Reconciliation{SeqRange: SeqRange{20, 24}, NotGiven: 5, Newest: 10},
		},
		"delivered ahead of the cursor that was read": {
			ledger{cursor: 10, last: 20, runs: []queue.Run{run(1, 15, delivered)}},
			0, 0,
			Reconciliation{SeqRange: SeqRange{1, 20}, Received: 20, Delivered: 15, Queued: 5, Newest: 20},
		},
		"a fate of a later version": {
			ledger{cursor: 5, last: 5, runs: []queue.Run{run(1, 4, delivered), run(5, 5, 99)}},
			0, 0,
			Reconciliation{SeqRange: SeqRange{1, 5}, Received: 5, Delivered: 4, Missing: 1, MissingRanges: []SeqRange{{5, 5}}, Newest: 5},
		},
	} {
		c.want.Output = "o"
		got, err := account(t.Context(), &c.l, "o", c.first, c.last)
		if err != nil || !sameAccount(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

func sameAccount(a, b Reconciliation) bool {
	ra, rb := a.MissingRanges, b.MissingRanges
	a.MissingRanges, b.MissingRanges = nil, nil
	return slices.Equal(ra, rb) && reflect.DeepEqual(a, b)
}

// TestAccountAlwaysAddsUp: whatever the queue tells, every sequence of the range is in exactly one column.
func TestAccountAlwaysAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Uint64Range(1, 400).Draw(t, "last")
		l := &ledger{last: last, cursor: rapid.Uint64Range(0, last).Draw(t, "cursor")}
		fates := map[uint64]queue.Fate{} // the model: what is known of each sequence
		for seq := rapid.Uint64Range(1, 50).Draw(t, "oldest"); seq <= l.cursor; {
			end := min(l.cursor, seq+rapid.Uint64Range(0, 40).Draw(t, "length"))
			if fate := queue.Fate(rapid.IntRange(0, 5).Draw(t, "fate")); fate != 0 { // 0: a hole
				l.runs = append(l.runs, run(seq, end, fate))
				for s := seq; s <= end; s++ {
					fates[s] = fate
				}
			}
			seq = end + 1
		}
		first := rapid.Uint64Range(1, last).Draw(t, "first")
		to := rapid.Uint64Range(first, last).Draw(t, "to")
		got, err := account(context.Background(), l, "o", first, to)
		if err != nil {
			t.Fatal(err)
		}
		want := model(l, fates, first, to)
		if !sameAccount(got, want) {
			t.Fatalf("runs %v cursor %d\n got %+v\nwant %+v", l.runs, l.cursor, got, want)
		}
		if sum := got.Delivered + got.Queued + got.Quarantined + got.Dropped + got.Filtered + got.Damaged + got.Missing + got.NotRemembered; sum != got.Received {
			t.Fatalf("%d of %d are accounted for: %+v", sum, got.Received, got)
		}
	})
}

// model accounts for one sequence after the other.
func model(l *ledger, fates map[uint64]queue.Fate, first, last uint64) Reconciliation {
	r := Reconciliation{Output: "o", SeqRange: SeqRange{first, last}, Received: last - first + 1, Newest: l.last}
	remembered := func(upTo uint64) bool {
		for s := uint64(1); s < upTo; s++ {
			if fates[s] != 0 {
				return true
			}
		}
		return false
	}
	for s := first; s <= last; s++ {
		switch fate := fates[s]; {
		case fate == queue.Delivered:
			r.Delivered++
		case fate == queue.Filtered:
			r.Filtered++
		case fate == queue.Refused:
			r.Quarantined++
		case fate == queue.Dropped:
			r.Dropped++
		case fate == queue.Lost:
			r.Damaged++
		case s > l.cursor:
			r.Queued++
		case !remembered(s):
			r.NotRemembered++
		default:
			r.Missing++
			if n := len(r.MissingRanges); n > 0 && r.MissingRanges[n-1].Last == s-1 {
				r.MissingRanges[n-1].Last = s
			} else {
				r.MissingRanges = append(r.MissingRanges, SeqRange{s, s})
			}
		}
	}
	return r
}

// TestReconcileLooksAgain: progress is committed a moment later than it is made, which must not look like a loss.
func TestReconcileLooksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{
			cursor: 10, last: 10, runs: []queue.Run{run(1, 5, queue.Delivered)},
			late: []queue.Run{run(1, 10, queue.Delivered)}, lateAt: time.Now().Add(time.Second),
		}
		r, err := reconcile(t.Context(), l, "o", 0, 0)
		if err != nil || r.Missing != 0 || r.Delivered != 10 {
			t.Errorf("%+v, %v", r, err)
		}
		lost := &ledger{cursor: 10, last: 10, runs: []queue.Run{run(1, 5, queue.Delivered)}}
		if r, err = reconcile(t.Context(), lost, "o", 0, 0); err != nil || r.Missing != 5 {
			t.Errorf("%+v, %v", r, err)
		}
		if lost.asked > 2*(secondLooks+1) {
			t.Errorf("asked %d times", lost.asked)
		}
	})
}

func TestManyHolesAreBounded(t *testing.T) {
	t.Parallel()
	l := &ledger{cursor: 2000, last: 2000}
	for seq := uint64(1); seq < 2000; seq += 2 {
		l.runs = append(l.runs, run(seq, seq, queue.Delivered))
	}
	r, err := account(t.Context(), l, "o", 0, 0)
	if err != nil || r.Missing != 1000 || len(r.MissingRanges) != maxRanges {
		t.Errorf("%d missing in %d ranges, %v", r.Missing, len(r.MissingRanges), err)
	}
}
