package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// extras are the runs that are made once, when they are asked for. Each returns lines for the report.
func extras(ctx context.Context, s *settings) ([]string, error) {
	var lines []string
	if s.preload > 0 {
		text, err := backlog(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("backlog: %w", err)
		}
		lines = append(lines, text...)
	}
	if s.soak > 0 {
		text, err := soak(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("soak: %w", err)
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// backlog queues events with the outputs down, restarts the bridge with them up and measures start-up and drain while
// receiving goes on at a tenth of the load.
func backlog(ctx context.Context, s *settings) ([]string, error) {
	dir, err := os.MkdirTemp(s.dir, "backlog-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	acked, next := newIDSet(), new(atomic.Int64)
	nowhere := "127.0.0.1:1" // refuses at once
	b, err := startBridge(ctx, s, dir, localQueue(dir), nowhere, "http://"+nowhere, "")
	if err != nil {
		return nil, err
	}
	empty := b.toReady
	l := &load{pad: s.body, addr: b.addr, conns: 128, next: next, acked: acked}
	for acked.count.Load() < int64(s.preload) && ctx.Err() == nil {
		if _, err := l.run(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	if err := b.stop(); err != nil {
		return nil, err
	}
	receivers, err := startSinks()
	if err != nil {
		return nil, err
	}
	defer receivers.close()
	queued := acked.count.Load()
	began := time.Now() // the outputs begin before READY
	if b, err = startBridge(ctx, s, dir, localQueue(dir), receivers.syslogAddr, receivers.hecURL, ""); err != nil {
		return nil, err
	}
	slow := &load{pad: s.body, addr: b.addr, conns: 4, rate: 500, next: next, acked: acked}
	loadCtx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { _, err := slow.run(loadCtx, 10*time.Minute); ended <- err }()
	syslogAt, hecAt := receivers.drained(ctx, queued)
	cancel()
	if err := <-ended; err != nil {
		return nil, err
	}
	receivers.wait(ctx, acked, time.Minute)
	if err := b.stop(); err != nil {
		return nil, err
	}
	rate := func(at time.Time) string { return strconv.Itoa(int(float64(queued) / at.Sub(began).Seconds())) }
	return []string{
		fmt.Sprintf("Start-up to READY: %v empty, %v with %d queued.", empty.Round(time.Millisecond), b.toReady.Round(time.Millisecond), queued),
		fmt.Sprintf("Backlog of %d drained at %s/s to syslog and %s/s to HEC while receiving 500/s; lost %d, duplicates %d.", queued, rate(syslogAt), rate(hecAt),
			acked.missing(receivers.syslog)+acked.missing(receivers.hec), receivers.syslog.again.Load()+receivers.hec.again.Load()),
	}, nil
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

// soak runs at 16 connections and fits a line through RssAnon after the first quarter. The medians of the other quarters
// tell growth from noise.
func soak(ctx context.Context, s *settings) (string, error) {
	dir, err := os.MkdirTemp(s.dir, "soak-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	receivers, err := startSinks()
	if err != nil {
		return "", err
	}
	defer receivers.close()
	b, err := startBridge(ctx, s, dir, localQueue(dir), receivers.syslogAddr, receivers.hecURL, "")
	if err != nil {
		return "", err
	}
	l := &load{pad: s.body, addr: b.addr, conns: 16, rate: 10000, next: new(atomic.Int64), acked: newIDSet()}
	ended := make(chan error, 1)
	go func() { _, err := l.run(ctx, s.soak); ended <- err }()
	var xs, ys []float64
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-tick.C:
			if at := time.Since(began); at > s.soak/4 {
				xs, ys = append(xs, at.Minutes()), append(ys, float64(b.rssAnon())/(1<<20))
			}
		}
	}
	if stopErr := b.stop(); err == nil {
		err = stopErr
	}
	third := len(ys) / 3
	return fmt.Sprintf("Soak of %v at 16 connections and %d/s: RssAnon peak %.1f MiB, medians of the second to the fourth quarter %.1f, %.1f and %.1f MiB, slope %+.3f MiB a minute.",
		s.soak, l.rate, float64(b.peak.value())/(1<<20), middle(ys[:third]), middle(ys[third:2*third]), middle(ys[2*third:]), slope(xs, ys)), err
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
