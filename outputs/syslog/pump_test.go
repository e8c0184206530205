package syslog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// pump sends records 1 to n through an output as the bridge's worker does: many batches in flight, and what failed
// again, in order, after a pause, one batch at a time until one gets through.
type pump struct {
	out   *Output
	n     int
	pace  int // records/s at most; 0: as many as go
	fates chan pumped

	mu        sync.Mutex
	confirmed int
	refused   int
	failures  []string
}

type pumped struct {
	batch int
	err   error
}

func newPump(o *Output, n int) *pump { return &pump{out: o, n: n, fates: make(chan pumped, n+1)} }

// start runs the pump until everything is confirmed; the channel is closed then.
func (p *pump) start(ctx context.Context) <-chan struct{} {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		p.run(ctx)
	}()
	return finished
}

func (p *pump) run(ctx context.Context) {
	b := p.out.Batching()
	size := min(b.MaxRecords, 128)
	batches := (p.n + size - 1) / size
	waiting := map[int]bool{} // failed, to be sent again
	next, inFlight, open := 0, 0, batches
	probing := false // after a failure, until something gets through
	settle := func(f pumped) {
		inFlight--
		var partial *outputs.PartialError
		if f.err == nil || errors.As(f.err, &partial) && partial.Rest == nil {
			open--
			probing = false
			p.count(f.batch, size, partial)
			return
		}
		waiting[f.batch], probing = true, true
		p.note(f.err)
	}
	for open > 0 && ctx.Err() == nil {
		nothingToSend := next == batches && len(waiting) == 0
		if inFlight > 0 && (probing || nothingToSend || (inFlight+1)*size > b.MaxInFlight) {
			settle(<-p.fates)
			continue
		}
		select {
		case f := <-p.fates:
			settle(f)
			continue
		default:
		}
		if nothingToSend {
			continue
		}
		if probing {
			time.Sleep(20 * time.Millisecond) // the worker's back-off
		}
		i := next
		for f := range waiting {
			i = min(i, f)
		}
		if waiting[i] {
			delete(waiting, i)
		} else {
			next++
		}
		inFlight++
		if p.pace > 0 {
			time.Sleep(time.Duration(size) * time.Second / time.Duration(p.pace))
		}
		p.out.Send(ctx, records(1+i*size, min(size, p.n-i*size)), func(err error) { p.fates <- pumped{i, err} })
	}
}

func (p *pump) count(batch, size int, partial *outputs.PartialError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.confirmed += min(size, p.n-batch*size)
	if partial != nil {
		p.refused += len(partial.Rejected)
	}
}

func (p *pump) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, err.Error())
}

func (p *pump) progress() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.confirmed
}

// waitProgress waits until so many records are confirmed.
func (p *pump) waitProgress(t testing.TB, n int) {
	t.Helper()
	for before := p.progress(); before < n; before = p.progress() {
		eventually(t, "confirmations", func() bool { return p.progress() > before })
	}
}
