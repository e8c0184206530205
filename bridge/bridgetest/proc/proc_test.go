package proc

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string, ready func(int) (string, error)) *Process {
	t.Helper()
	return &Process{Name: "script", Dir: t.TempDir(), Args: []string{"/bin/sh", "-c", script}, Ready: ready}
}

func wordsAppear(p *Process, words string) func(int) (string, error) {
	return func(int) (string, error) {
		if strings.Contains(p.LastWords(), words) {
			return "", nil
		}
		return words + " is not printed", nil
	}
}

func TestStartAndEnd(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo up; exec sleep 60", nil)
	p.Ready = wordsAppear(p, "up")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := p.PID()
	if err := p.Start(t.Context()); err == nil {
		t.Error("it starts twice")
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	if err := p.End(syscall.SIGTERM); err != nil { // a stopped process must be continued to see it
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if err := p.Signal(syscall.SIGHUP); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signal to nobody: %v", err)
	}
	if err := p.End(syscall.SIGTERM); err != nil {
		t.Errorf("a second end: %v", err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo no such luck; exit 3", func(int) (string, error) { return "never ready", nil })
	err := p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("got %v", err)
	}
	p = shell(t, "exec sleep 60", func(int) (string, error) { return "the port", nil })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Start(ctx); err == nil || !strings.Contains(err.Error(), "the port") || p.PID() != 0 {
		t.Errorf("got %v, process %d", err, p.PID())
	}
}

func TestEndReportsAFailure(t *testing.T) {
	t.Parallel()
	p := shell(t, `trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done`, nil)
	p.Ready = wordsAppear(p, "up")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.End(syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(p.LogFile()); err != nil {
		t.Error(err)
	}
}
