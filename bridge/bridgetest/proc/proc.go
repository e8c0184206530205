// Package proc runs the programs that end-to-end tests need: started until they are ready, stopped, killed, paused and
// started again, and never left behind by a test that dies.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/lines"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 5 * time.Millisecond
)

// Process is one program. The exported fields are set before the first Start; its methods may be called from any
// goroutine.
type Process struct {
	Name string   // in messages, and NAME.log in Dir holds what it prints
	Dir  string   // its working directory
	Args []string // the program and its arguments
	Env  []string // beside the test's own environment
	// Ready reports what is still missing until process pid can be used, or "".
	Ready func(pid int) (missing string, err error)

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.Closer // kept open: some end when it closes
	exited chan struct{}
	paused bool
}

// ErrNotRunning says that there is no process to signal.
var ErrNotRunning = errors.New("it doesn't run")

// Start runs the program and waits until it is ready. One that isn't ready in time is killed.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.Name)
	}
	if err := p.launch(); err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		_ = p.end(syscall.SIGKILL)
		return fmt.Errorf("%s: %w; its last words: %s", p.Name, err, p.LastWords())
	}
	return nil
}

func (p *Process) launch() error {
	log, err := lines.Append(p.LogFile())
	if err != nil {
		return err
	}
	defer log.Close()                             //nolint:errcheck // the child has its own descriptor
	cmd := exec.Command(p.Args[0], p.Args[1:]...) // it outlives the context that bounds its start
	cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A test binary that is killed must leave no daemon behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	p.cmd, p.exited = cmd, exited
	return nil
}

func (p *Process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var missing string
	return Poll(ctx, func() (bool, error) {
		select {
		case <-p.exited:
			return false, fmt.Errorf("it ended before it was ready (%s)", p.cmd.ProcessState)
		default:
		}
		var err error
		missing, err = p.Ready(p.cmd.Process.Pid)
		return missing == "", err
	}, func() string { return "it isn't ready: " + missing })
}

// End sends sig and waits for the process to end; one that doesn't is killed, which End reports. Without a process it
// does nothing.
func (p *Process) End(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(sig)
}

func (p *Process) end(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(sig)
	if p.paused {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		p.paused = false
	}
	var err error
	select {
	case <-p.exited:
		if code := p.cmd.ProcessState.ExitCode(); sig == syscall.SIGTERM && code > 0 {
			err = fmt.Errorf("%s ended with exit code %d: %s", p.Name, code, p.LastWords())
		}
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
		err = fmt.Errorf("%s didn't end within %v of %v and was killed", p.Name, stopTimeout, sig)
	}
	_ = p.stdin.Close()
	p.cmd = nil
	return err
}

// Signal sends sig and doesn't wait.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s: %w", p.Name, ErrNotRunning)
	}
	p.paused = sig == syscall.SIGSTOP || p.paused && sig != syscall.SIGCONT
	return p.cmd.Process.Signal(sig)
}

// PID is the process's, or 0.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// LogFile is where the program's output is, of all its starts.
func (p *Process) LogFile() string { return filepath.Join(p.Dir, p.Name+".log") }

// LastWords is the end of the program's output.
func (p *Process) LastWords() string {
	b, _ := os.ReadFile(p.LogFile())
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(b, []byte("?")))), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Poll calls done until it is true, fails or ctx ends; why says what was waited for.
func Poll(ctx context.Context, done func() (bool, error), why func() string) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", why(), context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
}
