package counterparts

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
)

// Daemon is a running rsyslog or syslog-ng. It is stopped when the test ends.
type Daemon struct {
	Version string        // of the program, as its package says
	TLS     *testcert.Set // the certificates that it uses and that its clients need
	Dir     string

	t       testing.TB
	process *proc.Process
	host    string
	ports   map[string]int
	out     received
}

// Addr is "host:port" of one input: udp, tcp, tls, relp, relps or newline (see the package comment for who has which).
func (d *Daemon) Addr(input string) string {
	d.t.Helper()
	port, ok := d.ports[input]
	if !ok {
		d.t.Fatalf("%s has no input %q", d.process.Name, input)
	}
	return net.JoinHostPort(d.host, strconv.Itoa(port))
}

// URL is Addr as the bridge's configuration wants it: "tls://127.1.2.3:5142". The input newline is tcp.
func (d *Daemon) URL(input string) string {
	d.t.Helper()
	scheme := input
	if scheme == "newline" {
		scheme = "tcp"
	}
	return scheme + "://" + d.Addr(input)
}

// Each visits what was received so far one by one, for tests that receive more than fits into memory.
func (d *Daemon) Each(visit func(Record)) {
	d.t.Helper()
	if err := eachLine(&d.out, visit); err != nil {
		d.t.Fatalf("read what %s received: %v", d.process.Name, err)
	}
}

// Records returns all that was received so far, also before a restart.
func (d *Daemon) Records() []Record {
	d.t.Helper()
	records, err := readLines[Record](&d.out)
	if err != nil {
		d.t.Fatalf("read what %s received: %v", d.process.Name, err)
	}
	return records
}

// WaitRecords waits until at least n records have arrived and returns all of them, or fails the test.
func (d *Daemon) WaitRecords(n int, timeout time.Duration) []Record {
	d.t.Helper()
	return d.WaitFor(fmt.Sprintf("%d records", n), timeout, func(got []Record) bool { return len(got) >= n })
}

// WaitFor waits until enough says that what has arrived is enough and returns it, or fails the test.
func (d *Daemon) WaitFor(what string, timeout time.Duration, enough func([]Record) bool) []Record {
	d.t.Helper()
	return waitLines(d.t, d.process, what, timeout, d.Records, enough)
}

// Kill ends the daemon by SIGKILL, with whatever it hadn't written.
func (d *Daemon) Kill() { _ = d.process.End(syscall.SIGKILL) }

// Stop ends the daemon by SIGTERM and waits for its end.
func (d *Daemon) Stop() { _ = d.process.End(syscall.SIGTERM) }

// Start starts the daemon again at the same address after Kill or Stop, and waits until it listens.
func (d *Daemon) Start() {
	d.t.Helper()
	if err := d.out.endTorn(); err != nil {
		d.t.Fatal(err)
	}
	if err := d.process.Start(context.Background()); err != nil {
		d.t.Fatal(err)
	}
}

// Pause stops the daemon in its tracks (SIGSTOP): its kernel goes on accepting for it until its buffers are full.
func (d *Daemon) Pause() { d.t.Helper(); signal(d.t, d.process, syscall.SIGSTOP) }

// Resume ends Pause.
func (d *Daemon) Resume() { d.t.Helper(); signal(d.t, d.process, syscall.SIGCONT) }

// WaitIdle waits until the daemon has closed every TCP connection, which it does at the end of what it has read: when the
// senders have closed theirs, it has taken all that they wrote.
func (d *Daemon) WaitIdle(timeout time.Duration) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var open int
	err := proc.Poll(ctx, func() (idle bool, err error) {
		open, err = connections(d.host)
		return open == 0, err
	}, func() string { return fmt.Sprintf("%s still has %d connections open", d.process.Name, open) })
	if err != nil {
		d.t.Fatal(err)
	}
}

// Log is the daemon's own output so far, for messages and for the curious.
func (d *Daemon) Log() string { return d.process.LastWords() }

func signal(t testing.TB, p *proc.Process, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// bound reports the first of addresses ("tcp 127.1.2.3:5141") that a process hasn't bound yet.
func bound(addresses ...string) func(pid int) (string, error) {
	return func(pid int) (string, error) {
		has, err := listening(pid)
		if err != nil {
			return "", err
		}
		for _, want := range addresses {
			if !has[want] {
				return want + " is not bound", nil
			}
		}
		return "", nil
	}
}

func waitLines[T any](t testing.TB, p *proc.Process, what string, timeout time.Duration, read func() []T, enough func([]T) bool) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var got []T
	err := proc.Poll(ctx, func() (bool, error) {
		got = read()
		return enough(got), nil
	}, func() string {
		return fmt.Sprintf("%s received %d records within %v, waiting for %s", p.Name, len(got), timeout, what)
	})
	if err != nil {
		t.Fatalf("%v\nits last words: %s", err, p.LastWords())
	}
	return got
}

// startSomewhere starts what make prepares for a private address, and tries other addresses when a port is taken.
func startSomewhere(t testing.TB, prepare func(host string) (*proc.Process, error)) (host string) {
	t.Helper()
	var err error
	for range 3 {
		host = privateAddress()
		var p *proc.Process
		if p, err = prepare(host); err != nil {
			break
		}
		if err = p.Start(t.Context()); err == nil {
			t.Cleanup(func() { _ = p.End(syscall.SIGTERM) })
			return host
		}
	}
	t.Fatal(err)
	return ""
}
