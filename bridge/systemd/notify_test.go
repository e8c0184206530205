package systemd

import (
	"context"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// managerSocket is a real $NOTIFY_SOCKET: what is read from it is what systemd would get.
func managerSocket(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 8192)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("no datagram on the notify socket: %v", err)
		}
		return string(buf[:n])
	}
}

func TestNotifyMessages(t *testing.T) {
	read := managerSocket(t)
	n := NewNotifier()
	for _, c := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("2 outputs") }, "READY=1\nSTATUS=2 outputs"},
		{func() error { return n.Status("received 5") }, "STATUS=received 5"},
		{func() error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
		{func() error { return n.ExtendTimeout(30 * time.Second) }, "EXTEND_TIMEOUT_USEC=30000000"},
		{n.watchdog, "WATCHDOG=1"},
	} {
		if err := c.send(); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != c.want {
			t.Errorf("datagram %q, want %q", got, c.want)
		}
	}
}

func TestReloadingCarriesTheMonotonicClockInOneDatagram(t *testing.T) {
	read := managerSocket(t)
	before := monotonic(t)
	if err := NewNotifier().Reloading("reading the configuration"); err != nil {
		t.Fatal(err)
	}
	after := monotonic(t)
	m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=reading the configuration$`).FindStringSubmatch(read())
	if m == nil {
		t.Fatal("not RELOADING, MONOTONIC_USEC and STATUS in one datagram")
	}
	usec, _ := strconv.ParseInt(m[1], 10, 64)
	if usec < before || usec > after {
		t.Errorf("MONOTONIC_USEC %d is not between %d and %d", usec, before, after)
	}
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

func TestStatusCannotCarryAnotherField(t *testing.T) {
	read := managerSocket(t)
	if err := NewNotifier().Status("a\nREADY=1\x1b[31m\u202e\xff" + strings.Repeat("é", 2000)); err != nil {
		t.Fatal(err)
	}
	got := read()
	if !strings.HasPrefix(got, `STATUS=a READY=1\x1b[31m\u202e\xffé`) || strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("datagram begins %.60q", got)
	}
	if len(got) > len("STATUS=")+maxStatus {
		t.Errorf("%d bytes", len(got))
	}
}

func TestWithoutSystemdNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := NewNotifier().Ready(""); err != nil {
		t.Error(err)
	}
}

func TestADeadNotifySocketIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := NewNotifier().Ready(""); err == nil {
		t.Error("no error")
	}
}

func TestExtendGoesOnWhileThereIsMore(t *testing.T) {
	read := managerSocket(t)
	var left atomic.Int32
	left.Store(3)
	err := NewNotifier().Extend(context.Background(), 2*time.Millisecond, func() bool { return left.Add(-1) >= 0 })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := read(); got != "EXTEND_TIMEOUT_USEC=2000" {
			t.Errorf("datagram %q", got)
		}
	}
}

func TestLiveSendsOnlyWhatChanged(t *testing.T) {
	read := managerSocket(t)
	ctx, cancel := context.WithCancel(context.Background())
	var turn atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewNotifier().Live(ctx, time.Millisecond, func() string {
			return "line " + strconv.Itoa(int(min(turn.Add(1)/5, 2)))
		})
	}()
	for i := range 3 {
		if got, want := read(), "STATUS=line "+strconv.Itoa(i); got != want {
			t.Errorf("datagram %q, want %q", got, want)
		}
	}
	cancel()
	<-done
}
