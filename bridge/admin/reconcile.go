package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

const (
	maxRanges      = 100
	reconcileChunk = 100_000 // sequences asked of the queue at once: bounds the memory of one answer
)

// Progress is committed within the queue's cursor interval, so what looks missing is looked at again for so long.
const (
	secondLooks     = 5
	secondLookAfter = 300 * time.Millisecond
)

// reconcile accounts for the sequences first..last at one output; last 0 means the newest.
func reconcile(ctx context.Context, q queue.Operator, output string, first, last uint64) (Reconciliation, error) {
	var r Reconciliation
	for look := 0; ; look++ {
		var err error
		if r, err = account(ctx, q, output, first, last); err != nil || r.Missing == 0 || look == secondLooks {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(secondLookAfter):
		}
	}
}

// account reads the cursor before the fates: what is delivered meanwhile then counts as delivered, never as missing.
func account(ctx context.Context, q queue.Operator, output string, first, last uint64) (Reconciliation, error) {
	st := q.Status()
	place, ok := placeOf(st, output)
	if !ok {
		return Reconciliation{}, &requestError{fmt.Sprintf("there is no output %q", output)}
	}
	if last == 0 {
		last = st.LastSeq
	}
	first = max(first, 1)
	a := accountant{cursor: place.Cursor, r: Reconciliation{Output: output, SeqRange: SeqRange{First: first, Last: last}, Newest: st.LastSeq}}
	if last > st.LastSeq {
		a.r.NotGiven = last - max(st.LastSeq, first-1)
		last = st.LastSeq
	}
	if last < first {
		return a.r, nil
	}
	a.r.Received = last - first + 1
	a.next = first
	for from := first; from <= last; from += reconcileChunk {
		runs, err := q.Fates(ctx, output, from, min(last, from+reconcileChunk-1))
		if err != nil {
			return a.r, err
		}
		for _, run := range runs {
			a.run(run, last)
		}
	}
	a.gapBefore(last + 1)
	return a.r, a.judgeOldest(ctx, q, first)
}

func placeOf(st queue.Status, output string) (queue.OutputStatus, bool) {
	for _, o := range st.Outputs {
		if o.Name == output {
			return o, true
		}
	}
	return queue.OutputStatus{}, false
}

// accountant walks the runs in order and notes what lies between them.
type accountant struct {
	r       Reconciliation
	cursor  uint64
	next    uint64 // the first sequence that is not accounted for yet
	seenRun bool
	oldest  SeqRange // the gap before the first run, judged at the end
}

func (a *accountant) run(run queue.Run, last uint64) {
	first := max(run.First, a.next)
	end := min(run.Last, last)
	if end < first {
		return
	}
	a.gapBefore(first)
	a.seenRun = true
	n := end - first + 1
	switch run.Fate {
	case queue.Delivered:
		a.r.Delivered += n
	case queue.Filtered:
		a.r.Filtered += n
	case queue.Refused:
		a.r.Quarantined += n
	case queue.Dropped:
		a.r.Dropped += n
	case queue.Lost:
		a.r.Damaged += n
	default:
		a.missing(SeqRange{first, end})
	}
	a.next = end + 1
}

// gapBefore accounts for the sequences from next to below upTo, which are in no run: above the cursor they wait.
func (a *accountant) gapBefore(upTo uint64) {
	if a.next >= upTo {
		return
	}
	gap := SeqRange{a.next, upTo - 1}
	a.next = upTo
	if gap.Last > a.cursor {
		queued := SeqRange{max(gap.First, a.cursor+1), gap.Last}
		a.r.Queued += queued.Last - queued.First + 1
		if gap.First > a.cursor {
			return
		}
		gap.Last = a.cursor
	}
	if !a.seenRun && a.oldest.Last == 0 {
		a.oldest = gap
		return
	}
	a.missing(gap)
}

func (a *accountant) missing(gap SeqRange) {
	a.r.Missing += gap.Last - gap.First + 1
	if len(a.r.MissingRanges) < maxRanges {
		a.r.MissingRanges = append(a.r.MissingRanges, gap)
	}
}

// judgeOldest decides about a gap at the very beginning: it is missing when something older is remembered, and
// forgotten when nothing is.
func (a *accountant) judgeOldest(ctx context.Context, q queue.Operator, first uint64) error {
	if a.oldest.Last == 0 {
		return nil
	}
	for end := first - 1; end > 0; {
		from := max(1, end-min(end, reconcileChunk)+1)
		runs, err := q.Fates(ctx, a.r.Output, from, end)
		if err != nil {
			return err
		}
		if len(runs) > 0 {
			rest := a.r.MissingRanges
			a.r.MissingRanges = nil
			a.missing(a.oldest)
			a.r.MissingRanges = append(a.r.MissingRanges, rest[:min(len(rest), maxRanges-1)]...)
			return nil
		}
		end = from - 1
	}
	a.r.NotRemembered = a.oldest.Last - a.oldest.First + 1
	return nil
}
