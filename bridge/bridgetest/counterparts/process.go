package counterparts

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 5 * time.Millisecond
)

// process is one counterpart that can be stopped, killed, paused and started again at the same address.
type process struct {
	name  string
	dir   string
	args  []string
	env   []string
	ready []string // "tcp 127.1.2.3:5141": what it must have bound to be ready

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.Closer
	exited chan struct{}
	paused bool
}

// start runs the process and waits until it has bound all that it should.
func (p *process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                             //nolint:errcheck // the child has its own descriptor
	cmd := exec.Command(p.args[0], p.args[1:]...) //nolint:noctx // it outlives the context that bounds its start
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A killed test binary must leave no daemon behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	p.cmd, p.exited = cmd, exited
	if err := p.waitReady(ctx); err != nil {
		p.signalAndWait(syscall.SIGKILL)
		return fmt.Errorf("%s: %w; its last words: %s", p.name, err, p.lastWords())
	}
	return nil
}

func (p *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var missing string
	return poll(ctx, func() (bool, error) {
		select {
		case <-p.exited:
			return false, fmt.Errorf("ended before it was ready (%s)", p.cmd.ProcessState)
		default:
		}
		bound, err := listening(p.cmd.Process.Pid)
		if err != nil {
			return false, err
		}
		for _, want := range p.ready {
			if !bound[want] {
				missing = want
				return false, nil
			}
		}
		return true, nil
	}, func() string { return "didn't bind " + missing })
}

// signalAndWait ends the process; the caller holds the lock.
func (p *process) signalAndWait(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	if p.paused {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		p.paused = false
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	_ = p.stdin.Close()
	p.cmd = nil
}

func (p *process) end(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signalAndWait(sig)
}

func (p *process) pause(t testing.TB, stop bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	sig := syscall.SIGCONT
	if stop {
		sig = syscall.SIGSTOP
	}
	if p.cmd == nil {
		t.Fatalf("%s doesn't run", p.name)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
	p.paused = stop
}

func (p *process) logFile() string { return filepath.Join(p.dir, p.name+".log") }

func (p *process) lastWords() string {
	b, _ := os.ReadFile(p.logFile())
	return lastLines(string(bytes.ToValidUTF8(b, []byte("?"))), 8)
}

// poll calls done until it is true, fails or ctx ends; why says what was waited for.
func poll(ctx context.Context, done func() (bool, error), why func() string) error {
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
