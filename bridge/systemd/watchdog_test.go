package systemd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
)

// countingNotifier counts the pings and keeps the last STATUS.
func countingNotifier(pings *atomic.Int64) *Notifier {
	return &Notifier{send: func(state string) error {
		if state == "WATCHDOG=1" {
			pings.Add(1)
		}
		return nil
	}}
}

func passing(name string) Check {
	return Check{Name: name, Run: func(context.Context) error { return nil }}
}

// runWatchdog runs w until the test ends, however it ends: nothing may be left in its bubble.
func runWatchdog(t *testing.T, w *Watchdog) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatchdog(countingNotifier(new(atomic.Int64)), time.Minute, slog.New(slog.DiscardHandler))
		w.SetChecks([]Check{{Name: "hangs", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}})
		runWatchdog(t, w)
		time.Sleep(time.Second)
		bubble.Fail(t)
	})
}

func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	bubble.FailsAlone(t, "TestFailing", "TestSetChecksKeepsAStallAcrossAReload")
}

// TestWatchdogStops: every way in which one check of several can stop to pass must stop the pings within two turns
// of the interval, and the log says which one it was.
func TestWatchdogStops(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Second
	for name, stuck := range map[string]func(context.Context) error{
		"fails":          func(context.Context) error { return errors.New("listener: connection refused") },
		"hangs":          func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"ignores timing": func(context.Context) error { time.Sleep(10 * interval); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var pings atomic.Int64
				var broken atomic.Bool
				var logged bytes.Buffer
				w := NewWatchdog(countingNotifier(&pings), interval, slog.New(slog.NewTextHandler(&logged, nil)))
				w.SetChecks([]Check{passing("worker siem"), {Name: "committer", Run: func(ctx context.Context) error {
					if broken.Load() {
						return stuck(ctx)
					}
					return nil
				}}})
				runWatchdog(t, w)

				time.Sleep(10*interval + time.Second)
				if got := pings.Load(); got != 21 {
					t.Errorf("%d pings in 10 intervals, want 21: one at once and two an interval", got)
				}
				broken.Store(true)
				time.Sleep(interval + interval/2)
				stopped := pings.Load()
				time.Sleep(3 * interval)
				if got := pings.Load(); got != stopped {
					t.Errorf("%d pings more although committer is stuck", got-stopped)
				}
				synctest.Wait()
				if n := strings.Count(logged.String(), "check=committer"); n != 1 {
					t.Errorf("logged %d times, want once:\n%s", n, logged.String())
				}
				broken.Store(false)
				time.Sleep(12 * interval)
				if pings.Load() == stopped {
					t.Error("no ping after the check passed again")
				}
			})
		})
	}
}

func TestSetChecksKeepsAStallAcrossAReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWatchdog(countingNotifier(new(atomic.Int64)), 10*time.Second, slog.New(slog.DiscardHandler))
		w.SetChecks([]Check{passing("a"), passing("b")})
		time.Sleep(11 * time.Second)
		w.SetChecks([]Check{passing("b"), passing("c")})
		stalled := w.Stalled()
		if _, ok := stalled["b"]; !ok || len(stalled) != 1 {
			t.Errorf("stalled %v, want b alone: a is gone and c is new", stalled)
		}
	})
}

func TestWatchdogInterval(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "1")
	if d, err := WatchdogInterval(); d != 0 || err != nil {
		t.Errorf("%v, %v although another process is watched", d, err)
	}
	t.Setenv("WATCHDOG_PID", "")
	if d, err := WatchdogInterval(); d != 30*time.Second || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}
