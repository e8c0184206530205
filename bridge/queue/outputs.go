package queue

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/bbolt"
)

// outputs are the outputs that hold events back. Workers advance them in memory; the committer writes them down.
type outputs struct {
	mu      sync.Mutex
	byName  map[string]*output
	changed bool // some output is ahead of its committed cursor
	hurry   bool // the queue is short of room: don't wait for the cursor interval
	named   bool // SetOutputs has named all of them in this process
	unsure  bool // a salvage may have missed some: until all are named, no event is over and no output is a new one
}

// output is one output's place.
type output struct {
	spec      OutputSpec
	cursor    uint64 // as advanced
	committed uint64
	runs      []Run // what became of committed+1..cursor
	dropped   uint64
}

// flushed is what one transaction writes of one output.
type flushed struct {
	name    string
	through uint64
	runs    []Run
	drop    bool // it is a move over events that drop_oldest gave up, not one of the worker's
}

// load takes over the stored cursors. One that is damaged starts at the oldest kept event: rather twice than not at all.
func (o *outputs) load(cursors, meta *bbolt.Bucket, log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsure = !o.named && meta.Get([]byte(keySalvaged)) != nil
	c := cursors.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		seq, err := parseCursor(v, k)
		if err != nil {
			log.Error("an output's cursor is damaged; it begins again at the oldest kept event", "output", string(k))
		}
		if known := o.byName[string(k)]; known != nil { // reopened: memory is ahead of the disk
			known.committed = seq
			continue
		}
		o.byName[string(k)] = &output{spec: OutputSpec{Name: string(k)}, cursor: seq, committed: seq}
	}
}

// Cursor implements Reader.
func (q *embedded) Cursor(name string) (uint64, error) {
	q.outputs.mu.Lock()
	defer q.outputs.mu.Unlock()
	o := q.outputs.byName[name]
	if o == nil {
		return 0, fmt.Errorf("the queue knows no output %q", name)
	}
	return o.cursor, nil
}

// Advance implements Reader. What is at or below the cursor (the queue has dropped it meanwhile) is ignored.
func (q *embedded) Advance(name string, p Progress) {
	p.Through = min(p.Through, q.tail.last()) // no cursor runs ahead of the queue, whatever a worker says
	if q.outputs.advance(name, p) {
		q.signal()
	}
}

// advance reports whether the committer should not wait for its interval.
func (o *outputs) advance(name string, p Progress) (hurry bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.byName[name]
	if out == nil || p.Through <= out.cursor {
		return false
	}
	for _, r := range p.Runs {
		r.First = max(r.First, out.cursor+1)
		r.Last = min(r.Last, p.Through)
		if r.First <= r.Last {
			out.runs = appendRun(out.runs, r)
		}
	}
	out.cursor = p.Through
	o.changed = true
	return o.hurry
}

// due reports whether there are cursors to commit now: at a tick, or at any time while room is short.
func (o *outputs) due(ticked bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed && (ticked || o.hurry)
}

func (o *outputs) setHurry(hurry bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hurry = hurry
}

// takeDirty returns what is to be written and takes it over.
func (o *outputs) takeDirty() []flushed {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due []flushed
	for name, out := range o.byName {
		if out.cursor != out.committed {
			due = append(due, flushed{name: name, through: out.cursor, runs: out.runs})
			out.runs = nil
		}
	}
	o.changed = false
	return due
}

// putBack undoes takeDirty for a transaction that failed.
func (o *outputs) putBack(f flushed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if out := o.byName[f.name]; out != nil && !f.drop {
		out.runs = append(f.runs, out.runs...)
		o.changed = true
	}
}

// committed takes over what a transaction has written.
func (o *outputs) committed(f flushed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.byName[f.name]
	if out == nil {
		return
	}
	out.committed = f.through
	if f.drop {
		out.dropped += f.runs[0].Last - f.runs[0].First + 1
		out.runs = clipRuns(out.runs, f.through+1)
		out.cursor = max(out.cursor, f.through)
	}
}

// clipRuns removes what lies before first: a worker was faster than the commit that gave its events up.
func clipRuns(runs []Run, first uint64) []Run {
	var kept []Run
	for _, r := range runs {
		kept = clipRun(kept, r, first, math.MaxUint64)
	}
	return kept
}

// places returns every output's committed cursor, and whether these are all of the outputs.
func (o *outputs) places() (cursors map[string]uint64, all bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	cursors = make(map[string]uint64)
	for name, out := range o.byName {
		cursors[name] = out.committed
	}
	return cursors, o.named
}

// consumed returns the sequence up to which every output's committed cursor is past; 0 when there is no output, since
// then nobody has got anything, and when there may be others.
func (o *outputs) consumed() uint64 {
	return o.lowest(func(out *output) uint64 { return out.committed })
}

// done is consumed for the cursors as advanced.
func (o *outputs) done() uint64 {
	return o.lowest(func(out *output) uint64 { return out.cursor })
}

func (o *outputs) lowest(of func(*output) uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byName) == 0 || o.unsure {
		return 0
	}
	low := uint64(math.MaxUint64)
	for _, out := range o.byName {
		low = min(low, of(out))
	}
	return low
}

// names returns the outputs' names in order. The caller holds mu.
func (o *outputs) names() []string {
	names := make([]string, 0, len(o.byName))
	for name := range o.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// known refuses names that are no output's: an event for nobody would be deleted as soon as every output is past it.
func (o *outputs) known(names []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range names {
		if o.byName[name] == nil {
			return fmt.Errorf("there is no output %q now: name one of %s", name, strings.Join(o.names(), ", "))
		}
	}
	return nil
}
