package syslog

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The kernel itself must leave a peer that is silent, also when this process is stuck.
func TestSocketOptions(t *testing.T) {
	t.Parallel()
	p := listen(t, "tcp", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nack_timeout = \"7s\"\nkeepalive = \"12s\"", p.Addr()))
	mustDeliver(t, o, records(1, 1))
	err := o.link.(*stream).meter.raw.Control(func(fd uintptr) {
		for _, c := range []struct{ name, level, option, want int }{
			{0, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 7000}, {1, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{2, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 12}, {3, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 4}, {4, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{5, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		} {
			if got, err := unix.GetsockoptInt(int(fd), c.level, c.option); err != nil || got != c.want {
				t.Errorf("option %d is %d (%v), want %d", c.name, got, err, c.want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A unix stream has no TCP_USER_TIMEOUT: ack_timeout alone ends a write that blocks.
func TestUnixPeerThatNeverReads(t *testing.T) {
	t.Parallel()
	block := make(chan struct{})
	p := listen(t, "unix", func(net.Conn) { <-block })
	t.Cleanup(func() { close(block) })
	o := start(t, fmt.Sprintf("addresses = [\"unix://%s\"]\nack_timeout = \"300ms\"", p.Addr()))
	if err := deliver(t, o, records(1, 5000)); !errors.Is(err, errAckTimeout) {
		t.Errorf("%v", err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	p := listenRELP(t, func(s *relpSession, c relpCommand) {
		if sequence(c.data) == 2 {
			s.rsp(c.txnr, "500 no")
			return
		}
		s.accept(c)
	})
	registry := prometheus.NewPedanticRegistry()
	o := start(t, p.table(), func(env *outputs.Env) { env.Metrics = registry })
	_ = deliver(t, o, records(1, 3))
	p.stop()
	eventually(t, "the end is seen", func() bool { return !o.link.usable() })
	_ = deliver(t, o, records(4, 1))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "output" || l.GetValue() != "siem" {
					labels = append(labels, l.GetValue())
				}
			}
			if v := m.GetCounter().GetValue(); v != 0 && !strings.HasSuffix(f.GetName(), "_bytes_total") {
				got = append(got, fmt.Sprint(strings.TrimPrefix(f.GetName(), "linuxguard_bridge_syslog_"), labels, " ", v))
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"connects_total[failed] 1", "connects_total[ok] 1", "records_total[application-acknowledged] 2", "records_total[written] 5", "refusals_total[] 3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("metrics\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFIFO(t *testing.T) {
	t.Parallel()
	var q fifo[int]
	next, want := 0, 0
	for round := range 2000 {
		for range round % 7 {
			q.push(next)
			next++
		}
		for range min(q.len(), round%5) {
			if first := *q.at(0); q.pop() != first || first != want {
				t.Fatalf("popped %d, want %d", first, want)
			}
			want++
		}
	}
	if q.len() != next-want || *q.back() != next-1 || cap(q.items) > 8*q.len() {
		t.Errorf("%d left of %d, room for %d", q.len(), next-want, cap(q.items))
	}
}

// Names are looked up at every connect, and all their addresses are tried.
func TestDialTakesTheTimeItIsGiven(t *testing.T) {
	t.Parallel()
	o := start(t, "addresses = [\"relp://127.0.0.1:1\", \"tcp://name.invalid\"]\nconnect_timeout = \"2s\"")
	begin := time.Now()
	if err := deliver(t, o, records(1, 1)); err == nil || !strings.Contains(err.Error(), "name.invalid") || time.Since(begin) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

// blackHole is an address whose SYNs are dropped: a listener whose queue is full, as the kernel itself says.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprint("127.0.0.1:", name.(*unix.SockaddrInet4).Port)
	for {
		before, most := acceptQueue(t, fd)
		if before > most {
			return at
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		eventually(t, "the connection is queued", func() bool { now, _ := acceptQueue(t, fd); return now > before })
	}
}

// acceptQueue is how many connections wait to be accepted, and how many may: with more, new ones are dropped. For a
// listening socket the kernel gives both in fields that mean something else otherwise (tcp_diag_get_info).
func acceptQueue(t *testing.T, fd int) (waiting, most uint32) {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return info.Unacked, info.Sacked
}

// An address that swallows everything costs connect_timeout, and then the next one is used. That one has to be reached
// within the same time, so it is not a short one.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	hole := blackHole(t)
	var got sink
	p := listen(t, "tcp", got.drain)
	o := start(t, fmt.Sprintf("addresses = [\"tcp://%s\", \"tcp://%s\"]\nconnect_timeout = \"2s\"", hole, p.Addr()))
	mustDeliver(t, o, records(1, 3))
	if o.Status().Peer != "tcp://"+p.Addr().String() {
		t.Errorf("status %+v", o.Status())
	}
	alone := start(t, fmt.Sprintf("addresses = [\"tcp://%s\"]\nconnect_timeout = \"200ms\"", hole))
	if err := deliver(t, alone, records(1, 3)); err == nil || !strings.Contains(err.Error(), "time") {
		t.Errorf("%v", err)
	}
}
