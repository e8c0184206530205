package bridge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/absence"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// startAbsence watches the endpoints that must be heard from.
func (b *Bridge) startAbsence(context.Context) error { //nolint:contextcheck // it runs until Stop
	var role atomic.Pointer[queue.Lease]
	b.absence = absence.New(absence.Options{
		Now: b.opts.Loader.Now, Log: b.opts.Log, LastHeard: b.lastHeard, Emit: b.emitAbsence,
		Active: func() bool { l := role.Load(); return l != nil && (*l).Valid() },
	})
	b.absence.Set(watched(b.state.loaded.Config))
	ctx, end := context.WithCancel(b.lifetime)
	var wg sync.WaitGroup
	wg.Go(func() { b.absence.Run(ctx) })
	wg.Go(func() { b.holdAbsence(ctx, &role) })
	b.deferStop(func(context.Context) error {
		end()
		wg.Wait()
		return nil
	})
	return b.registry.Register(b.absence)
}

// holdAbsence keeps this bridge in line for the role of the one that raises the alarm.
func (b *Bridge) holdAbsence(ctx context.Context, role *atomic.Pointer[queue.Lease]) {
	for ctx.Err() == nil {
		l, err := b.queue.Hold(ctx, "absence")
		if err != nil { // the queue is closed, or tells what is wrong with it
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		role.Store(&l)
		select {
		case <-l.Lost():
		case <-ctx.Done():
			l.Release()
		}
		role.Store(nil)
	}
}

func watched(cfg *config.Config) []absence.Endpoint {
	all := make([]absence.Endpoint, len(cfg.Endpoints))
	for i, e := range cfg.Endpoints {
		all[i] = absence.Endpoint{Name: e.Name, ExpectEvery: e.ExpectEvery, Event: e.ExpectEvent}
	}
	return all
}

// lastHeard is the last delivery that was new and fresh: one that somebody repeats must not end the absence. The queue knows
// those from before the last restart, and those that came to another bridge.
func (b *Bridge) lastHeard(endpoint string) time.Time {
	b.heard.refresh(b.lifetime, b.queue)
	at := b.heard.at(endpoint)
	for _, e := range b.handler.EndpointStatus() {
		if e.Name == endpoint {
			at = later(at, e.LastAccepted)
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// heardTimeout bounds how long the queue is asked for what it has heard; a shared one asks a database.
const heardTimeout = 2 * time.Second

// lastHeardCache is when the queue last accepted something new of each endpoint, as last asked: whoever wants to know at once may not wait
// for the queue.
type lastHeardCache struct {
	mu sync.Mutex
	by map[string]time.Time
}

// refresh asks the queue. What it can't say now stays as it was.
func (h *lastHeardCache) refresh(ctx context.Context, q queue.History) {
	ctx, cancel := context.WithTimeout(ctx, heardTimeout)
	defer cancel()
	by, err := q.LastAccepted(ctx)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.by = by
}

func (h *lastHeardCache) at(endpoint string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.by[endpoint]
}

// emitAbsence puts the alarm into the queue, where it is as durable as any signal and every output gets it.
func (b *Bridge) emitAbsence(ctx context.Context, a absence.Alarm) error {
	body, err := a.Body(hostname())
	if err != nil {
		return err
	}
	decoded, err := signal.Decode(body)
	if err != nil {
		return err
	}
	_, err = b.queue.Append(ctx, &queue.Event{
		ReceivedAt: b.opts.Loader.Now(), ReceivedBy: b.name, Endpoint: a.Endpoint, Body: body, Signal: decoded, Synthetic: true,
		DeliveryID: decoded.SignalID, // another bridge that raises the same alarm raises no second one
	}, "")
	return err
}
