package queue

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// runSpan is how far apart in time the events of one stored run may be: the ledger's resolution, and with it its size.
const runSpan = time.Minute

// appendRun adds r to runs, to the last one when they belong together.
func appendRun(runs []Run, r Run) []Run {
	if n := len(runs); n > 0 && joins(runs[n-1], r) {
		runs[n-1].Last, runs[n-1].At = r.Last, r.At
		return runs
	}
	return append(runs, r)
}

// joins reports whether b can continue a. At says when the last one was done, so it moves; a run that began in another
// minute ends there.
func joins(a, b Run) bool {
	return a.Last+1 == b.First && a.Fate == b.Fate && a.Level == b.Level &&
		a.At.Truncate(runSpan).Equal(b.At.Truncate(runSpan))
}

// recordRuns adds an output's runs to its ledger and prunes what is older than the dedupe window.
func (t *txn) recordRuns(output string, runs []Run) error {
	if len(runs) == 0 {
		return nil
	}
	ledger, err := t.fates.CreateBucketIfNotExists([]byte(output))
	if err != nil {
		t.broken = err
		return fmt.Errorf("ledger of %s: %w", output, err)
	}
	ledger.FillPercent = 1.0
	runs = continueLast(ledger, runs)
	for _, r := range runs {
		key := sequenceKey(r.First)
		if err := t.put(ledger, key, encodeRun(r, key)); err != nil {
			return fmt.Errorf("ledger of %s: %w", output, err)
		}
	}
	t.written = true
	return t.pruneRuns(ledger, t.now.Add(-t.q.opts.Window), 16+2*len(runs))
}

// continueLast joins the first of runs to the last stored one where that is possible.
func continueLast(ledger *bbolt.Bucket, runs []Run) []Run {
	k, v := ledger.Cursor().Last()
	if k == nil {
		return runs
	}
	last, err := parseRun(v, k)
	if err != nil || !joins(last, runs[0]) {
		return runs
	}
	return append(appendRun([]Run{last}, runs[0]), runs[1:]...)
}

// pruneRuns deletes at most limit runs that ended before a time.
func (t *txn) pruneRuns(ledger *bbolt.Bucket, before time.Time, limit int) error {
	var old [][]byte
	c := ledger.Cursor()
	for k, v := c.First(); k != nil && len(old) < limit; k, v = c.Next() {
		if r, err := parseRun(v, k); err == nil && !r.At.Before(before) {
			break
		}
		old = append(old, append([]byte(nil), k...))
	}
	for _, k := range old {
		if err := t.delete(ledger, k); err != nil {
			return err
		}
	}
	return nil
}

// Fates implements Operator.
func (q *embedded) Fates(ctx context.Context, output string, first, last uint64) ([]Run, error) {
	var runs []Run
	err := q.view(func(tx *bbolt.Tx) error {
		ledger := tx.Bucket([]byte(bucketFates)).Bucket([]byte(output))
		if ledger == nil {
			return nil
		}
		c := ledger.Cursor()
		k, v := c.Seek(sequenceKey(first))
		if k == nil {
			k, v = c.Last()
		} else if keySequence(k) > first {
			if pk, pv := c.Prev(); pk != nil {
				k, v = pk, pv
			} else {
				k, v = c.First()
			}
		}
		for ; k != nil && keySequence(k) <= last && ctx.Err() == nil; k, v = c.Next() {
			if r, err := parseRun(v, k); err == nil {
				runs = clipRun(runs, r, first, last)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range q.pendingRuns(output) {
		runs = clipRun(runs, r, first, last)
	}
	return runs, ctx.Err()
}

// clipRun appends the part of r that lies in first..last.
func clipRun(runs []Run, r Run, first, last uint64) []Run {
	r.First, r.Last = max(r.First, first), min(r.Last, last)
	if r.First > r.Last {
		return runs
	}
	return append(runs, r)
}

// pendingRuns are the runs that are not committed yet.
func (q *embedded) pendingRuns(name string) []Run {
	q.outputs.mu.Lock()
	defer q.outputs.mu.Unlock()
	if o := q.outputs.byName[name]; o != nil {
		return append([]Run(nil), o.runs...)
	}
	return nil
}
