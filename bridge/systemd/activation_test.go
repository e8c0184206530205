package systemd

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestListeners runs this test binary again the way systemd would start the service: sockets from descriptor 3 on,
// the variables set, LISTEN_PID the child's own.
func TestListeners(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	var files []*os.File
	for _, address := range []string{"127.0.0.1:0", "127.0.0.1:0", path} {
		network := "tcp"
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // the test is over
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // the test is over
		files = append(files, f)
	}
	got := runActivated(t, files, "webhook:webhook:control")
	want := "webhook tcp\nwebhook tcp\ncontrol unix\nLISTEN_FDS=\"\"\ninherited: none\nagain: 0\n"
	if got != want {
		t.Errorf("child saw\n%swant\n%s", got, want)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the unix socket's path was removed: %v", err)
	}
}

func TestListenersRefusesADatagramSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // the test is over
	stream, _ := l.(*net.TCPListener).File()
	packet, _ := p.(*net.UDPConn).File()
	got, err := listeners([]*os.File{stream, packet})
	if err == nil || got != nil || !strings.Contains(err.Error(), "ListenStream=") {
		t.Errorf("listeners %v, error %v", got, err)
	}
}

func runActivated(t *testing.T, files []*os.File, names string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The shell becomes the child, so that its process id is the child's.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestActivatedChild$'`, self)
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), "ACTIVATED_CHILD=1", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	seen, _, _ := strings.Cut(string(out), "PASS")
	return seen
}

// TestActivatedChild is the child of runActivated and nothing by itself.
func TestActivatedChild(t *testing.T) {
	if os.Getenv("ACTIVATED_CHILD") == "" {
		return
	}
	found, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range found {
		fmt.Println(l.Name, l.Addr().Network())
	}
	fmt.Printf("LISTEN_FDS=%q\n", os.Getenv("LISTEN_FDS"))
	fmt.Println("inherited:", inheritedSockets(t))
	again, _ := Listeners()
	fmt.Println("again:", len(again))
	for _, l := range found {
		_ = l.Close()
	}
}

// inheritedSockets says whether a program that this process starts would see a socket.
func inheritedSockets(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "ls -l /proc/$$/fd").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "socket:") {
		return string(out)
	}
	return "none"
}
