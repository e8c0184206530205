// Package port holds ports of the loopback address for tests in which nobody listens for a while.
//
// A port that a test closes and wants back can be given to any other process meanwhile, as a listener's or as the local
// end of a connection. A held port has a socket bound to it that neither listens nor connects: the kernel gives it to
// nobody else who asks for any port, refuses what is sent to it, and lets whoever names it listen there, again and again.
package port

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// HoldTCP holds a TCP port until the test ends and returns its address. Both the holder and the listener must set
// SO_REUSEADDR, as package net and nearly every daemon do.
func HoldTCP(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", name.(*unix.SockaddrInet4).Port)
}

// RefuseUDP holds a UDP port at which every datagram is refused until the test ends: its socket is connected, and takes
// nothing from anybody but its peer.
func RefuseUDP(t testing.TB) string {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: loopback}, &net.UDPAddr{IP: loopback, Port: 9}) // discard
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}
