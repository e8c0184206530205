package tail_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

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
	for { // select takes either when both are ready
		l, err := w.Next(ctx)
		if err == nil {
			all = append(all, l)
			continue
		}
		short, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
		l, err = w.Next(short)
		done()
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

// TestSlowWatcher: one who does not read holds nobody up, and learns how much was left out.
func TestSlowWatcher(t *testing.T) {
	t.Parallel()
	h := &tail.Hub{}
	slow := watch(t, h, tail.Filter{})
	const told = 5000
	var tellers sync.WaitGroup
	for range 4 {
		tellers.Go(func() {
			for range told / 4 {
				h.Tell(&tail.Line{Way: tail.In})
			}
		})
	}
	tellers.Wait()
	got, leftOut := drain(t, slow), uint64(0)
	for _, l := range got {
		leftOut += l.LeftOut
	}
	if len(got) == 0 || uint64(len(got))+leftOut != told {
		t.Errorf("got %d lines, and %d are said to be left out, of %d", len(got), leftOut, told)
	}
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
