package webhook

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/linuxguard/linuxguard-bridge/bridge/unixsocket"
)

// backlog of a listening TCP socket; the kernel cuts it to net.core.somaxconn. Go takes that value from /proc, and 128
// where the unit's ProcSubset=pid hides it.
const backlog = 4096

// listen opens every address: host:port or unix:/path. After an error none is left open.
func listen(ctx context.Context, addresses []string) (open []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(open)
			open = nil
		}
	}()
	for _, address := range addresses {
		l, err := listenOne(ctx, address)
		if err != nil {
			return open, fmt.Errorf("listen on %s: %w", address, err)
		}
		open = append(open, l)
	}
	return open, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

func listenOne(ctx context.Context, address string) (net.Listener, error) {
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		return unixsocket.Listen(ctx, path)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return l, raiseBacklog(l)
}

// raiseBacklog gives l the backlog that it would have if Go could read somaxconn: a second listen(2) changes only that.
func raiseBacklog(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), backlog) }); err != nil {
		return err
	}
	return listenErr
}

// isLocal reports whether only this host can reach the address.
func isLocal(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// addressOf is a listener's address in the form of listen's argument.
func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}
