package admin

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// book is a queue.History of which only Outcomes is asked. It answers as engines do.
type book struct {
	queue.History
	cursor, last uint64
	noted        []queue.OutcomeRange
	asked        int
	broken       bool // it leaves a gap, against the contract
}

func (b *book) Outcomes(_ context.Context, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	if output != "o" {
		return nil, queue.ErrNotFound
	}
	b.asked++
	ranges := queue.MergeOutcomes(b.noted, b.cursor, first, min(last, b.last))
	if b.broken {
		return ranges[:len(ranges)-1], nil
	}
	return ranges, nil
}

func noted(first, last uint64, o queue.Outcome) queue.OutcomeRange {
	return queue.OutcomeRange{First: first, Last: last, Outcome: o}
}

func delivered(first, last uint64, level string) queue.OutcomeRange {
	return queue.OutcomeRange{First: first, Last: last, Outcome: queue.Delivered, Level: level}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	stored := func(n uint64) map[string]uint64 { return map[string]uint64{"stored": n} }
	for name, c := range map[string]struct {
		b           book
		first, last uint64
		want        OutputAudit
	}{
		"empty queue": {book{}, 0, 0, OutputAudit{SeqRange: SeqRange{1, 0}, AccountedFor: true}},
		"all of it": {
			book{cursor: 90, last: 100, noted: []queue.OutcomeRange{
				delivered(1, 70, "stored"), delivered(71, 80, "written"), noted(81, 85, queue.Filtered), noted(86, 88, queue.Refused), noted(89, 90, queue.Dropped),
			}},
			0, 0,
			OutputAudit{
				SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 80, DeliveredByLevel: map[string]uint64{"stored": 70, "written": 10},
				Filtered: 5, Quarantined: 3, Dropped: 2, Queued: 10, AccountedFor: true,
			},
		},
		"a part": {
			book{cursor: 90, last: 100, noted: []queue.OutcomeRange{delivered(1, 80, "stored"), noted(81, 90, queue.Filtered)}},
			75, 92,
			OutputAudit{SeqRange: SeqRange{75, 92}, Received: 18, Delivered: 6, DeliveredByLevel: stored(6), Filtered: 10, Queued: 2, AccountedFor: true},
		},
		"a loss": {
			book{cursor: 100, last: 100, noted: []queue.OutcomeRange{delivered(1, 40, "stored"), noted(41, 42, queue.Lost), delivered(43, 100, "stored")}},
			0, 0,
			OutputAudit{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 98, DeliveredByLevel: stored(98), Lost: 2, LostRanges: []SeqRange{{41, 42}}},
		},
		"unknown in the midst": {
			book{cursor: 100, last: 100, noted: []queue.OutcomeRange{delivered(1, 40, "stored"), delivered(42, 100, "stored")}},
			0, 0,
			OutputAudit{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 99, DeliveredByLevel: stored(99), Unknown: 1, UnknownRanges: []SeqRange{{41, 41}}},
		},
		"older than the memory, unasked": {
			book{cursor: 100, last: 100, noted: []queue.OutcomeRange{delivered(61, 100, "stored")}},
			0, 0,
			OutputAudit{SeqRange: SeqRange{61, 100}, Received: 40, Delivered: 40, DeliveredByLevel: stored(40), AccountedFor: true},
		},
		"older than the memory, asked": {
			book{cursor: 100, last: 100, noted: []queue.OutcomeRange{delivered(61, 100, "stored")}},
			1, 100,
			OutputAudit{SeqRange: SeqRange{1, 100}, Received: 100, Delivered: 40, DeliveredByLevel: stored(40), Unknown: 60, UnknownRanges: []SeqRange{{1, 60}}},
		},
		"a new output": {
			book{cursor: 100, last: 103}, 0, 0,
			OutputAudit{SeqRange: SeqRange{101, 103}, Received: 3, Queued: 3, AccountedFor: true},
		},
		"not given yet": {
			book{cursor: 10, last: 10, noted: []queue.OutcomeRange{delivered(1, 10, "stored")}},
			8, 14,
			OutputAudit{SeqRange: SeqRange{8, 14}, Received: 3, Delivered: 3, DeliveredByLevel: stored(3), NotGiven: 4},
		},
		"wholly not given yet": {
			book{cursor: 10, last: 10}, 20, 24,
			OutputAudit{SeqRange: SeqRange{20, 24}, NotGiven: 5},
		},
		"an outcome of a later version": {
			book{cursor: 5, last: 5, noted: []queue.OutcomeRange{delivered(1, 4, "stored"), noted(5, 5, 99)}},
			0, 0,
			OutputAudit{SeqRange: SeqRange{1, 5}, Received: 5, Delivered: 4, DeliveredByLevel: stored(4), Unknown: 1, UnknownRanges: []SeqRange{{5, 5}}},
		},
	} {
		c.want.Output = "o"
		got, err := auditOutput(t.Context(), &c.b, "o", c.first, c.last, c.b.last)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

// TestAuditAlwaysAddsUp: whatever the queue tells, every sequence of the range is in exactly one column, the one that a count
// of one after the other puts it in.
func TestAuditAlwaysAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t)
		first := rapid.Uint64Range(1, b.last).Draw(t, "first")
		last := rapid.Uint64Range(first, b.last).Draw(t, "to")
		got, err := auditOutput(context.Background(), b, "o", first, last, b.last)
		if err != nil {
			t.Fatal(err)
		}
		want := OutputAudit{Output: "o", SeqRange: SeqRange{first, last}, AccountedFor: true}
		for seq := first; seq <= last; seq++ {
			one, err := b.Outcomes(context.Background(), "o", seq, seq)
			if err != nil || len(one) != 1 {
				t.Fatal(one, err)
			}
			want.add(one[0])
		}
		want.AccountedFor = want.Lost+want.Unknown == 0
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\n got %+v\nwant %+v", b, got, want)
		}
		if sum := got.Delivered + got.Filtered + got.Quarantined + got.Dropped + got.Lost + got.Queued + got.Unknown; sum != got.Received {
			t.Fatalf("%d of %d are accounted for: %+v", sum, got.Received, got)
		}
		var levels uint64
		for n := range maps.Values(got.DeliveredByLevel) {
			levels += n
		}
		if levels != got.Delivered {
			t.Fatalf("%d of %d deliveries have a level", levels, got.Delivered)
		}
	})
}

// drawBook draws outcomes that follow each other in time, with what is not remembered between them.
func drawBook(t *rapid.T) *book {
	b := &book{last: rapid.Uint64Range(1, 400).Draw(t, "last")}
	b.cursor = rapid.Uint64Range(0, b.last).Draw(t, "cursor")
	at := time.Unix(1_700_000_000, 0)
	for seq := rapid.Uint64Range(1, 50).Draw(t, "oldest"); seq <= b.cursor; {
		end := min(b.cursor, seq+rapid.Uint64Range(0, 40).Draw(t, "length"))
		at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes")) * time.Minute)
		o := queue.Outcome(rapid.IntRange(0, 5).Draw(t, "outcome"))
		if o != queue.Unknown {
			b.noted = append(b.noted, queue.OutcomeRange{First: seq, Last: end, Outcome: o, At: at})
		}
		seq = end + 1
	}
	return b
}

// TestFirstSince: nothing that was received since then is left out. An event is received before an output is done with it.
func TestFirstSince(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t)
		since := time.Unix(1_700_000_000, 0).Add(time.Duration(rapid.IntRange(-1, 40).Draw(t, "since")) * time.Minute)
		st := queue.Status{LastSeq: b.last, Outputs: []queue.OutputStatus{{Name: "o"}}}
		first, err := firstSince(context.Background(), b, st, since)
		if err != nil {
			t.Fatal(err)
		}
		want := uint64(1)
		for _, r := range b.noted {
			if r.At.Before(since) {
				want = r.Last + 1
			}
		}
		if first != want {
			t.Fatalf("%+v since %v: first %d, want %d", b, since, first, want)
		}
	})
}

// TestAuditOfALongHistoryAsksLittle: what is long forgotten costs a few questions, and what is remembered comes in bounded parts.
func TestAuditOfALongHistoryAsksLittle(t *testing.T) {
	t.Parallel()
	const last = 10_000_000_000
	b := &book{cursor: last, last: last, noted: []queue.OutcomeRange{delivered(last-1_000_000, last, "stored")}}
	a, err := auditOutput(t.Context(), b, "o", 0, 0, last)
	if err != nil || a.First != last-1_000_000 || a.Received != 1_000_001 || !a.AccountedFor {
		t.Errorf("%+v, %v", a, err)
	}
	if b.asked > 100 {
		t.Errorf("asked %d times", b.asked)
	}
	b.asked = 0
	if first, err := firstSince(t.Context(), b, queue.Status{LastSeq: last, Outputs: []queue.OutputStatus{{Name: "o"}}}, time.Now()); err != nil || first != 1 || b.asked > 100 {
		t.Errorf("%d, %v, asked %d times", first, err, b.asked)
	}
}

func TestAuditRangesAreBounded(t *testing.T) {
	t.Parallel()
	b := &book{cursor: 2000, last: 2000}
	for seq := uint64(1); seq < 2000; seq += 2 {
		b.noted = append(b.noted, delivered(seq, seq, "stored"))
	}
	a, err := auditOutput(t.Context(), b, "o", 0, 0, 2000)
	if err != nil || a.Unknown != 1000 || len(a.UnknownRanges) != maxRanges {
		t.Errorf("%d unknown in %d ranges, %v", a.Unknown, len(a.UnknownRanges), err)
	}
}

// TestAuditDemandsAllOfTheRange: an engine that leaves something out is found out, and nothing is made up in its place.
func TestAuditDemandsAllOfTheRange(t *testing.T) {
	t.Parallel()
	b := &book{cursor: 5, last: 10, noted: []queue.OutcomeRange{delivered(1, 5, "stored")}, broken: true}
	if _, err := auditOutput(t.Context(), b, "o", 0, 0, 10); err == nil || !strings.Contains(err.Error(), "end before 6 instead of 11") {
		t.Errorf("%v", err)
	}
	var bad *requestError
	if _, err := auditOutput(t.Context(), b, "nope", 0, 0, 10); !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}
