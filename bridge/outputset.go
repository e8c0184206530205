package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/forward"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// outputSet is the set of workers, one an output. Its methods are called by one goroutine, but for list.
type outputSet struct {
	queue        queue.Outputs
	metrics      prometheus.Registerer
	log          *slog.Logger
	now          func() time.Time
	tail         *tail.Hub
	drainTimeout time.Duration // of workers that are replaced or removed

	mu      sync.Mutex
	running map[string]*runningOutput
}

// runningOutput is one running output.
type runningOutput struct {
	worker *forward.Worker
	config config.Output
}

// apply makes the set what wanted says: workers whose table did not change go on undisturbed, the others are
// drained within f.drainTimeout and replaced, removed ones drained and forgotten. open makes an output for each of wanted.
// Deliveries go on in the meantime; lifetime bounds the new workers. When the queue can't take the new outputs nothing
// is changed.
func (f *outputSet) apply(ctx, lifetime context.Context, wanted []config.Output, open map[string]forward.OpenFunc) error {
	// The new ones first, beside the old ones: a replaced output must hold its events back all the time.
	if _, err := f.queue.Declare(ctx, specs(append(f.leaving(wanted), wanted...))); err != nil {
		return fmt.Errorf("telling the queue about the outputs: %w", err)
	}
	drain, cancel := context.WithTimeout(ctx, f.drainTimeout)
	defer cancel()
	if err := f.stop(drain, f.stale(wanted)); err != nil { // it is down; its cursor stands behind its last delivery
		f.log.Warn("an output did not close in good order", "error", err)
	}
	for _, o := range wanted {
		if !f.has(o.Name) {
			f.start(lifetime, o, open[o.Name])
		}
	}
	// The queue says how many events a removed output had left. The new outputs are in force whatever comes of it.
	if _, err := f.queue.Declare(ctx, specs(wanted)); err != nil {
		f.log.Warn("the queue was not told which outputs were removed; it keeps their events until the next reload or start", "error", err)
	}
	return nil
}

// leaving returns the running outputs that wanted has no more.
func (f *outputSet) leaving(wanted []config.Output) []config.Output {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []config.Output
	for name, s := range f.running {
		if !slices.ContainsFunc(wanted, func(o config.Output) bool { return o.Name == name }) {
			all = append(all, s.config)
		}
	}
	return all
}

func specs(wanted []config.Output) []queue.OutputSpec {
	all := make([]queue.OutputSpec, len(wanted))
	for i, o := range wanted {
		all[i] = queue.OutputSpec{Name: o.Name, DropOldest: o.DropOldest, StartAtOldest: o.StartAt == "oldest"}
	}
	return all
}

// stale returns the running outputs that wanted has no more or has changed.
func (f *outputSet) stale(wanted []config.Output) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name, s := range f.running {
		same := func(o config.Output) bool { return o.Name == name && o.Fingerprint == s.config.Fingerprint }
		if !slices.ContainsFunc(wanted, same) {
			names = append(names, name)
		}
	}
	return names
}

func (f *outputSet) has(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[name] != nil
}

// start starts a worker, which claims its output by itself.
func (f *outputSet) start(lifetime context.Context, o config.Output, open forward.OpenFunc) {
	w := forward.New(forward.Options{
		Name: o.Name, Kind: o.Type, Queue: f.queue, Open: open,
		Match: forward.Match(o.Match), Now: f.now,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), //nolint:gosec // jitter
		Log:  f.log.With("output", o.Name),
		Tail: f.tail,
	})
	f.metrics.MustRegister(w) // stop has taken out what a worker of this name had
	w.Start(lifetime)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[o.Name] = &runningOutput{worker: w, config: o}
}

// stop drains the named outputs at the same time.
func (f *outputSet) stop(ctx context.Context, names []string) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		f.mu.Lock()
		s := f.running[name]
		f.mu.Unlock()
		wg.Go(func() {
			if err := s.worker.Stop(ctx); err != nil {
				errs[i] = fmt.Errorf("closing output %s: %w", name, err)
			}
		})
	}
	wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		f.metrics.Unregister(f.running[name].worker)
		delete(f.running, name)
	}
	return errors.Join(errs...)
}

// stopAll drains every output.
func (f *outputSet) stopAll(ctx context.Context) error {
	return f.stop(ctx, f.names())
}

func (f *outputSet) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.running))
}

// list returns the workers' states in the order of their names.
func (f *outputSet) list() []forward.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]forward.Status, 0, len(f.running))
	for _, name := range slices.Sorted(maps.Keys(f.running)) {
		all = append(all, f.running[name].worker.Status())
	}
	return all
}

// inFlight counts the records whose fate is open.
func (f *outputSet) inFlight() int {
	n := 0
	for _, s := range f.list() {
		n += s.InFlight
	}
	return n
}

// stuck names the workers whose loops have not gone round lately.
func (f *outputSet) stuck() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name, s := range f.running {
		if !s.worker.Alive(f.now()) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
