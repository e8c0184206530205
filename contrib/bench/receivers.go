package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// receivers are those of one run: pairs of sinks that read everything, and the peers that misbehave on purpose.
type receivers struct {
	pairs  []*sinks
	single bool         // the syslog sink alone
	stuck  net.Listener // accepts and never reads; nil: none
	down   bool         // an output at an address that refuses
}

func startReceivers(c *scenario) (*receivers, error) {
	r := &receivers{single: c.single, down: c.down}
	for range max(c.pairs, 1) {
		one, err := startSinks()
		if err != nil {
			r.close()
			return nil, err
		}
		r.pairs = append(r.pairs, one)
	}
	if c.stuck {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.close()
			return nil, err
		}
		r.stuck = l
		go holdAll(l)
	}
	return r, nil
}

// holdAll accepts connections and reads nothing, until l is closed.
func holdAll(l net.Listener) {
	var held []io.Closer
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		held = append(held, conn)
	}
	for _, c := range held {
		_ = c.Close()
	}
}

func (r *receivers) close() {
	for _, one := range r.pairs {
		one.close()
	}
	if r.stuck != nil {
		_ = r.stuck.Close()
	}
}

// tables are the outputs' in the configuration.
func (r *receivers) tables() string {
	var b strings.Builder
	syslog := func(name, address string) {
		fmt.Fprintf(&b, "[output.%s]\ntype = \"syslog\"\naddresses = [\"tcp://%s\"]\n", name, address)
	}
	for i, one := range r.pairs {
		syslog(fmt.Sprintf("siem-%d", i+1), one.syslogAddr)
		if !r.single {
			fmt.Fprintf(&b, "[output.splunk-%d]\ntype = \"splunk_hec\"\nurls = [%q]\ntoken = \"env:BENCH_TOKEN\"\n", i+1, one.hecURL)
		}
	}
	if r.stuck != nil {
		syslog("stuck", r.stuck.Addr().String())
	}
	if r.down {
		syslog("down", "127.0.0.1:1")
	}
	return b.String()
}

// sets are what each reading sink has.
func (r *receivers) sets() (all []*idSet) {
	for _, one := range r.pairs {
		all = append(all, one.syslog)
		if !r.single {
			all = append(all, one.hec)
		}
	}
	return all
}

// wait returns when all sinks have everything that was acknowledged, or after limit.
func (r *receivers) wait(ctx context.Context, acked *idSet, limit time.Duration) time.Time {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) && ctx.Err() == nil && !r.have(acked.count.Load()) {
		time.Sleep(5 * time.Millisecond)
	}
	return time.Now()
}

func (r *receivers) have(want int64) bool {
	for _, set := range r.sets() {
		if set.count.Load() < want {
			return false
		}
	}
	return true
}

// judge counts what was acknowledged and is missing, and what came twice.
func (r *receivers) judge(acked *idSet) (lost int, duplicates int64) {
	for _, set := range r.sets() {
		lost += acked.missing(set)
		duplicates += set.again.Load()
	}
	return lost, duplicates
}
