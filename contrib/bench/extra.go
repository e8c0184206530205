package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// extras are the runs that are made once, when they are asked for. Each returns lines for the report.
func extras(ctx context.Context, s *settings) ([]string, error) {
	var lines []string
	if s.backlog > 0 {
		text, err := s.drain(ctx)
		if err != nil {
			return nil, fmt.Errorf("backlog: %w", err)
		}
		lines = append(lines, text)
	}
	if s.soak > 0 {
		text, err := s.soakBridge(ctx)
		if err != nil {
			return nil, fmt.Errorf("soak: %w", err)
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// drain queues events while nobody reads, restarts the bridge with readers and measures how fast they get them while
// receiving goes on.
func (s *settings) drain(ctx context.Context) (string, error) {
	return inFolder(s.dir, func(dir string) (string, error) {
		c := &scenario{conns: 4, body: s.body, preload: s.backlog}
		d := &daemon{bin: s.bin, dir: dir, queue: localQueue(dir), capacity: s.capacity}
		acked, next := newIDSet(), new(atomic.Int64)
		// The outputs have their names, and addresses that refuse.
		nobody := &receivers{pairs: []*sinks{{syslog: newIDSet(), hec: newIDSet(), syslogAddr: "127.0.0.1:1", hecURL: "http://127.0.0.1:1"}}}
		d.outputs = nobody.tables()
		if err := s.fill(ctx, c, d, next, acked, nil); err != nil {
			return "", err
		}
		r, err := startReceivers(c)
		if err != nil {
			return "", err
		}
		defer r.close()
		d.outputs = r.tables()
		queued := acked.count.Load()
		began := time.Now() // the outputs begin before READY
		b, err := d.start(ctx)
		if err != nil {
			return "", err
		}
		slow := &load{pad: s.body, addr: b.addr, conns: 4, rate: 500, next: next, acked: acked}
		loadCtx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { _, err := slow.run(loadCtx, 10*time.Minute); ended <- err }()
		syslogAt, hecAt := r.pairs[0].drained(ctx, queued)
		cancel()
		if err := <-ended; err != nil {
			_ = b.stop()
			return "", err
		}
		r.wait(ctx, acked, time.Minute)
		if err := b.stop(); err != nil {
			return "", err
		}
		lost, duplicates := r.judge(acked)
		rate := func(at time.Time) string { return strconv.Itoa(int(float64(queued) / at.Sub(began).Seconds())) }
		return fmt.Sprintf("Backlog of %d, READY after %v, drained at %s/s to syslog and %s/s to HEC while receiving 500/s; lost %d, duplicates %d.",
			queued, b.toReady.Round(time.Millisecond), rate(syslogAt), rate(hecAt), lost, duplicates), nil
	})
}

// fill has a bridge accept a scenario's preload, and stops it when r has all of it; r nil: at once.
func (s *settings) fill(ctx context.Context, c *scenario, d *daemon, next *atomic.Int64, acked *idSet, r *receivers) error {
	b, err := d.start(ctx)
	if err != nil {
		return err
	}
	l := &load{pad: c.body, addr: b.addr, conns: 128, tls: c.client, next: next, acked: acked}
	for acked.count.Load() < int64(c.preload) && ctx.Err() == nil && err == nil {
		_, err = l.run(ctx, time.Second)
	}
	if r != nil && err == nil {
		r.wait(ctx, acked, 2*time.Minute)
	}
	if stopErr := b.stop(); err == nil {
		err = stopErr
	}
	return err
}

// drained waits until each sink has n events and returns when each had.
func (s *sinks) drained(ctx context.Context, n int64) (syslogAt, hecAt time.Time) {
	for deadline := time.Now().Add(10 * time.Minute); ctx.Err() == nil && time.Now().Before(deadline); {
		now := time.Now()
		if syslogAt.IsZero() && s.syslog.count.Load() >= n {
			syslogAt = now
		}
		if hecAt.IsZero() && s.hec.count.Load() >= n {
			hecAt = now
		}
		if !syslogAt.IsZero() && !hecAt.IsZero() {
			return syslogAt, hecAt
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Now(), time.Now()
}

// soakBridge runs at 16 connections and fits lines through the memory and the size of the queue's files after the first
// quarter. The medians of the other quarters tell growth from noise.
func (s *settings) soakBridge(ctx context.Context) (string, error) {
	return inFolder(s.dir, func(dir string) (string, error) {
		r, err := startReceivers(&scenario{})
		if err != nil {
			return "", err
		}
		defer r.close()
		d := &daemon{bin: s.bin, dir: dir, queue: localQueue(dir), capacity: s.capacity, outputs: r.tables()}
		b, err := d.start(ctx)
		if err != nil {
			return "", err
		}
		l := &load{pad: s.body, addr: b.addr, conns: 16, rate: 5000, next: new(atomic.Int64), acked: newIDSet()}
		ended := make(chan error, 1)
		go func() { _, err := l.run(ctx, s.soak); ended <- err }()
		var minutes, memory, files []float64
		began := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for running := true; running; {
			select {
			case err = <-ended:
				running = false
			case <-tick.C:
				if at := time.Since(began); at > s.soak/4 {
					minutes = append(minutes, at.Minutes())
					memory = append(memory, float64(b.rssAnon())/(1<<20))
					files = append(files, float64(sizeOf(filepath.Join(dir, "queue")))/(1<<20))
				}
			}
		}
		if stopErr := b.stop(); err == nil {
			err = stopErr
		}
		third := len(memory) / 3
		quarters := func(v []float64) string {
			return fmt.Sprintf("medians of the second to the fourth quarter %.1f, %.1f and %.1f MiB, slope %+.3f MiB a minute",
				middle(v[:third]), middle(v[third:2*third]), middle(v[2*third:]), slope(minutes, v))
		}
		return fmt.Sprintf("Soak of %v at 16 connections and %d/s, %d events: RssAnon peak %.1f MiB, %s; the queue's files: %s.",
			s.soak, l.rate, l.acked.count.Load(), float64(b.peak.value())/(1<<20), quarters(memory), quarters(files)), err
	})
}

// sizeOf adds up the files below a folder; one that vanishes meanwhile counts nothing.
func sizeOf(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// slope is the least-squares line's.
func slope(xs, ys []float64) float64 {
	var sx, sy, sxx, sxy float64
	n := float64(len(xs))
	for i := range xs {
		sx, sy, sxx, sxy = sx+xs[i], sy+ys[i], sxx+xs[i]*xs[i], sxy+xs[i]*ys[i]
	}
	if d := n*sxx - sx*sx; d != 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}
