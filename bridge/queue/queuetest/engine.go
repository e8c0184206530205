package queuetest

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Engine is one engine on trial.
type Engine struct {
	Name string
	// New makes an empty world of its own, which ends with t.
	New func(t testing.TB) World
	// Shared says that several bridges can have one world open at a time. An output then ends only some time after the last
	// bridge's declaration, or by Forget.
	Shared bool
	// OwnClock says that the engine goes by another clock than Options.Now. What needs a clock that a test can move is skipped.
	OwnClock bool
	// ShortChecks is how many checks of the model the short form does, always the same ones; 0: 100, new ones each time.
	ShortChecks int
}

// World is one place where an engine keeps its data, over any number of opens.
type World interface {
	// Open opens the queue, with whatever was made durable before.
	Open(ctx context.Context, o Options) (queue.Queue, error)
	// Kill ends an open queue, or one whose Close has failed, as SIGKILL would: nothing of it is written after Kill returns.
	// What it had acknowledged must be there at the next Open.
	Kill(q queue.Queue)
}

// Options are what the suite asks of an engine. None is zero but Limits.Keep.
type Options struct {
	Bridge           string        // the bridge's name, as in Status.Outputs[].Owner
	Window           time.Duration // how long a delivery and an outcome count
	Capacity         int           // deliveries that are remembered
	Limits           queue.Limits
	ProgressInterval time.Duration // how long progress may wait for an append that it rides along with
	Now              func() time.Time
	Log              *slog.Logger
}

// Failer is a World whose writes can be made to fail. What is written meanwhile is lost.
type Failer interface{ FailWrites(on bool) }

// Staller is a World whose writes can be made to wait, for as long as on was the last that was asked for.
type Staller interface{ StallWrites(on bool) }

// Crasher is a World in which an engine can die between any two steps.
type Crasher interface {
	// CrashAt makes the engine die at its nth write, sync, rename or the like from now on: that step and whatever follows
	// fails, and nothing of it is written, until Kill or an Open that has failed for it. 0: at none.
	CrashAt(n int)
	// Crashed reports whether the crash that the last CrashAt asked for has happened.
	Crashed() bool
}

// PatienceVariable names the environment variable that shortens Patience, for tests that expect the suite to fail.
const PatienceVariable = "QUEUETEST_PATIENCE"

// Patience is how long the suite waits for what must happen. Nothing waits so long unless it fails.
func Patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(PatienceVariable)); err == nil {
		return d
	}
	return 30 * time.Second
}

// test is one test of the suite.
type test struct {
	name  string
	run   func(*trial)
	needs []need
}

// need returns what an engine lacks for a test; "" when it lacks nothing.
type need func(Engine, World) string

// Run puts an engine through the suite.
func Run(t *testing.T, e Engine) {
	var tests []test
	for _, list := range [][]test{appendTests, memoryTests, readTests, cursorTests, outcomeTests, deadLetterTests, roomTests,
		outputTests, ownershipTests, historyTests, faultTests, crashTests, sharedTests} {
		tests = append(tests, list...)
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			world := e.New(t)
			for _, n := range c.needs {
				if lack := n(e, world); lack != "" {
					t.Skip("not tried: " + lack)
				}
			}
			c.run(newTrial(t, e, world))
		})
	}
}

func failing(_ Engine, w World) string {
	return unless(is[Failer](w), "the world is no Failer")
}

func stalling(_ Engine, w World) string {
	return unless(is[Staller](w), "the world is no Staller")
}

func crashing(_ Engine, w World) string {
	return unless(is[Crasher](w), "the world is no Crasher")
}

func oneBridge(e Engine, _ World) string { return unless(!e.Shared, "the world is shared") }

func bridges(e Engine, _ World) string { return unless(e.Shared, "the world is not shared") }

func clocked(e Engine, _ World) string {
	return unless(!e.OwnClock, "the engine has a clock of its own")
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

func unless(ok bool, lack string) string {
	if ok {
		return ""
	}
	return lack
}
