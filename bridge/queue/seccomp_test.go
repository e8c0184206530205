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
	name string // of the file that is watched, and how those begin that may take its place; others pass

	mu     sync.Mutex
	files  map[identity]*image
	decide func(call string, file identity) unix.Errno // what a call fails with; 0: it is executed
	lose   bool                                        // a write whose sync failed is lost: the file gets its old content back
}

// image is one file as the disk has it.
type image struct {
	durable []byte
	pending []write // not synced yet
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
	in := &interceptor{name: path, files: map[identity]*image{identify(path): {durable: content}}}
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
	id := identify(target)
	file := in.files[id]
	if file == nil {
		file = &image{}
		in.files[id] = file
	}
	call := map[int32]string{unix.SYS_PWRITE64: "write", unix.SYS_FTRUNCATE: "truncate"}[n.nr]
	if call == "" {
		call = "sync"
	}
	if in.decide != nil {
		if errno := in.decide(call, id); errno != 0 {
			if call == "sync" {
				file.giveUp(target, in.lose)
			}
			return errno
		}
	}
	file.note(call, n)
	return 0
}

// note records a call that the kernel is about to execute.
func (f *image) note(call string, n *notification) {
	switch call {
	case "write":
		data := make([]byte, n.args[2])
		local := []unix.Iovec{{Base: &data[0], Len: uint64(len(data))}}
		remote := []unix.RemoteIovec{{Base: uintptr(n.args[1]), Len: len(data)}}
		if _, err := unix.ProcessVMReadv(os.Getpid(), local, remote, 0); err != nil {
			panic(err)
		}
		f.pending = append(f.pending, write{offset: int64(n.args[3]), data: data})
	case "truncate":
		f.pending = append(f.pending, write{offset: int64(n.args[1])})
	case "sync":
		for _, w := range f.pending {
			f.durable = w.apply(f.durable)
		}
		f.pending = nil
	}
}

// giveUp is a failed sync: the kernel takes the pages for clean, so what was written never gets to the disk. With lose the
// file shows that at once, as after the pages were evicted; without, the page cache goes on pretending.
func (f *image) giveUp(path string, lose bool) {
	for _, w := range f.pending {
		if !lose {
			break
		}
		old := make([]byte, len(w.data))
		if w.offset < int64(len(f.durable)) {
			copy(old, f.durable[w.offset:])
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, _ = file.Seek(w.offset, 0)
			_, _ = file.Write(old)
			_ = file.Close()
		}
	}
	f.pending = nil
}

// image returns what a power cut now leaves of the file at path, and what is not synced.
func (in *interceptor) image(path string) *image {
	return in.files[identify(path)]
}

// identity tells a file from all others, also from a later one with the same inode.
type identity struct{ inode, born uint64 }

func identify(path string) identity {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &stat); err != nil {
		return identity{}
	}
	return identity{inode: stat.Ino, born: uint64(stat.Btime.Sec)*1e9 + uint64(stat.Btime.Nsec)}
}

func (w write) apply(file []byte) []byte {
	end := int(w.offset) + len(w.data)
	if end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	copy(file[w.offset:], w.data)
	return file
}
