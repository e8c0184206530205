package webhook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// socketMode of a unix socket: the service's user and group, so that a reverse proxy in that group can connect.
const socketMode = 0o660

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
	var config net.ListenConfig
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return l, raiseBacklog(l)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
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

// removeStale removes the socket that a killed process left behind, and nothing else.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is not a socket")
	}
	var dialer net.Dialer
	if c, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return errors.New("another process listens there")
	}
	return os.Remove(path)
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
