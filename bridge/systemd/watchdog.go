package systemd

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Check is one sign of life of the service, e.g. "committer".
type Check struct {
	Name string
	// Run returns nil when the part made progress, or had none to make. It may block for as long as the part is
	// stuck, and must return when ctx ends.
	Run func(ctx context.Context) error
}

// WatchdogInterval returns WatchdogSec= as the manager handed it over, or 0 when nobody watches this process.
func WatchdogInterval() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }

// Watchdog pings the service manager for as long as every check passes, so that a service that is stuck is killed and
// restarted although its process still runs. The worst case is two intervals: a check that passed just before the
// hang vouches for one, and the manager waits another.
type Watchdog struct {
	notify   *Notifier
	interval time.Duration
	log      *slog.Logger

	silent bool // no ping was sent at the last turn; Run's alone

	mu     sync.Mutex
	checks map[string]*checkState
}

type checkState struct {
	check   Check
	running bool
	passed  time.Time // when it last did, or when it was added
	err     error     // of the last run that failed
}

// NewWatchdog returns a Watchdog for an interval above zero (WatchdogInterval). It pings nothing before Run.
func NewWatchdog(n *Notifier, interval time.Duration, log *slog.Logger) *Watchdog {
	return &Watchdog{notify: n, interval: interval, log: log, checks: map[string]*checkState{}}
}

// SetChecks replaces the checks, at start and after each reload. A check whose name was there already keeps the time
// at which it last passed: a reload vouches for nobody.
func (w *Watchdog) SetChecks(checks []Check) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make(map[string]*checkState, len(checks))
	for _, c := range checks {
		next[c.Name] = &checkState{check: c, passed: time.Now()}
		if old := w.checks[c.Name]; old != nil {
			next[c.Name].passed = old.passed
		}
	}
	w.checks = next
}

// Run runs every check four times an interval and pings twice an interval, until ctx ends and every check has
// returned.
func (w *Watchdog) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(w.interval / 4)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		w.startChecks(ctx, &running)
		if turn%2 == 0 {
			w.ping()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// startChecks starts every check that isn't running any more.
func (w *Watchdog) startChecks(ctx context.Context, running *sync.WaitGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.checks {
		if s.running {
			continue
		}
		s.running = true
		running.Go(func() { w.run(ctx, s) })
	}
}

func (w *Watchdog) run(ctx context.Context, s *checkState) {
	ctx, cancel := context.WithTimeout(ctx, w.interval)
	defer cancel()
	err := s.check.Run(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.running, s.err = false, err
	if err == nil {
		s.passed = time.Now()
	}
}

// Stalled returns the names of the checks that did not pass within the last interval, and what they said.
func (w *Watchdog) Stalled() map[string]error {
	w.mu.Lock()
	defer w.mu.Unlock()
	stalled := map[string]error{}
	for name, s := range w.checks {
		if time.Since(s.passed) >= w.interval {
			stalled[name] = s.err
		}
	}
	return stalled
}

func (w *Watchdog) ping() {
	stalled := w.Stalled()
	if len(stalled) > 0 {
		w.complain(stalled)
		return
	}
	w.silent = false
	if err := w.notify.watchdog(); err != nil {
		w.log.Warn("the watchdog ping was not sent", slog.Any("error", err))
	}
}

// complain logs once why the pings stop, because the process is likely to be killed for it.
func (w *Watchdog) complain(stalled map[string]error) {
	if w.silent {
		return
	}
	w.silent = true
	for name, err := range stalled {
		w.log.Error("no progress: systemd's watchdog is no longer pinged", slog.String("event", "watchdog_stalled"),
			slog.String("check", name), slog.Duration("interval", w.interval), slog.Any("error", err))
	}
	_ = w.notify.Status("stuck: no progress for one watchdog interval, see the log") // the log line is what counts
}
