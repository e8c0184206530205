package port

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestHoldTCP(t *testing.T) {
	t.Parallel()
	at := HoldTCP(t)
	for range 3 {
		if conn, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens, and yet %v, %v", conn, err)
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatalf("the held port can't be listened at: %v", err)
		}
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		// The side that closes first keeps the address for a minute (TIME-WAIT); that must not be in the way either.
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(accepted.Close(), l.Close(), conn.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNobodyElseGetsIt: among all ports that the kernel gives away, the held one is not.
func TestNobodyElseGetsIt(t *testing.T) {
	t.Parallel()
	at := HoldTCP(t)
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == at {
			t.Fatalf("%s was given away", at)
		}
		_ = l.Close()
	}
}

func TestRefuseUDP(t *testing.T) {
	t.Parallel()
	conn, err := net.Dial("udp", RefuseUDP(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v", err)
	}
}
