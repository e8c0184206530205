package admin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of the control socket, as the kernel tells it at connect. Under
// PrivateUsers=yes every user but root and the service's own is the overflow user (65534); the groups still tell a
// member of the service's group.
type Peer struct {
	PID      int32
	UID, GID uint32
	Groups   []uint32 // supplementary
	known    bool     // the fields above are the kernel's
	refused  error    // why it may not do anything
}

// overflowID is what every user and group looks like that this process's user namespace doesn't know (kernel.overflowuid
// and overflowgid, whose defaults nobody changes).
const overflowID = 65534

// socketOwner is who may use the socket beside root: the service's user and the socket's group.
type socketOwner struct {
	uid, gid   uint32
	namespaced bool // in a user namespace of its own, where overflowID is anybody and so nobody
}

func (o socketOwner) owns(own, id uint32) bool {
	return own == id && (id != overflowID || !o.namespaced)
}

type peerKey struct{}

func withPeer(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf never fails open: without a peer in ctx the answer is a refused one.
func peerOf(ctx context.Context) Peer {
	if p, ok := ctx.Value(peerKey{}).(Peer); ok {
		return p
	}
	return Peer{refused: errors.New("the caller is unknown")}
}

// ownerOf reads who owns the socket's path, which is what its mode 0660 is about.
func ownerOf(l net.Listener) (socketOwner, error) {
	info, err := os.Stat(l.Addr().String())
	if err != nil {
		return socketOwner{}, fmt.Errorf("control socket: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return socketOwner{}, errors.New("control socket: its owner can't be read")
	}
	return socketOwner{uid: uint32(os.Getuid()), gid: st.Gid, namespaced: namespaced()}, nil //nolint:gosec // a uid is never negative
}

// identify asks the kernel who c is and judges whether that one may use the socket: root, the service's own user, or
// a member of the socket's group. The mode says the same; a path whose mode was opened up by hand doesn't.
func identify(c net.Conn, owner socketOwner) Peer {
	p, err := peerCredentials(c)
	if err != nil {
		return Peer{refused: fmt.Errorf("the caller is unknown: %w", err)}
	}
	if !p.allowed(owner) {
		p.refused = fmt.Errorf("user %d is neither root nor in the socket's group (%d)", p.UID, owner.gid)
	}
	return p
}

func (p Peer) allowed(owner socketOwner) bool {
	member := func(gid uint32) bool { return owner.owns(owner.gid, gid) }
	return p.UID == 0 || owner.owns(owner.uid, p.UID) || member(p.GID) || slices.ContainsFunc(p.Groups, member)
}

// namespaced reports whether this process sees other user IDs than the host (user_namespaces(7)). When that can't be
// read it is taken to be so, which only makes overflowID mean nobody.
func namespaced() bool {
	users, errUsers := os.ReadFile("/proc/self/uid_map")
	groups, errGroups := os.ReadFile("/proc/self/gid_map")
	whole := func(m []byte) bool { return strings.Join(strings.Fields(string(m)), " ") == "0 0 4294967295" }
	return errUsers != nil || errGroups != nil || !whole(users) || !whole(groups)
}

func peerCredentials(c net.Conn) (Peer, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Peer{}, errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			failed = fmt.Errorf("SO_PEERCRED: %w", err)
			return
		}
		p = Peer{known: true, PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: peerGroups(fd)}
	})
	return p, errors.Join(err, failed)
}

// peerGroups reads SO_PEERGROUPS (Linux 4.13), for which x/sys has no wrapper. Without it there are none.
func peerGroups(fd uintptr) []uint32 {
	const room = 4 * 1024 // 1024 groups; a member of more is refused unless the group is the primary one
	buf, size := make([]byte, room), uint32(room)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // getsockopt takes pointers
	if errno != 0 {
		return nil
	}
	groups := make([]uint32, 0, size/4)
	for b := buf[:size]; len(b) >= 4; b = b[4:] {
		groups = append(groups, binary.NativeEndian.Uint32(b))
	}
	return groups
}

// LogValue implements slog.LogValuer: who it was, for every line about an action.
func (p Peer) LogValue() slog.Value {
	if !p.known {
		return slog.StringValue("unknown")
	}
	attrs := []slog.Attr{slog.Uint64("uid", uint64(p.UID)), slog.Uint64("gid", uint64(p.GID)), slog.Int64("pid", int64(p.PID))}
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10)); err == nil {
		attrs = append(attrs, slog.String("user", u.Username))
	}
	return slog.GroupValue(attrs...)
}
