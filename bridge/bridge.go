package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/linuxguard/linuxguard-bridge/bridge/absence"
	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
	"github.com/linuxguard/linuxguard-bridge/bridge/systemd"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
	"github.com/linuxguard/linuxguard-bridge/bridge/webhook"
)

// Options are what a Bridge needs beside its configuration.
type Options struct {
	Loader   *Loader
	Path     string // the configuration file, read again by Reload
	Log      *slog.Logger
	Level    *slog.LevelVar // changed by Reload; may be nil
	Notifier *systemd.Notifier
	Sockets  []systemd.NamedListener // from socket activation
	// DrainTimeout bounds what a replaced or removed output gets to finish on a reload, and each output on a stop.
	// Default 20 s.
	DrainTimeout time.Duration
}

// Bridge is one running bridge. Start makes it, Stop ends it.
type Bridge struct {
	opts     Options
	started  time.Time
	registry *prometheus.Registry
	queue    queue.Queue
	name     string // of this bridge, beside others on one queue
	outputs  *outputSet
	handler  *webhook.Handler
	server   *webhook.Server
	admin    *admin.Server
	absence  *absence.Monitor
	heard    lastHeardCache
	tail     tail.Hub

	lifetime context.Context // ends after the drain of Stop; bounds the workers
	end      context.CancelFunc
	running  sync.WaitGroup // the goroutines that Start began
	cleanUp  []func(context.Context) error

	standing []string // warnings that no reload changes

	reloads chan chan error // requests that Run serves
	ran     chan struct{}   // closed when Run is over

	reloading sync.Mutex // one reload at a time, none during Stop

	mu     sync.Mutex // guards what Reload changes and Report shows
	state  state
	closed bool
}

// state is which configuration is in force.
type state struct {
	loaded   *Loaded
	warnings []string
	loadedAt time.Time

	lastReload    time.Time
	reloadError   string
	restartNeeded []string
	stopping      bool
}

// Start opens the queue, starts the workers, the receiver and the admin listener, in this order; when it returns
// without an error every listener accepts. loaded's outputs are the bridge's from now on. ctx bounds the start alone.
func Start(ctx context.Context, opts Options, loaded *Loaded, report *config.Report) (*Bridge, error) {
	if opts.DrainTimeout == 0 {
		opts.DrainTimeout = 20 * time.Second
	}
	b := &Bridge{opts: opts, started: opts.Loader.Now(), registry: prometheus.NewRegistry(), reloads: make(chan chan error), ran: make(chan struct{})}
	b.lifetime, b.end = context.WithCancel(context.WithoutCancel(ctx))
	b.name = bridgeName(loaded.Config)
	b.standing = b.dropUnusedSockets(loaded.Config)
	b.state = state{loaded: loaded, warnings: b.warnings(report), loadedAt: b.started}
	for _, step := range []func(context.Context) error{
		b.startMetrics, b.startQueue, b.startOutputs, b.startReceiver, b.startAbsence, b.startAdmin,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, b.unwind(ctx))
		}
	}
	return b, nil
}

// deferStop notes what Stop has to undo; the last one first.
func (b *Bridge) deferStop(f func(context.Context) error) { b.cleanUp = append(b.cleanUp, f) }

// unwind undoes every step that was made. Each goes on when another fails.
func (b *Bridge) unwind(ctx context.Context) error {
	var errs []error
	for _, undo := range slices.Backward(b.cleanUp) {
		errs = append(errs, undo(ctx))
	}
	b.cleanUp = nil
	b.end()
	b.running.Wait()
	return errors.Join(errs...)
}

// Stop ends the bridge: the receiver first (requests under way are finished and answered truthfully), then the workers
// (what is in flight may finish until ctx ends, and no longer than DrainTimeout), then the queue with exact cursors.
// A second call does nothing.
func (b *Bridge) Stop(ctx context.Context) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	b.mu.Lock()
	again := b.closed
	b.closed, b.state.stopping = true, true
	b.mu.Unlock()
	if again {
		return nil
	}
	return b.unwind(ctx)
}

func (b *Bridge) startMetrics(context.Context) error {
	return errors.Join(
		b.registry.Register(collectors.NewGoCollector()),
		b.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

// startQueue opens the queue. Here, and only here, it is decided which engine that is.
func (b *Bridge) startQueue(ctx context.Context) error {
	cfg := b.state.loaded.Config
	q, err := b.openQueue(ctx, cfg)
	if err != nil {
		return err
	}
	b.queue = q
	b.deferStop(func(ctx context.Context) error {
		err := q.Close(ctx)
		if err != nil && cfg.Queue.Shared != nil { // no failure of this process: another one goes on
			b.opts.Log.Warn("the shared queue could not be left in good order; another bridge takes over", "error", err)
			return nil
		}
		return err
	})
	b.heard.refresh(ctx, q)
	return nil
}

func (b *Bridge) openQueue(ctx context.Context, cfg *config.Config) (queue.Queue, error) {
	if cfg.Queue.Shared != nil {
		return b.openShared(ctx, cfg)
	}
	q, err := local.Open(ctx, local.Options{
		Directory: cfg.Queue.Directory, Bridge: hostname(), Limits: queueLimits(cfg),
		Capacity: cfg.Dedupe.Capacity, Window: cfg.Dedupe.Window, FS: queueFS(), Now: b.opts.Loader.Now, Log: b.opts.Log,
		Metrics: b.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the queue in %s: %w", cfg.Queue.Directory, err)
	}
	return q, nil
}

// queueLimits are the queue's allowances by the configuration.
func queueLimits(cfg *config.Config) queue.Limits {
	return queue.Limits{
		MaxBytes: cfg.Queue.MaxBytes, QuarantineMaxBytes: cfg.Queue.QuarantineMaxBytes, Keep: cfg.Queue.Keep,
		MaxEventBytes: cfg.Server.MaxBodyBytes + config.FrameBytes,
	}
}

func (b *Bridge) startOutputs(ctx context.Context) error {
	b.outputs = &outputSet{queue: b.queue, metrics: b.registry, log: b.opts.Log, now: b.opts.Loader.Now, tail: &b.tail,
		drainTimeout: b.opts.DrainTimeout, running: map[string]*runningOutput{}}
	b.deferStop(b.drain)
	loaded := b.state.loaded
	return b.outputs.apply(ctx, b.lifetime, loaded.Config.Outputs, loaded.Outputs)
}

// drain lets the outputs finish what is in flight, and asks the service manager for patience meanwhile.
func (b *Bridge) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.DrainTimeout)
	defer cancel()
	patience, enough := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.opts.Notifier.Extend(patience, 10*time.Second, func() bool { return b.outputs.inFlight() > 0 })
	})
	err := b.outputs.stopAll(ctx)
	enough()
	wg.Wait()
	if err != nil { // no failure of this process: the cursors stand behind what is known to be delivered
		b.opts.Log.Warn("an output did not close in good order", "error", err)
	}
	return nil
}

// snapshot returns the state as it is now.
func (b *Bridge) snapshot() state {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}
