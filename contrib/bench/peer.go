package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// peerConfig is an OpenTelemetry Collector for the same job: it answers when both exporters' queues hold the event,
// synced. It verifies no signature and recognizes no duplicate, and it has no bridge_seq that shows a gap.
const peerConfig = `
extensions:
  file_storage:
    directory: %q
    fsync: true
receivers:
  webhookevent:
    endpoint: 127.0.0.1:%d
    path: ` + hookPath + `
    read_timeout: 10s
    write_timeout: 10s
    keep_alives_enabled: true
processors:
  transform:
    log_statements:
      - set(log.attributes["message"], log.body)
exporters:
  splunk_hec:
    endpoint: %s/services/collector
    token: 00000000-0000-0000-0000-000000000000
    sending_queue: &queue
      storage: file_storage
      queue_size: 1000000
      block_on_overflow: true
      batch:
        flush_timeout: 5ms
        min_size: 100
        max_size: 1000
  syslog:
    endpoint: %s
    port: %s
    network: tcp
    protocol: rfc5424
    enable_octet_counting: true
    tls:
      insecure: true
    sending_queue: *queue
service:
  extensions: [file_storage]
  telemetry:
    metrics:
      level: none
    logs:
      level: error
  pipelines:
    logs/hec:
      receivers: [webhookevent]
      exporters: [splunk_hec]
    logs/syslog:
      receivers: [webhookevent]
      processors: [transform]
      exporters: [syslog]
`

// buildPeer compiles the collector, which is a module of its own, into the cache. The first time takes minutes.
func buildPeer(ctx context.Context) (binary string, err error) {
	root, err := repo.Root()
	if err != nil {
		return "", err
	}
	cache, err := repo.Cache("bench-peer")
	if err != nil {
		return "", err
	}
	binary = filepath.Join(cache, "otelcol")
	return binary, repo.Build(ctx, filepath.Join(root, "contrib", "bench", "otelcol"), ".", binary)
}

// measurePeer is measureBridge for the collector.
func (s *settings) measurePeer(ctx context.Context, c *scenario, dir string) (measure, error) {
	r, err := startReceivers(c)
	if err != nil {
		return measure{}, err
	}
	defer r.close()
	host, port, err := net.SplitHostPort(r.pairs[0].syslogAddr)
	if err != nil {
		return measure{}, err
	}
	listen, err := freePort()
	if err != nil {
		return measure{}, err
	}
	storage, config := filepath.Join(dir, "storage"), filepath.Join(dir, "otelcol.yaml")
	if err := errors.Join(os.Mkdir(storage, 0o700),
		os.WriteFile(config, fmt.Appendf(nil, peerConfig, storage, listen, r.pairs[0].hecURL, host, port), 0o600)); err != nil {
		return measure{}, err
	}
	began := time.Now()
	p, err := startProcess(exec.CommandContext(ctx, s.peerBinary, "--config", config), dir)
	if err != nil {
		return measure{}, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", listen)
	if err := waitListening(ctx, address, time.Minute); err != nil {
		return measure{}, errors.Join(err, p.stop())
	}
	ready := time.Since(began)
	m, err := s.loadAndDrain(ctx, c, p, address, r, new(atomic.Int64), newIDSet())
	m.ToReady = ready
	if stopErr := p.stop(); err == nil {
		err = stopErr
	}
	return m, err
}

// waitListening connects until somebody accepts.
func waitListening(ctx context.Context, address string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("nobody listens at %s: %w", address, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
