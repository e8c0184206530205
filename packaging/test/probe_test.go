//go:build packages

package packagetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempt is one thing that the sandbox forbids. An ordinary process of the same user may do what has free set: there
// the test first makes sure that it works, else a refusal would prove nothing.
type attempt struct {
	name string
	free bool
	try  func() error
}

// attempts are tried inside of a container only, by the unit's own user.
var attempts = []attempt{
	{"ProtectSystem: write into a folder that is open to all", true, writes("/srv/open/x")},
	{"ProtectHome: see into /home", true, lists("/home/open")},
	{"PrivateTmp: see others' files in /tmp", true, opens("/tmp/marker")},
	{"PrivateDevices: see /dev/open", true, opens("/dev/open")},
	{"ProtectProc: see process 1", true, opens("/proc/1/status")},
	{"ProcSubset: see /proc/sys", true, opens("/proc/sys/kernel/ostype")},
	{"ProtectControlGroups: write into cgroups", false, writes("/sys/fs/cgroup/x")},
	{"RestrictAddressFamilies: AF_NETLINK", true, opensSocket(unix.AF_NETLINK, unix.SOCK_RAW)},
	{"RestrictAddressFamilies: AF_PACKET", false, opensSocket(unix.AF_PACKET, unix.SOCK_RAW)},
	{"RestrictAddressFamilies: AF_ALG", false, opensSocket(unix.AF_ALG, unix.SOCK_SEQPACKET)},
	{"RestrictNamespaces: a user namespace", false, func() error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"MemoryDenyWriteExecute: code in writable memory", true, mapsCode},
	{"LockPersonality", true, changesPersonality},
	{"RestrictRealtime: real-time scheduling", false, wantsRealtime},
	{"@resources: sched_setaffinity", true, pins},
	{"RestrictSUIDSGID: a setuid file", true, makesSetuid},
	{"@privileged: chroot", false, func() error { return unix.Chroot("/") }},
	{"mount", false, func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") }},
	{"ProtectHostname", false, func() error { return unix.Sethostname([]byte("probe")) }},
	{"ProtectKernelLogs: the kernel's log", false, readsKernelLog},
	{"bpf", false, func() error { return call(unix.SYS_BPF, 0, 0, 0) }},
	{"userfaultfd", false, func() error { return call(unix.SYS_USERFAULTFD, 0, 0, 0) }},
	{"perf_event_open", false, func() error { return call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0) }},
	{"SystemCallArchitectures and filter: kexec_load", false, func() error { return call(unix.SYS_KEXEC_LOAD, 0, 0, 0) }},
	{"IPAddressDeny: multicast", true, sends("239.255.0.1:9")},
	{"LimitCORE: a core dump", false, allowsCore},
	{"another's credentials and keys", false, opens("/etc/linuxguard-bridge/credentials/webhook-secret")},
	{"change the configuration", false, writes("/etc/linuxguard-bridge/config.toml")},
	{"change the program", false, writes("/usr/bin/linuxguard-bridge")},
}

// needed is what the daemon itself must be able to do there.
var needed = []attempt{
	{"write the state", true, writes("/var/lib/linuxguard-bridge/probe")},
	{"write the log", true, writes("/var/log/linuxguard-bridge/probe")},
	{"write the runtime folder", true, writes("/run/linuxguard-bridge/probe")},
	{"read the configuration", true, opens("/etc/linuxguard-bridge/config.toml")},
	{"read the credential", true, readsCredential},
	{"read /etc/resolv.conf's folder", true, lists("/etc")},
	{"listen on TCP", true, listens},
	{"send to a unicast address", true, sends("127.0.0.1:9")},
	{"talk to the journal", true, opensSocket(unix.AF_UNIX, unix.SOCK_DGRAM)},
}

// finding is the outcome of one attempt: empty for success.
type finding struct {
	Name  string
	Error string
}

// report is what the helper says on its standard output, one JSON line.
type report struct {
	Attempts, Needed []finding
	Status           map[string]string // of /proc/self/status
}

// runProbe tries all of it and never fails: the test judges.
func runProbe() int {
	if os.Getuid() == 0 {
		fmt.Fprintln(os.Stderr, "the probe never runs as root")
		return 1
	}
	var r report
	r.Status = map[string]string{}
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		r.Status[key] = strings.TrimSpace(value)
	}
	// First what the daemon needs: an attempt that succeeds may change this process.
	r.Needed, r.Attempts = tryAll(needed), tryAll(attempts)
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 1
	}
	return 0
}

func tryAll(all []attempt) []finding {
	findings := make([]finding, len(all))
	for i, a := range all {
		findings[i].Name = a.name
		if err := a.try(); err != nil {
			findings[i].Error = err.Error()
		}
	}
	return findings
}

func writes(path string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func opens(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func lists(path string) func() error {
	return func() error {
		_, err := os.ReadDir(path)
		return err
	}
}

func readsCredential() error {
	b, err := os.ReadFile(os.Getenv("CREDENTIALS_DIRECTORY") + "/webhook-secret")
	if err == nil && len(bytes.TrimSpace(b)) == 0 {
		err = errors.New("it is empty")
	}
	return err
}

func opensSocket(family, kind int) func() error {
	return func() error {
		fd, err := unix.Socket(family, kind, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

func listens() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

func sends(address string) func() error {
	return func() error {
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // nothing hangs on it
		_, err = conn.Write([]byte("probe"))
		return err
	}
}

func mapsCode() error {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return unix.Munmap(b)
}

// addrNoRandomize is ADDR_NO_RANDOMIZE of personality(2).
const addrNoRandomize = 0x0040000

func changesPersonality() error { return call(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0) }

func wantsRealtime() error {
	parameter := struct{ priority int32 }{1}
	return call(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_RR, uintptr(unsafe.Pointer(&parameter)))
}

func pins() error {
	var set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &set) // to change nothing; an empty set is refused outside too, which the test would tell
	return unix.SchedSetaffinity(0, &set)
}

func makesSetuid() error {
	const path = "/var/lib/linuxguard-bridge/setuid"
	if err := writes(path)(); err != nil {
		return err
	}
	return unix.Chmod(path, unix.S_ISUID|0o700)
}

func readsKernelLog() error {
	_, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, make([]byte, 64))
	return err
}

func allowsCore() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	if limit.Max == 0 {
		return errors.New("the limit is 0")
	}
	return nil
}

// call makes a system call and returns its error, EPERM where the filter refused it.
func call(number, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall6(number, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
