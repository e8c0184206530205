package queue

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interceptor sees every write, truncation and sync of this process before the kernel executes it (seccomp user
// notification, Linux 5.5; no privilege is needed), and decides what comes of it. It can't be undone, so it is for
// child processes.
//
// It keeps what the database would be after a power cut: what was written before the last sync that succeeded.
type interceptor struct {
	fd   int
	name string // of the file that is watched; others pass

	mu      sync.Mutex
	durable []byte
	pending []write
	decide  func(call string) unix.Errno // what a call on the file fails with; 0: it is executed
	syncs   int
}

// write is one write that was not synced yet; a truncation has no data.
type write struct {
	offset int64
	data   []byte
}

// The layout of struct seccomp_notif and seccomp_notif_resp (linux/seccomp.h).
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type notificationAnswer struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

const (
	ioctlNotifyReceive = 0xc0502100
	ioctlNotifySend    = 0xc0182101
	answerContinue     = 1

	filterTSync      = 1 << 0
	filterListener   = 1 << 3
	filterTSyncESRCH = 1 << 4
)

// intercept starts to watch the file, whose content counts as durable.
func intercept(path string) (*interceptor, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	in := &interceptor{name: path, durable: content}
	calls := []uint32{unix.SYS_PWRITE64, unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_FTRUNCATE}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		filterTSync|filterListener|filterTSyncESRCH, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return nil, fmt.Errorf("seccomp user notification (Linux 5.7 or newer is needed): %w", errno)
	}
	in.fd = int(fd)
	go in.run()
	return in, nil
}

func (in *interceptor) run() {
	for {
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(in.fd), ioctlNotifyReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue
		}
		answer := notificationAnswer{id: n.id, flags: answerContinue}
		if errno := in.handle(&n); errno != 0 {
			answer = notificationAnswer{id: n.id, errno: -int32(errno)}
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(in.fd), ioctlNotifySend, uintptr(unsafe.Pointer(&answer)))
	}
}

func (in *interceptor) handle(n *notification) unix.Errno {
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", n.args[0]))
	if err != nil || !strings.HasPrefix(target, in.name) {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	call := map[int32]string{unix.SYS_PWRITE64: "write", unix.SYS_FTRUNCATE: "truncate"}[n.nr]
	if call == "" {
		call = "sync"
	}
	if in.decide != nil {
		if errno := in.decide(call); errno != 0 {
			return errno
		}
	}
	if target != in.name { // a file on its way to take the name's place
		return 0
	}
	switch call {
	case "write":
		data := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&n.args[1]))), int(n.args[2]))
		in.pending = append(in.pending, write{offset: int64(n.args[3]), data: append([]byte(nil), data...)})
	case "truncate":
		in.pending = append(in.pending, write{offset: int64(n.args[1])})
	case "sync":
		in.syncs++
		for _, w := range in.pending {
			in.durable = w.apply(in.durable)
		}
		in.pending = nil
	}
	return 0
}

func (w write) apply(file []byte) []byte {
	end := int(w.offset) + len(w.data)
	if end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	copy(file[w.offset:], w.data)
	return file
}
