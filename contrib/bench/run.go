package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// measure is one run of one subject at one number of connections.
type measure struct {
	Subject string // one of subjects
	Conns   int
	Round   int

	Accepted   float64 // a second
	P50        time.Duration
	P90        time.Duration
	P99        time.Duration
	P999       time.Duration
	CPU        float64 // microseconds an event, user and system
	Refused    int
	Failed     int
	PeakAnon   int64   // bytes
	DiskBytes  float64 // an event
	EndToEnd   float64 // events a second until the last output had the last one
	Lost       int     // acknowledged and not at an output, both outputs added up
	Duplicates int64
	ToReady    time.Duration
}

func (s *settings) subjects() []string {
	all := []string{"floor 1", "floor 2", "floor 3", bridgeSubject}
	if s.shared {
		all = append(all, sharedSubject)
	}
	return all
}

const bridgeSubject = "bridge"

// localQueue is the [queue] table of a queue in a run's folder.
func localQueue(dir string) string { return fmt.Sprintf("directory = %q", filepath.Join(dir, "queue")) }

// run makes all rounds and writes the report.
func run(ctx context.Context, s *settings) error {
	if s.dir == "" {
		s.dir = filepath.Join(".cache", "bench-work")
	}
	for _, d := range []string{s.dir, s.report} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return err
		}
	}
	var all []measure
	for round := 1; round <= s.rounds; round++ {
		for _, conns := range s.conns {
			for _, subject := range s.subjects() {
				m, err := one(ctx, s, subject, conns)
				if err != nil {
					return fmt.Errorf("%s at %d connections: %w", subject, conns, err)
				}
				m.Round = round
				all = append(all, m)
				fmt.Println(m.line())
			}
		}
	}
	extra, err := extras(ctx, s)
	if err != nil {
		return err
	}
	return writeReport(s, all, extra)
}

func one(ctx context.Context, s *settings, subject string, conns int) (measure, error) {
	dir, err := os.MkdirTemp(s.dir, "run-")
	if err != nil {
		return measure{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if dir, err = filepath.Abs(dir); err != nil {
		return measure{}, err
	}
	switch subject {
	case bridgeSubject:
		return measureBridge(ctx, s, subject, dir, conns, localQueue(dir))
	case sharedSubject:
		db, table, err := startServers(ctx)
		if err != nil {
			return measure{}, err
		}
		defer db.remove()
		return measureBridge(ctx, s, subject, dir, conns, table)
	}
	file := ""
	if subject != "floor 1" {
		file = filepath.Join(dir, "log")
	}
	p, addr, err := startFloor(ctx, file, subject == "floor 3")
	if err != nil {
		return measure{}, err
	}
	m, _, err := loadRun(ctx, s, p, addr, conns, new(atomic.Int64), newIDSet())
	m.Subject = subject
	if stopErr := p.stop(); err == nil {
		err = stopErr
	}
	return m, err
}

// warmUp is not measured: connections, page cache, the Go heap's first growth.
const warmUp = time.Second

// loadRun warms up and measures one run against p.
func loadRun(ctx context.Context, s *settings, p *process, addr string, conns int, next *atomic.Int64, acked *idSet) (measure, time.Time, error) {
	l := &load{pad: s.body, addr: addr, conns: conns, rate: s.rate, next: next, acked: acked}
	if _, err := l.run(ctx, warmUp); err != nil {
		return measure{}, time.Time{}, err
	}
	before, err := p.now()
	if err != nil {
		return measure{}, time.Time{}, err
	}
	began := time.Now()
	o, err := l.run(ctx, s.duration)
	if err != nil {
		return measure{}, time.Time{}, err
	}
	after, err := p.now()
	if err != nil {
		return measure{}, time.Time{}, err
	}
	n := float64(max(o.accepted, 1))
	return measure{
		Conns: conns, Accepted: float64(o.accepted) / o.elapsed.Seconds(),
		P50: percentile(o.lat, .5), P90: percentile(o.lat, .9), P99: percentile(o.lat, .99), P999: percentile(o.lat, .999),
		CPU:     float64((after.cpu - before.cpu).Microseconds()) / n,
		Refused: o.refused, Failed: o.failed, PeakAnon: p.peak.value(),
		DiskBytes: float64(after.wrote-before.wrote) / n,
	}, began, nil
}

func measureBridge(ctx context.Context, s *settings, subject, dir string, conns int, queue string) (measure, error) {
	receivers, err := startSinks()
	if err != nil {
		return measure{}, err
	}
	defer receivers.close()
	profile := ""
	if s.profile {
		if profile, err = filepath.Abs(filepath.Join(s.report, fmt.Sprintf("profile-%s-%d", strings.ReplaceAll(subject, ", shared queue", "-shared"), conns))); err != nil {
			return measure{}, err
		}
	}
	b, err := startBridge(ctx, s, dir, queue, receivers.syslogAddr, receivers.hecURL, profile)
	if err != nil {
		return measure{}, err
	}
	acked, next := newIDSet(), new(atomic.Int64)
	cpuBefore, err := b.now()
	if err != nil {
		return measure{}, err
	}
	m, began, err := loadRun(ctx, s, b.process, b.addr, conns, next, acked)
	if err != nil {
		_ = b.stop()
		return measure{}, err
	}
	warm := acked.count.Load() - int64(m.Accepted*s.duration.Seconds())
	drained := receivers.wait(ctx, acked, 2*time.Minute)
	cpuAfter, err := b.now()
	if err != nil {
		return measure{}, err
	}
	// The outputs' work belongs to the events, so the CPU is counted until the last one is out, warm-up included.
	m.CPU = float64((cpuAfter.cpu - cpuBefore.cpu).Microseconds()) / float64(max(acked.count.Load(), 1))
	m.EndToEnd = float64(acked.count.Load()-max(warm, 0)) / drained.Sub(began).Seconds()
	m.PeakAnon, m.Subject, m.ToReady = b.peak.value(), subject, b.toReady
	if err := b.stop(); err != nil {
		return m, err
	}
	m.Lost = acked.missing(receivers.syslog) + acked.missing(receivers.hec)
	m.Duplicates = receivers.syslog.again.Load() + receivers.hec.again.Load()
	return m, nil
}

// wait returns when both sinks have everything that was acknowledged, or after limit.
func (s *sinks) wait(ctx context.Context, acked *idSet, limit time.Duration) time.Time {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		want := acked.count.Load()
		if s.syslog.count.Load() >= want && s.hec.count.Load() >= want {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Now()
}
