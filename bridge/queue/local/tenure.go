package local

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// tenures are who owns which output and which role, in this process: there is no other.
type tenures struct {
	mu      sync.Mutex
	owners  map[string]*lease
	changed chan struct{} // closed, and made anew, when an owner has gone or the outputs have changed
	closed  bool
}

// lease implements queue.Lease.
type lease struct {
	all   *tenures
	key   string
	valid atomic.Bool
	lost  chan struct{}
}

// rolePrefix keeps roles apart from outputs, whose names have no colon.
const rolePrefix = "role:"

func (t *tenures) init() {
	t.owners, t.changed = map[string]*lease{}, make(chan struct{})
}

// take makes key the caller's when it is nobody's; otherwise it returns what to wait for.
func (t *tenures) take(key string) (l *lease, wait <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, errClosed
	}
	if t.owners[key] != nil {
		return nil, t.changed, nil
	}
	l = &lease{all: t, key: key, lost: make(chan struct{})}
	l.valid.Store(true)
	t.owners[key] = l
	return l, nil, nil
}

func (t *tenures) broadcast() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// end makes leases lost: those of the keys that match. What then is called before anybody can have new ones.
func (t *tenures) end(match func(key string) bool, then ...func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.owners {
		if match(key) {
			l.valid.Store(false)
			close(l.lost)
			delete(t.owners, key)
		}
	}
	for _, change := range then {
		change()
	}
	t.broadcast()
}

// endOutputs ends every tenure, for they all begin anew after a change.
func (t *tenures) endOutputs(change func()) {
	t.end(func(key string) bool { return !strings.HasPrefix(key, rolePrefix) }, change)
}

func (t *tenures) endAll() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.end(func(string) bool { return true })
}

// ownedKeys are the keys that have an owner.
func (t *tenures) ownedKeys() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	owned := make(map[string]bool, len(t.owners))
	for key := range t.owners {
		owned[key] = true
	}
	return owned
}

// Valid implements queue.Lease.
func (l *lease) Valid() bool { return l.valid.Load() }

// Lost implements queue.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Release implements queue.Lease.
func (l *lease) Release() {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if l.all.owners[l.key] == l {
		l.valid.Store(false)
		delete(l.all.owners, l.key)
		l.all.broadcast()
	}
}

// Claim implements queue.Outputs.
func (q *engine) Claim(ctx context.Context, output string) (*queue.Tenure, error) {
	for {
		if _, ok := q.places.get(output); !ok {
			return nil, fmt.Errorf("output %q: %w: it is not declared", output, queue.ErrNotFound)
		}
		l, wait, err := q.tenures.take(output)
		if err != nil {
			return nil, err
		}
		if l != nil {
			q.mu.RLock()
			id := q.store.state.BridgeID
			q.mu.RUnlock()
			return &queue.Tenure{Output: output, BridgeID: id, Lease: l, Stream: &stream{q: q, output: output, lease: l}}, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for output %s: %w", output, ctx.Err())
		}
	}
}

// Hold implements queue.Roles.
func (q *engine) Hold(ctx context.Context, role string) (queue.Lease, error) {
	for {
		l, wait, err := q.tenures.take(rolePrefix + role)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the role %s: %w", role, ctx.Err())
		}
	}
}

// Declare implements queue.Outputs.
func (q *engine) Declare(ctx context.Context, specs []queue.OutputSpec) (map[string]uint64, error) {
	left := map[string]uint64{}
	err := q.do(ctx, func(t *txn) error {
		clear(left)
		return t.declare(specs, left)
	})
	if err != nil {
		return nil, fmt.Errorf("declare the outputs: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		q.opts.Log.Warn("an output is no longer in the configuration; what it had not delivered is not kept for it any more",
			"event", "output_removed", "output", name, "events", left[name])
	}
	return left, nil
}

func (t *txn) declare(specs []queue.OutputSpec, left map[string]uint64) error {
	next := map[string]*outputState{}
	same := len(specs) == len(t.s.state.Outputs) && !t.s.state.CursorsLost
	for _, spec := range specs {
		o := t.s.state.Outputs[spec.Name]
		if o == nil {
			next[spec.Name] = &outputState{DropOldest: spec.DropOldest, Cursor: t.startOf(spec), Born: t.s.log.Next()}
			same = false
			continue
		}
		same = same && o.DropOldest == spec.DropOldest
		next[spec.Name] = &outputState{DropOldest: spec.DropOldest, Cursor: t.floor(spec.Name), Born: o.Born}
	}
	for name := range t.s.state.Outputs {
		if next[name] == nil {
			cursor, _ := t.q.places.get(name)
			left[name] = t.s.state.waiting(cursor)
		}
	}
	t.after = append(t.after, func() {
		t.q.places.replace(t.s.state, specs)
		t.q.tenures.end(func(key string) bool { _, gone := left[key]; return gone })
	})
	if same {
		return nil
	}
	return t.putJSON(kindOutputs, next)
}

// startOf is where a new output begins: now, or before the oldest kept event. After a damage it may be an old one whose cursor
// was not found: rather twice than not at all.
func (t *txn) startOf(spec queue.OutputSpec) uint64 {
	if spec.StartAtOldest || t.s.state.CursorsLost {
		return t.s.oldestEvent() - 1
	}
	return t.lastSeq
}

// oldestEvent is the first event that is still kept, or the one that comes next.
func (s *store) oldestEvent() uint64 {
	for _, x := range s.indexes {
		if !x.retired && x.meta.FirstSeq != 0 {
			return x.meta.FirstSeq
		}
	}
	return s.state.LastSeq + 1
}

// Wanted implements queue.Outputs: there is no other bridge.
func (q *engine) Wanted(context.Context, string) bool { return false }

// Forget implements queue.Outputs. In a queue of one bridge an output ends when it isn't declared any more.
func (q *engine) Forget(_ context.Context, output string) (uint64, error) {
	if _, ok := q.places.get(output); ok {
		return 0, fmt.Errorf("output %q is in this bridge's configuration: take it out there", output)
	}
	return 0, fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
}

// Replay implements queue.Outputs.
func (q *engine) Replay(ctx context.Context, output string, since time.Time) (uint64, error) {
	s := q.current()
	if _, ok := q.places.get(output); !ok {
		return 0, fmt.Errorf("output %q: %w", output, queue.ErrNotFound)
	}
	first, err := q.firstSince(ctx, s, since)
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	events := uint64(0)
	err = q.do(ctx, func(t *txn) error {
		cursor, _ := t.q.places.get(output)
		to := max(first, t.s.oldestEvent()) - 1
		if to >= cursor { // there is nothing to send again
			t.after = append(t.after, func() { t.q.tenures.end(func(key string) bool { return key == output }) })
			return nil
		}
		t.flush()
		events = t.s.state.waiting(to)
		t.after = append(t.after, func() {
			t.q.tenures.end(func(key string) bool { return key == output }, func() { t.q.places.rewind(output, to) })
			t.q.tail.reset(t.lastSeq)
		})
		return t.putJSON(kindReplay, replayRecord{output, to})
	})
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	return events, nil
}
