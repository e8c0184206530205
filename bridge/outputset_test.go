package bridge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// decliningQueue declares until it is told not to, and never lets anybody own an output.
type decliningQueue struct {
	queue.Outputs
	declared [][]queue.OutputSpec
	failFrom int // the number of the first Declare that fails; 0: none
}

func (q *decliningQueue) Declare(_ context.Context, specs []queue.OutputSpec) (map[string]uint64, error) {
	if q.failFrom > 0 && len(q.declared)+1 >= q.failFrom {
		return nil, queue.ErrUnavailable
	}
	q.declared = append(q.declared, specs)
	return nil, nil
}

func (q *decliningQueue) Claim(ctx context.Context, _ string) (*queue.Tenure, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestApplyIsWholeOrNothing: a queue that can't take the new outputs leaves the old ones running, and one that can't be told of the
// removed ones does not hold up the new configuration, which is in force by then.
func TestApplyIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	q := &decliningQueue{}
	registry := prometheus.NewRegistry()
	set := &outputSet{queue: q, metrics: registry, log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now, tail: &tail.Hub{},
		drainTimeout: time.Minute, running: map[string]*runningOutput{}}
	open := func(func() bool, prometheus.Registerer) (outputs.Output, error) {
		return nil, errors.New("nobody owns it")
	}
	apply := func(names ...string) error {
		var wanted []config.Output
		opens := map[string]forward.OpenFunc{}
		for _, name := range names {
			wanted, opens[name] = append(wanted, config.Output{Name: name, Type: "file"}), open
		}
		return set.apply(t.Context(), t.Context(), wanted, opens)
	}
	running := func() []string {
		var names []string
		for name := range set.running {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	if err := apply("a", "b"); err != nil || !slices.Equal(running(), []string{"a", "b"}) {
		t.Fatalf("%v, %v", running(), err)
	}
	q.failFrom = len(q.declared) + 1
	if err := apply("b", "c"); !errors.Is(err, queue.ErrUnavailable) || !slices.Equal(running(), []string{"a", "b"}) {
		t.Errorf("with a queue that refuses: %v, %v", running(), err)
	}
	q.failFrom++
	if err := apply("b", "c"); err != nil || !slices.Equal(running(), []string{"b", "c"}) || !strings.Contains(log.String(), "was not told") {
		t.Errorf("with a queue that fails in the end: %v, %v\n%s", running(), err, log.String())
	}
	if err := set.stopAll(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := registry.Gather(); err != nil || len(left) != 0 {
		t.Errorf("%d metrics are left, %v", len(left), err)
	}
}
