package memory

import (
	"context"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
)

// world is a World as the suite wants it.
type world struct{ *World }

func (w world) Open(ctx context.Context, o queuetest.Options) (queue.Queue, error) {
	q, err := w.World.Open(ctx, Options{
		Bridge: o.Bridge, Window: o.Window, Capacity: o.Capacity, Limits: o.Limits, ProgressInterval: o.ProgressInterval, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return q, nil
}

func (w world) Kill(q queue.Queue) { w.World.Kill(q.(*Queue)) }

func engine(wrong Mutation) queuetest.Engine {
	return queuetest.Engine{Name: "memory", New: func(testing.TB) queuetest.World {
		w := New()
		w.wrong = wrong
		return world{w}
	}}
}

func TestSuite(t *testing.T) { queuetest.Run(t, engine("")) }

func TestSharedSuite(t *testing.T) {
	queuetest.Run(t, queuetest.Engine{Name: "shared memory", Shared: true, New: func(testing.TB) queuetest.World { return world{NewShared()} }})
}

func TestModel(t *testing.T) { queuetest.RunModel(t, engine("")) }

func TestSharedModel(t *testing.T) {
	queuetest.RunModel(t, queuetest.Engine{Name: "shared memory", Shared: true, New: func(testing.TB) queuetest.World { return world{NewShared()} }})
}
