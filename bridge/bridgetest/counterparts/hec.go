package counterparts

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
)

// HECOptions changes what the receiver does. The zero value takes plain HTTP without indexer acknowledgement.
type HECOptions struct {
	Ack         bool // with the acknowledgement extension
	TLS         bool
	ClientCerts bool // with TLS: client certificates are demanded
}

// HEC is a running OpenTelemetry splunkhecreceiver. It is stopped when the test ends.
type HEC struct {
	Version string
	TLS     *testcert.Set
	Dir     string

	t       testing.TB
	process *proc.Process
	url     string
	out     received
}

const hecPort = "8088"

// HECReceiver builds and starts OpenTelemetry's splunkhecreceiver; a test that can't have it fails. It takes any token
// and reports it with each event.
func HECReceiver(t testing.TB, o HECOptions) *HEC {
	t.Helper()
	built, err := hecReceiver().build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &HEC{Version: built.version, Dir: t.TempDir(), t: t}
	h.out.path = filepath.Join(h.Dir, "received.ndjson")
	host := startSomewhere(t, func(host string) (*proc.Process, error) {
		h.TLS = testcert.NewSet(t, h.Dir, host)
		address := net.JoinHostPort(host, hecPort)
		args := []string{built.binary, "-listen", address, "-out", h.out.path, "-pass-token"}
		if o.Ack {
			args = append(args, "-ack")
		}
		if o.TLS {
			args = append(args, "-tls-cert", h.TLS.ServerCert, "-tls-key", h.TLS.ServerKey)
		}
		if o.ClientCerts {
			args = append(args, "-client-ca", h.TLS.CAFile)
		}
		h.process = &proc.Process{Name: "hecreceiver", Dir: h.Dir, Args: args, Ready: bound("tcp " + address)}
		return h.process, nil
	})
	h.url = "http://" + net.JoinHostPort(host, hecPort)
	if o.TLS {
		h.url = "https://" + net.JoinHostPort(host, hecPort)
	}
	return h
}

// URL is the receiver's base URL, without a path.
func (h *HEC) URL() string { return h.url }

// Each visits what was received so far one by one, for tests that receive more than fits into memory.
func (h *HEC) Each(visit func(HECEvent)) {
	h.t.Helper()
	if err := eachLine(&h.out, visit); err != nil {
		h.t.Fatalf("read what %s received: %v", h.process.Name, err)
	}
}

// Events returns all that was received so far, also before a restart.
func (h *HEC) Events() []HECEvent {
	h.t.Helper()
	events, err := readLines[HECEvent](&h.out)
	if err != nil {
		h.t.Fatalf("read what the HEC receiver received: %v", err)
	}
	return events
}

// WaitEvents waits until at least n events have arrived and returns all of them, or fails the test.
func (h *HEC) WaitEvents(n int, timeout time.Duration) []HECEvent {
	h.t.Helper()
	return h.WaitFor(fmt.Sprintf("%d events", n), timeout, func(got []HECEvent) bool { return len(got) >= n })
}

// WaitFor waits until enough says that what has arrived is enough and returns it, or fails the test.
func (h *HEC) WaitFor(what string, timeout time.Duration, enough func([]HECEvent) bool) []HECEvent {
	h.t.Helper()
	return waitLines(h.t, h.process, what, timeout, h.Events, enough)
}

// Kill ends the receiver by SIGKILL.
func (h *HEC) Kill() { _ = h.process.End(syscall.SIGKILL) }

// Stop ends the receiver by SIGTERM and waits for its end.
func (h *HEC) Stop() { _ = h.process.End(syscall.SIGTERM) }

// Start starts the receiver again at the same address and waits until it listens.
func (h *HEC) Start() {
	h.t.Helper()
	if err := h.out.endTorn(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.process.Start(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// Pause stops the receiver in its tracks (SIGSTOP).
func (h *HEC) Pause() { h.t.Helper(); signal(h.t, h.process, syscall.SIGSTOP) }

// Resume ends Pause.
func (h *HEC) Resume() { h.t.Helper(); signal(h.t, h.process, syscall.SIGCONT) }
