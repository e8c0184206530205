package main

import (
	"fmt"
	"path/filepath"
)

// The tables.
const (
	costTable   = "cost"
	tlsTable    = "tls"
	growthTable = "growth"
)

// scenarios are one round: what is compared stands side by side, so that it meets the same minutes.
func (s *settings) scenarios() ([]scenario, error) {
	if s.tls {
		return s.tlsScenarios()
	}
	if s.growth {
		return s.growthScenarios(), nil
	}
	subjects := []subject{floor1, floor2, floor3, ours}
	if s.shared {
		subjects = append(subjects, shared)
	}
	if s.peer {
		subjects = append(subjects, peerOne)
	}
	var all []scenario
	for _, conns := range s.conns {
		for _, one := range subjects {
			all = append(all, scenario{table: costTable, subject: one, conns: conns, body: s.body, capacity: s.capacity})
		}
	}
	return all, nil
}

// tlsScenarios: LinuxGuard comes over TLS, and may open a connection for each webhook.
func (s *settings) tlsScenarios() ([]scenario, error) {
	folder, err := filepath.Abs(s.dir)
	if err != nil {
		return nil, err
	}
	var all []scenario
	for _, kind := range []string{"ECDSA P-256", "RSA-2048", "RSA-4096"} {
		cert, err := newCertificate(folder, kind)
		if err != nil {
			return nil, fmt.Errorf("certificate with %s: %w", kind, err)
		}
		for _, way := range []struct {
			name           string
			fresh, resumed bool
		}{{"keep-alive", false, false}, {"new connection", true, false}, {"resumed", true, true}} {
			for _, one := range []subject{floor2, ours} {
				all = append(all, scenario{table: tlsTable, subject: one, name: kind + ", " + way.name, conns: 16, body: s.body, capacity: s.capacity,
					cert: cert, client: cert.client(way.resumed), fresh: way.fresh})
			}
		}
	}
	return all, nil
}

// growthScenarios: whatever grows, an event costs the same.
func (s *settings) growthScenarios() []scenario {
	const kib = 1 << 10
	rows := []scenario{
		{name: "nothing queued, 2 outputs"},
		{name: "backlog 100,000", down: true, preload: 100_000},
		{name: "backlog 1,000,000", down: true, preload: 1_000_000},
		{name: "remembered 100,000", preload: 100_000, capacity: 100_000},
		{name: "remembered 1,000,000", preload: 1_000_000, capacity: 1_000_000},
		{name: "1 output", single: true},
		{name: "4 outputs", pairs: 2},
		{name: "16 outputs", pairs: 8},
		{name: "bodies of 8 KiB", body: 8*kib - 700},
		{name: "bodies of 256 KiB", body: 256*kib - 700},
		{name: "an output whose peer never reads", stuck: true},
	}
	for i := range rows {
		c := &rows[i]
		c.table, c.subject, c.conns = growthTable, ours, 16
		if c.capacity == 0 {
			c.capacity = s.capacity
		}
	}
	return rows
}
