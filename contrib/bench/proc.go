package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child that is measured: the bridge or a floor.
type process struct {
	cmd    *exec.Cmd
	disk   string // the statistics of the disk that its files are on; empty: unknown
	stderr bytes.Buffer
	peak   atomicMax // RssAnon
	halt   chan struct{}
	wg     sync.WaitGroup
}

// atomicMax remembers the largest value it was shown.
type atomicMax struct {
	mu  sync.Mutex
	max int64
}

func (m *atomicMax) show(v int64) {
	m.mu.Lock()
	m.max = max(m.max, v)
	m.mu.Unlock()
}

func (m *atomicMax) value() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.max
}

// usage is what a process has used so far.
type usage struct {
	cpu   time.Duration // user and system, all threads
	wrote int64         // bytes that its disk has written, whoever for; 0: that can't be told
	anon  int64         // RssAnon now
}

// startProcess starts cmd, whose files are below dir.
func startProcess(cmd *exec.Cmd, dir string) (*process, error) {
	p := &process{cmd: cmd, disk: diskOf(dir), halt: make(chan struct{})}
	cmd.Stderr = &p.stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p.wg.Go(p.watch)
	return p, nil
}

// watch samples the memory, because the kernel keeps no peak of the anonymous part.
func (p *process) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.halt:
			return
		case <-tick.C:
			p.peak.show(p.rssAnon())
		}
	}
}

func (p *process) rssAnon() int64 {
	return procField(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"), "RssAnon:") * 1024
}

// procField reads the number behind name in a "name value" file; 0 when there is none.
func procField(path, name string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// now reads what the process has used until now. CPU comes from the process's own clock: it has no ticks.
func (p *process) now() (usage, error) {
	pid := p.cmd.Process.Pid
	var ts unix.Timespec
	// The clock id of another process's CPU time: clock_getcpuclockid(3).
	clock := int32(^pid<<3) | 2
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return usage{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return usage{cpu: time.Duration(ts.Nano()), wrote: sectorsWritten(p.disk) * 512, anon: p.rssAnon()}, nil
}

// diskOf is where the kernel tells what the disk under dir does. The process's own write_bytes counts whole folios, of
// which the disk may have to write a part only.
func diskOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev))
}

// sectorsWritten is the seventh field of a disk's statistics, in units of 512 bytes (Documentation/block/stat.rst).
func sectorsWritten(stat string) int64 {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 7 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[6], 10, 64)
	return n
}

// stop ends the process in good order, by force after a while.
func (p *process) stop() error {
	close(p.halt)
	p.wg.Wait()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(40*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, p.stderr.String())
	}
	return nil
}

// startFloor starts floor 1 (no file), floor 2 or floor 3 (filled) and returns its address. cert nil: in clear.
func startFloor(ctx context.Context, dir, file string, filled bool, cert *certificate) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	args := []string{"floor", "-file", file, fmt.Sprintf("-filled=%v", filled)}
	if cert != nil {
		args = append(args, "-cert", cert.certFile, "-key", cert.keyFile)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	p, err := startProcess(cmd, dir)
	if err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("floor: %w: %s", err, p.stderr.String())
	}
	return p, strings.TrimSpace(line), nil
}

// bridge is the daemon under test with what the bench knows of it.
type bridge struct {
	*process
	addr    string
	toReady time.Duration
}

// daemon is how a bridge is to be started.
type daemon struct {
	bin      string
	dir      string // of its files
	queue    string // the [queue] table
	capacity int    // dedupe.capacity
	cert     *certificate
	outputs  string // whole tables
	profile  string // folder for profiles; empty: none
}

const configText = `
[server]
listen = ["127.0.0.1:%d"]
%s
[endpoint.linuxguard]
path = "` + hookPath + `"
secrets = ["env:BENCH_SECRET"]
[queue]
%s
max_bytes = "8GiB"
[dedupe]
capacity = %d
[admin]
listen = ""
socket = %q
[log]
level = "warn"
format = "text"
%s`

// start starts the daemon and waits until it says READY=1.
func (d *daemon) start(ctx context.Context) (*bridge, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config, protection := filepath.Join(d.dir, "config.toml"), "plaintext = true"
	if d.cert != nil {
		protection = fmt.Sprintf("tls_cert = %q\ntls_key = %q", d.cert.certFile, d.cert.keyFile)
	}
	text := fmt.Sprintf(configText, port, protection, d.queue, d.capacity, filepath.Join(d.dir, "admin.sock"), d.outputs)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(d.dir, "notify.sock"), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(filepath.Join(d.dir, "notify.sock")) //nolint:errcheck // a temporary folder
	defer notify.Close()                                 //nolint:errcheck // read only
	cmd := exec.CommandContext(ctx, d.bin, "run", "--config", config)
	cmd.Env = append(os.Environ(), "BENCH_SECRET="+hmacKey, "BENCH_TOKEN=00000000-0000-0000-0000-000000000000",
		"NOTIFY_SOCKET="+filepath.Join(d.dir, "notify.sock"))
	if d.profile != "" {
		cmd.Env = append(cmd.Env, "LINUXGUARD_BRIDGE_PROFILE="+d.profile)
	}
	began := time.Now()
	p, err := startProcess(cmd, d.dir)
	if err != nil {
		return nil, err
	}
	if err := waitReady(notify, time.Minute); err != nil {
		_ = p.stop()
		return nil, fmt.Errorf("the bridge did not get ready: %w: %s", err, p.stderr.String())
	}
	return &bridge{p, fmt.Sprintf("127.0.0.1:%d", port), time.Since(began)}, nil
}

func waitReady(notify *net.UnixConn, limit time.Duration) error {
	buf := make([]byte, 4096)
	if err := notify.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return err
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return nil
		}
	}
}

// freePort asks the kernel for a port. Another program could take it before the bridge does; then the bridge says so
// and the bench ends.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
