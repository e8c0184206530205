package local

import (
	"maps"
	"slices"
	"sync"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// places are the outputs' cursors as their workers have advanced them. The committer writes them down, with every group and at
// a tick.
type places struct {
	mu      sync.Mutex
	byName  map[string]*place
	changed bool // some output is ahead of what is synced
	hurry   bool // the queue is short of room: don't wait for a tick
}

// place is one output's.
type place struct {
	spec     queue.OutputSpec
	cursor   uint64 // as advanced
	synced   uint64
	outcomes []queue.OutcomeRange // noted since
	writing  []queue.OutcomeRange // on their way to the log
	dropped  uint64               // by drop_oldest, since start, less what was delivered all the same
}

// move is what one group writes of one output.
type move struct {
	name     string
	through  uint64
	outcomes []queue.OutcomeRange
	drop     bool // over events that drop_oldest gives up, not one of the worker's
}

// get returns an output's cursor; false: there is no such output.
func (p *places) get(name string) (cursor uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byName[name]
	if o == nil {
		return 0, false
	}
	return o.cursor, true
}

// advance takes over what a worker says, of sequences up to last. It reports whether the committer should not wait. Below the
// cursor, which drop_oldest may have moved meanwhile, only what was delivered counts. Once the lease has ended nothing does: the
// cursor may have been moved back since.
func (p *places) advance(l *lease, name string, progress queue.Progress, last uint64) (hurry bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byName[name]
	if o == nil || !l.Valid() {
		return false
	}
	through := min(progress.Through, last)
	for _, r := range progress.Outcomes {
		r.Last = min(r.Last, through)
		if r.Outcome == queue.Delivered && r.First <= o.cursor && r.First <= r.Last {
			n := min(r.Last, o.cursor) - r.First + 1
			o.dropped -= min(o.dropped, n)
		} else {
			r.First = max(r.First, o.cursor+1)
		}
		if r.First <= r.Last {
			o.outcomes = queue.AppendOutcome(o.outcomes, r)
			p.changed = true
		}
	}
	if through > o.cursor {
		o.cursor, p.changed = through, true
	}
	return p.hurry
}

// due reports whether there is something to write now: at a tick, or at any time while room is short.
func (p *places) due(ticked bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed && (ticked || p.hurry)
}

func (p *places) setHurry(hurry bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurry = hurry
}

// take returns what is to be written and takes it over.
func (p *places) take() []move {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed {
		return nil
	}
	var due []move
	for _, name := range slices.Sorted(maps.Keys(p.byName)) {
		o := p.byName[name]
		if o.cursor != o.synced || len(o.outcomes) > 0 {
			due = append(due, move{name: name, through: o.cursor, outcomes: o.outcomes})
			o.writing, o.outcomes = o.outcomes, nil
		}
	}
	p.changed = false
	return due
}

// putBack undoes take for a group that failed.
func (p *places) putBack(m move) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.byName[m.name]; o != nil && !m.drop {
		o.outcomes, o.writing = append(m.outcomes, o.outcomes...), nil
		p.changed = true
	}
}

// written takes over what a group has made durable.
func (p *places) written(m move) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byName[m.name]
	if o == nil {
		return
	}
	o.synced = max(o.synced, m.through)
	if !m.drop {
		o.writing = nil
		return
	}
	if m.through > o.cursor {
		o.dropped += m.through - o.cursor
		o.cursor = m.through
	}
}

// replace makes state's outputs the ones there are, with specs where they are known.
func (p *places) replace(state *state, specs []queue.OutputSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[string]*place{}
	for name, s := range state.Outputs {
		o := p.byName[name]
		if o == nil {
			o = &place{spec: queue.OutputSpec{Name: name, DropOldest: s.DropOldest}, cursor: s.Cursor, synced: s.Cursor}
		}
		next[name] = o
	}
	for _, spec := range specs {
		if o := next[spec.Name]; o != nil {
			o.spec = spec
		}
	}
	p.byName = next
}

// rewind moves an output's cursor back, or to where a reopened queue has it.
func (p *places) rewind(name string, cursor uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.byName[name]; o != nil {
		o.cursor, o.synced, o.outcomes, o.writing = cursor, cursor, nil, nil
	}
}

// done is the sequence that every output has advanced to; 0: there is none.
func (p *places) done() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byName) == 0 {
		return 0
	}
	low := ^uint64(0)
	for _, o := range p.byName {
		low = min(low, o.cursor)
	}
	return low
}

// slowest names the output that holds the most back.
func (p *places) slowest() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	slowest, low := "", ^uint64(0)
	for _, name := range slices.Sorted(maps.Keys(p.byName)) {
		if at := p.byName[name].cursor; at < low {
			slowest, low = name, at
		}
	}
	return slowest
}

// noted returns what is not synced yet of an output's outcomes.
func (p *places) noted(name string) []queue.OutcomeRange {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.byName[name]; o != nil {
		return slices.Concat(o.writing, o.outcomes)
	}
	return nil
}

// snapshot returns a copy of all places.
func (p *places) snapshot() map[string]place {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]place, len(p.byName))
	for name, o := range p.byName {
		all[name] = *o
	}
	return all
}
