package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// listeningAddress returns the address of this process's one listening TCP socket.
func listeningAddress() (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", fmt.Errorf("looking for the listening socket: %w", err)
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// On anything but a socket this fails with ENOTSOCK.
		if listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || listening == 0 {
			continue
		}
		sa, err := syscall.Getsockname(fd)
		if err != nil {
			return "", err
		}
		switch sa := sa.(type) {
		case *syscall.SockaddrInet4:
			return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String(), nil
		case *syscall.SockaddrInet6:
			return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)).String(), nil
		}
	}
	return "", errors.New("no listening socket found")
}
