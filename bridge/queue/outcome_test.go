package queue_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var noon = time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)

// drawRange draws what was noted of a few sequences.
func drawRange(t *rapid.T) queue.OutcomeRange {
	first := rapid.Uint64Range(1, 40).Draw(t, "first")
	r := queue.OutcomeRange{
		First: first, Last: first + rapid.Uint64Range(0, 12).Draw(t, "more"),
		Outcome: rapid.SampledFrom([]queue.Outcome{queue.Delivered, queue.Filtered, queue.Refused, queue.Dropped, queue.Lost}).Draw(t, "outcome"),
		At:      noon.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "at")) * time.Second),
	}
	if r.Outcome == queue.Delivered {
		r.Level = rapid.SampledFrom([]string{"sent", "stored"}).Draw(t, "level")
	}
	return r
}

// TestMergeOutcomes compares MergeOutcomes with an outcome for each sequence.
func TestMergeOutcomes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		noted := rapid.SliceOfN(rapid.Custom(drawRange), 0, 12).Draw(t, "noted")
		cursor := rapid.Uint64Range(0, 60).Draw(t, "cursor")
		first := rapid.Uint64Range(1, 60).Draw(t, "from")
		last := rapid.Uint64Range(first-1, 60).Draw(t, "to")
		want := make(map[uint64]queue.OutcomeRange)
		for _, r := range noted {
			for seq := r.First; seq <= r.Last; seq++ {
				if r.Outcome == queue.Delivered || want[seq].Outcome != queue.Delivered {
					want[seq] = r
				}
			}
		}
		before := slices.Clone(noted)
		got := queue.MergeOutcomes(noted, cursor, first, last)
		if !slices.Equal(noted, before) {
			t.Fatalf("it has changed what was noted: %+v", noted)
		}
		next := first
		for _, r := range got {
			if r.First != next || r.Last < r.First {
				t.Fatalf("%+v does not go on with %d: %+v", r, next, got)
			}
			for ; next <= r.Last; next++ {
				w := want[next]
				if next > cursor {
					w = queue.OutcomeRange{Outcome: queue.Queued}
				}
				if r.Outcome != w.Outcome || r.Level != w.Level || !r.At.Equal(w.At) {
					t.Fatalf("sequence %d: %+v, want %+v", next, r, w)
				}
			}
		}
		if next != last+1 {
			t.Fatalf("it ends before %d, not %d: %+v", next, last+1, got)
		}
	})
}

// TestAppendOutcome: whatever is joined, each sequence keeps its outcome, and no range spans more than it may or says that
// something was done before it was.
func TestAppendOutcome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var ranges, want []queue.OutcomeRange
		next := uint64(1)
		for range rapid.IntRange(1, 20).Draw(t, "ranges") {
			r := drawRange(t)
			if rapid.Bool().Draw(t, "gap") {
				next++
			}
			r.First, r.Last = next, next+r.Last-r.First
			next = r.Last + 1
			want = append(want, r)
			ranges = queue.AppendOutcome(ranges, r)
		}
		for _, w := range want {
			i := slices.IndexFunc(ranges, func(r queue.OutcomeRange) bool { return r.First <= w.First && w.Last <= r.Last })
			if i < 0 {
				t.Fatalf("%+v is in no range: %+v", w, ranges)
			}
			if r := ranges[i]; r.Outcome != w.Outcome || r.Level != w.Level || r.At.Before(w.At) || r.At.Sub(w.At) >= queue.RangeSpan {
				t.Fatalf("%+v is in %+v", w, r)
			}
		}
		for i := range ranges[1:] {
			if ranges[i].Last >= ranges[i+1].First {
				t.Fatalf("ranges overlap: %+v", ranges)
			}
		}
	})
}

// TestAppendOutcomeJoins: a delivery an event at a time is one range a minute.
func TestAppendOutcomeJoins(t *testing.T) {
	t.Parallel()
	var ranges []queue.OutcomeRange
	for seq := range uint64(180) {
		at := noon.Add(time.Duration(seq) * time.Second)
		ranges = queue.AppendOutcome(ranges, queue.OutcomeRange{First: seq + 1, Last: seq + 1, Outcome: queue.Delivered, Level: "stored", At: at})
	}
	if len(ranges) != 3 || ranges[0].Last != 60 || !ranges[0].At.Equal(noon.Add(59*time.Second)) {
		t.Errorf("%+v", ranges)
	}
}

func TestClipOutcome(t *testing.T) {
	t.Parallel()
	r := queue.OutcomeRange{First: 5, Last: 9, Outcome: queue.Delivered}
	for _, c := range []struct{ first, last, wantFirst, wantLast uint64 }{
		{1, 20, 5, 9}, {5, 9, 5, 9}, {6, 20, 6, 9}, {1, 6, 5, 6}, {7, 7, 7, 7}, {1, 4, 0, 0}, {10, 20, 0, 0}, {8, 6, 0, 0},
	} {
		got := queue.ClipOutcome(nil, r, c.first, c.last)
		if c.wantFirst == 0 && len(got) == 0 {
			continue
		}
		if len(got) != 1 || got[0].First != c.wantFirst || got[0].Last != c.wantLast {
			t.Errorf("%d to %d: %+v", c.first, c.last, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for o, want := range map[queue.Outcome]string{queue.Unknown: "unknown", queue.Delivered: "delivered", queue.Filtered: "filtered",
		queue.Refused: "quarantined", queue.Dropped: "dropped", queue.Lost: "lost", queue.Queued: "queued", 99: "unknown"} {
		if o.String() != want {
			t.Errorf("outcome %d is %q, want %q", o, o, want)
		}
	}
	for v, want := range map[queue.Verdict]string{0: "unknown", queue.Accepted: "accepted", queue.Duplicate: "duplicate", queue.Quarantined: "quarantined"} {
		if v.String() != want {
			t.Errorf("verdict %d is %q, want %q", v, v, want)
		}
	}
}

func TestOutcomeNames(t *testing.T) {
	t.Parallel()
	for o := queue.Unknown; o <= queue.Queued; o++ {
		text, err := o.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back queue.Outcome
		if err := back.UnmarshalText(text); err != nil || back != o {
			t.Errorf("%s is %v, %v", text, back, err)
		}
	}
}
