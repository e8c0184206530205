package syslog

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

func TestTCPOctetCounted(t *testing.T) {
	t.Parallel()
	var got sink
	p := listen(t, "tcp", got.drain)
	o := start(t, fmt.Sprintf(`addresses = ["tcp://%s"]`, p.Addr()))
	if s := o.Status(); s.State != outputs.StateIdle {
		t.Errorf("before the first Send: %+v", s)
	}
	f := &fate{}
	for i := range 20 {
		o.Send(t.Context(), records(1+i*100, 100), f.done())
	}
	for i, err := range f.wait(t) {
		if err != nil || f.order[i] != i {
			t.Fatalf("batch %d: %v, order %v", i, err, f.order)
		}
	}
	eventually(t, "the peer has read it all", func() bool { return strings.Contains(got.text(), "record 2000") })
	frames := octetFrames(t, got.text())
	if len(frames) != 2000 {
		t.Fatalf("%d frames, want 2000", len(frames))
	}
	for i, f := range frames {
		if !strings.HasPrefix(f, "<11>1 ") || !strings.Contains(f, fmt.Sprintf(`bridge_seq="%d"`, i+1)) {
			t.Fatalf("frame %d is %q", i, f)
		}
	}
	if s := o.Status(); s.State != outputs.StateUp || s.Level != outputs.KernelAcknowledged || s.Peer != "tcp://"+p.Addr().String() {
		t.Errorf("status %+v", s)
	}
}

func TestNewlineFraming(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			var got sink
			p := listen(t, network, got.drain)
			table := fmt.Sprintf("addresses = [\"tcp://%s\"]\nframing = \"newline\"", p.Addr())
			if network == "unix" {
				table = fmt.Sprintf("addresses = [\"unix://%s\"]", p.Addr())
			}
			o := start(t, table)
			for i := range 3 {
				mustDeliver(t, o, records(1+i*50, 50))
			}
			eventually(t, "the peer has read it all", func() bool { return strings.Count(got.text(), "\n") == 150 })
			for i, line := range strings.Split(strings.TrimSuffix(got.text(), "\n"), "\n") {
				if !strings.HasSuffix(line, fmt.Sprintf("record %d", i+1)) {
					t.Fatalf("line %d is %q", i, line)
				}
			}
			if got := o.Status().Level; got != outputs.KernelAcknowledged {
				t.Errorf("level %v", got)
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp4", "udp6", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			at, scheme := map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0", "unixgram": filepath.Join(t.TempDir(), "log")}[network], "udp"
			if network == "unixgram" {
				scheme = "unix"
			}
			conn, err := net.ListenPacket(network, at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the test is over
			o := start(t, fmt.Sprintf("addresses = [%q]", scheme+"://"+conn.LocalAddr().String()))
			const n = 150 // more than one sendmmsg
			f := &fate{}
			received := make(chan error, 1)
			go func() {
				buf := make([]byte, 64<<10)
				for i := range n {
					size, _, err := conn.ReadFrom(buf)
					if err == nil && !strings.HasSuffix(string(buf[:size]), fmt.Sprintf("record %d", i+1)) {
						err = fmt.Errorf("datagram %d is %q", i, buf[:size])
					}
					if err != nil {
						received <- err
						return
					}
				}
				received <- nil
			}()
			o.Send(t.Context(), records(1, n), f.done())
			if err := f.wait(t)[0]; err != nil {
				t.Fatal(err)
			}
			if err := <-received; err != nil {
				t.Error(err)
			}
			if got := o.Status(); got.Level != outputs.Written || got.State != outputs.StateUp {
				t.Errorf("status %+v", got)
			}
		})
	}
}

// TestUDPBacklog: a backlog reaches a slow receiver whole, because it comes no faster than max_rate. In one burst most of it would be dropped in the receiver's socket buffer.
func TestUDPBacklog(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the end
	const n = 600
	read := make(chan int, 1)
	go func() {
		buf, got := make([]byte, 1<<16), 0
		for ; got < n; got++ {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				break
			}
			time.Sleep(time.Millisecond) // what it does with one
		}
		read <- got
	}()
	o := start(t, fmt.Sprintf("max_rate = 300\naddresses = [%q]", "udp://"+conn.LocalAddr().String()))
	mustDeliver(t, o, records(1, n))
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // for what is in the buffer
	if got := <-read; got != n {
		t.Errorf("the receiver has %d of %d, the rest was dropped in its buffer", got, n)
	}
}
