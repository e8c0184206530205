package tail_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

func watch(t *testing.T, h *tail.Hub, f tail.Filter) *tail.Watcher {
	t.Helper()
	w, err := h.Watch(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// drain returns what waits for w.
func drain(t *testing.T, w *tail.Watcher) []tail.Line {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all []tail.Line
	for {
		l, err := w.Next(ctx)
		if err != nil {
			return all
		}
		all = append(all, l)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	lines := []tail.Line{
		{Way: tail.In, Endpoint: "a", Severity: 1}, {Way: tail.In, Endpoint: "b", Severity: 5}, {Way: tail.In, Outcome: "signature"},
		{Way: tail.Out, Endpoint: "a", Output: "x", Severity: 3}, {Way: tail.Out, Endpoint: "b", Output: "y", Severity: 4},
	}
	for name, c := range map[string]struct {
		filter tail.Filter
		want   int
	}{
		"all": {tail.Filter{}, 5}, "in": {tail.Filter{Way: tail.In}, 3}, "endpoint": {tail.Filter{Endpoints: []string{"a"}}, 2},
		"outputs": {tail.Filter{Outputs: []string{"x", "y"}}, 2}, "severity": {tail.Filter{MinSeverity: 4}, 3},
		"both": {tail.Filter{Way: tail.Out, Endpoints: []string{"a"}, MinSeverity: 4}, 0},
	} {
		h := &tail.Hub{}
		w := watch(t, h, c.filter)
		for i := range lines {
			h.Tell(&lines[i])
		}
		if got := drain(t, w); len(got) != c.want {
			t.Errorf("%s: got %d lines, want %d: %+v", name, len(got), c.want, got)
		}
	}
}

// TestBatches: a batch that failed is one line to each watcher, about what that one wants of it.
func TestBatches(t *testing.T) {
	t.Parallel()
	h := &tail.Hub{}
	all, some, none := watch(t, h, tail.Filter{}), watch(t, h, tail.Filter{Endpoints: []string{"b"}}), watch(t, h, tail.Filter{MinSeverity: 5})
	h.TellBatch(nil)
	h.TellBatch([]tail.Line{{Endpoint: "a", Seq: 1, Severity: 1}, {Endpoint: "b", Seq: 2, Severity: 2}, {Endpoint: "b", Seq: 3, Severity: 3}})
	if got := drain(t, all); len(got) != 1 || got[0].Seq != 1 || got[0].Events != 3 {
		t.Errorf("without a filter: %+v", got)
	}
	if got := drain(t, some); len(got) != 1 || got[0].Seq != 2 || got[0].Events != 2 {
		t.Errorf("of one endpoint: %+v", got)
	}
	if got := drain(t, none); len(got) != 0 {
		t.Errorf("of a severity that none has: %+v", got)
	}
}

// TestSlowWatcher: one who does not read holds nobody up, has the newest lines, and learns how many are missing and where.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	h := &tail.Hub{}
	slow := watch(t, h, tail.Filter{})
	const told = 3000
	for seq := range uint64(told) {
		h.Tell(&tail.Line{Seq: seq + 1})
	}
	next := uint64(1)
	for _, l := range drain(t, slow) {
		if next += l.LeftOut; l.Seq != next {
			t.Fatalf("line %d comes with %d left out, after %d", l.Seq, l.LeftOut, next-1-l.LeftOut)
		}
		next++
	}
	if next != told+1 {
		t.Errorf("the last line is %d, of %d", next-1, told)
	}
}

// TestManyAtOnce: tellers don't wait for watchers who read, read not at all, come and go; every line is read or counted.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h := &tail.Hub{}
	reads, stuck := watch(t, h, tail.Filter{}), watch(t, h, tail.Filter{})
	ctx, cancel := context.WithCancel(t.Context())
	const each, tellers = 2000, 4
	var telling, others sync.WaitGroup
	for range tellers {
		telling.Go(func() {
			for range each / 2 {
				h.Tell(&tail.Line{Way: tail.In})
				h.TellBatch([]tail.Line{{Way: tail.Out}, {Way: tail.Out}})
			}
		})
	}
	count := func(ctx context.Context, w *tail.Watcher) (n uint64) {
		for {
			l, err := w.Next(ctx)
			if err != nil {
				return n
			}
			n += 1 + l.LeftOut
		}
	}
	var read uint64
	others.Go(func() { read = count(ctx, reads) })
	others.Go(func() {
		for ctx.Err() == nil {
			if w, err := h.Watch(tail.Filter{Way: tail.In}); err == nil {
				w.Close()
			}
		}
	})
	telling.Wait()
	cancel()
	others.Wait()
	if left := count(ctx, stuck); read != each*tellers || left != read {
		t.Errorf("one has read %d lines, the other is told of %d, of %d", read, left, each*tellers)
	}
}

// TestNoBodies: a line that waits does not keep the body in memory that its texts are parts of, and no text is long.
func TestNoBodies(t *testing.T) {
	t.Parallel()
	h := &tail.Hub{}
	w := watch(t, h, tail.Filter{})
	body := tellOf(h)
	for deadline := time.Now().Add(30 * time.Second); body.Value() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the body is still in memory")
		}
		runtime.GC()
	}
	got := drain(t, w)
	if len(got) != 1 || got[0].SignalID != "sig_1" || got[0].SignalType != strings.Repeat("é", 256)+"..." {
		t.Errorf("%+v", got)
	}
}

func tellOf(h *tail.Hub) weak.Pointer[byte] {
	body := fmt.Appendf(nil, `{"data":{"signal_id":"sig_1","signal_type":"%s"}}`, strings.Repeat("é", 1<<19))
	s, err := signal.Decode(body)
	if err != nil {
		return weak.Pointer[byte]{}
	}
	h.Tell(&tail.Line{SignalID: s.SignalID, SignalType: s.SignalType})
	return weak.Make(&body[0])
}

func TestWatchers(t *testing.T) {
	t.Parallel()
	var none *tail.Hub
	h := &tail.Hub{}
	if none.Watched() || h.Watched() {
		t.Error("somebody watches")
	}
	var all []*tail.Watcher
	for range 4 {
		all = append(all, watch(t, h, tail.Filter{}))
	}
	if _, err := h.Watch(tail.Filter{}); !errors.Is(err, tail.ErrTooMany) {
		t.Errorf("a fifth: %v", err)
	}
	all[2].Close()
	all[2].Close()
	h.Tell(&tail.Line{})
	if got := drain(t, all[3]); len(got) != 1 || !h.Watched() {
		t.Errorf("got %+v", got)
	}
	for _, w := range all {
		w.Close()
	}
	if h.Watched() {
		t.Error("somebody watches still")
	}
}

func BenchmarkNobodyWatches(b *testing.B) {
	h := &tail.Hub{}
	b.ReportAllocs()
	for b.Loop() {
		if h.Watched() {
			b.Fatal("somebody watches")
		}
	}
}
