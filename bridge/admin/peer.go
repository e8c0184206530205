package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of the control socket, as the kernel tells it at connect (unix(7), SO_PEERCRED).
// It names the caller in the log; whether a process may connect is what the socket's mode says. Under PrivateUsers=yes
// every user but root and the service's own is the overflow user (65534).
type peer struct {
	pid      int32
	uid, gid uint32
	known    bool // the fields above are the kernel's
}

type peerKey struct{}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf returns who sent the request of ctx, or an unknown one.
func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}

// identify asks the kernel who is at the other end of c.
func identify(c net.Conn) (peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return peer{}, errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return peer{}, err
	}
	if failed != nil {
		return peer{}, failed
	}
	return peer{known: true, pid: cred.Pid, uid: cred.Uid, gid: cred.Gid}, nil
}

// String names the caller in what is stored.
func (p peer) String() string {
	if !p.known {
		return "unknown user"
	}
	return "uid " + strconv.FormatUint(uint64(p.uid), 10)
}

// LogValue implements slog.LogValuer: who it was, for every line about an action.
func (p peer) LogValue() slog.Value {
	if !p.known {
		return slog.StringValue("unknown")
	}
	attrs := []slog.Attr{slog.Uint64("uid", uint64(p.uid)), slog.Uint64("gid", uint64(p.gid)), slog.Int64("pid", int64(p.pid))}
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
		attrs = append(attrs, slog.String("user", u.Username))
	}
	return slog.GroupValue(attrs...)
}
