package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// measure is one run of one subject.
type measure struct {
	Table   string // one of tables
	Subject string
	Case    string // what is different from the other runs of the table
	Conns   int
	Round   int

	Accepted   float64 // a second
	P50        time.Duration
	P99        time.Duration
	P999       time.Duration
	CPU        float64 // microseconds an event, user and system
	Refused    int
	Failed     int
	PeakAnon   int64   // bytes
	DiskBytes  float64 // an event, by the disk's own count; 0: not known
	EndToEnd   float64 // events a second until the last output had the last one
	Lost       int     // acknowledged and not at an output, all outputs added up
	Duplicates int64
	ToReady    time.Duration
}

// subject is what is measured beside others.
type subject string

const (
	floor1  subject = "floor 1"
	floor2  subject = "floor 2"
	floor3  subject = "floor 3"
	ours    subject = "bridge"
	shared  subject = "bridge, shared queue"
	peerOne subject = "OpenTelemetry Collector"
)

// scenario is one run: a subject, and the load that it gets.
type scenario struct {
	table   string
	subject subject
	name    string // its row in the table
	conns   int
	body    int // bytes added to the documented body

	cert   *certificate // nil: in clear
	client *tls.Config  // how a client with cert's authority connects
	fresh  bool         // a connection for each webhook

	// For bridges.
	capacity int  // dedupe.capacity
	pairs    int  // outputs, in pairs of syslog and HEC; 0 stands for one
	single   bool // the syslog output alone
	stuck    bool // beside them an output whose peer accepts and never reads
	down     bool // beside them an output whose peer refuses connections
	preload  int  // events that were accepted before a restart; what is down still needs them
}

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
	if s.peer {
		binary, err := buildPeer(ctx)
		if err != nil {
			return fmt.Errorf("building the OpenTelemetry Collector: %w", err)
		}
		s.peerBinary = binary
	}
	scenarios, err := s.scenarios()
	if err != nil {
		return err
	}
	var all []measure
	for round := 1; round <= s.rounds; round++ {
		for _, c := range scenarios {
			m, err := inFolder(s.dir, func(dir string) (measure, error) { return s.one(ctx, &c, dir) })
			if err != nil {
				return fmt.Errorf("%s, %s %s at %d connections: %w", c.table, c.subject, c.name, c.conns, err)
			}
			m.Table, m.Subject, m.Case, m.Conns, m.Round = c.table, string(c.subject), c.name, c.conns, round
			all = append(all, m)
			fmt.Println(m.line())
		}
	}
	extra, err := extras(ctx, s)
	if err != nil {
		return err
	}
	return writeReport(s, all, extra)
}

// inFolder calls do with an absolute, temporary folder below parent.
func inFolder[T any](parent string, do func(dir string) (T, error)) (result T, err error) {
	dir, err := os.MkdirTemp(parent, "run-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if dir, err = filepath.Abs(dir); err != nil {
		return result, err
	}
	return do(dir)
}

// one makes one run in dir.
func (s *settings) one(ctx context.Context, c *scenario, dir string) (measure, error) {
	switch c.subject {
	case ours:
		return s.measureBridge(ctx, c, dir, localQueue(dir))
	case shared:
		db, table, err := startServers(ctx)
		if err != nil {
			return measure{}, err
		}
		defer db.remove()
		return s.measureBridge(ctx, c, dir, table)
	}
	if c.subject == peerOne {
		return s.measurePeer(ctx, c, dir)
	}
	file := ""
	if c.subject != floor1 {
		file = filepath.Join(dir, "log")
	}
	p, addr, err := startFloor(ctx, dir, file, c.subject == floor3, c.cert)
	if err != nil {
		return measure{}, err
	}
	m, _, err := s.loadRun(ctx, c, p, addr, new(atomic.Int64), newIDSet())
	if stopErr := p.stop(); err == nil {
		err = stopErr
	}
	return m, err
}

// warmUp is not measured: connections, page cache, the Go heap's first growth.
const warmUp = time.Second

func (s *settings) load(c *scenario, addr string, next *atomic.Int64, acked *idSet) *load {
	return &load{pad: c.body, addr: addr, conns: c.conns, rate: s.rate, tls: c.client, fresh: c.fresh, plain: c.subject == peerOne, next: next, acked: acked}
}

// loadRun warms up and measures one run against p.
func (s *settings) loadRun(ctx context.Context, c *scenario, p *process, addr string, next *atomic.Int64, acked *idSet) (measure, time.Time, error) {
	l := s.load(c, addr, next, acked)
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
		Accepted: float64(o.accepted) / o.elapsed.Seconds(),
		P50:      percentile(o.lat, .5), P99: percentile(o.lat, .99), P999: percentile(o.lat, .999),
		CPU:     float64((after.cpu - before.cpu).Microseconds()) / n,
		Refused: o.refused, Failed: o.failed, PeakAnon: p.peak.value(),
		DiskBytes: float64(after.wrote-before.wrote) / n,
	}, began, nil
}

// measureBridge starts a bridge with its receivers, again after the preload, and measures it until the last output has all.
func (s *settings) measureBridge(ctx context.Context, c *scenario, dir, queue string) (measure, error) {
	r, err := startReceivers(c)
	if err != nil {
		return measure{}, err
	}
	defer r.close()
	d := &daemon{bin: s.bin, dir: dir, queue: queue, capacity: c.capacity, cert: c.cert, outputs: r.tables()}
	acked, next := newIDSet(), new(atomic.Int64)
	if c.preload > 0 {
		if err := s.fill(ctx, c, d, next, acked, r); err != nil {
			return measure{}, fmt.Errorf("preload: %w", err)
		}
	}
	if s.profile {
		if d.profile, err = filepath.Abs(filepath.Join(s.report, "profile-"+strings.NewReplacer(", ", "-", " ", "-").Replace(fmt.Sprint(c.subject, c.name, "-", c.conns)))); err != nil {
			return measure{}, err
		}
	}
	b, err := d.start(ctx)
	if err != nil {
		return measure{}, err
	}
	m, err := s.loadAndDrain(ctx, c, b.process, b.addr, r, next, acked)
	m.ToReady = b.toReady
	if stopErr := b.stop(); err == nil {
		err = stopErr
	}
	return m, err
}

// loadAndDrain measures one run against p until the last receiver has all that was acknowledged.
func (s *settings) loadAndDrain(ctx context.Context, c *scenario, p *process, addr string, r *receivers, next *atomic.Int64, acked *idSet) (measure, error) {
	before := acked.count.Load()
	cpuBefore, err := p.now()
	if err != nil {
		return measure{}, err
	}
	m, began, err := s.loadRun(ctx, c, p, addr, next, acked)
	if err != nil {
		return measure{}, err
	}
	events := acked.count.Load() - before
	warm := events - int64(m.Accepted*s.duration.Seconds())
	drained := r.wait(ctx, acked, 2*time.Minute)
	cpuAfter, err := p.now()
	if err != nil {
		return measure{}, err
	}
	// The outputs' work belongs to the events, so the CPU is counted until the last one is out, warm-up included.
	m.CPU = float64((cpuAfter.cpu - cpuBefore.cpu).Microseconds()) / float64(max(events, 1))
	m.EndToEnd = float64(events-max(warm, 0)) / drained.Sub(began).Seconds()
	m.PeakAnon = p.peak.value()
	m.Lost, m.Duplicates = r.judge(acked)
	return m, nil
}
