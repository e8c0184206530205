// Command gotest runs `go test` with a limit for the whole run, and says at the limit which packages and tests it was
// waiting for. `go test -timeout` bounds each package alone, and answers with the stacks of all goroutines.
//
//	go run ./bridge/bridgetest/gotest -limit 14m -- -race ./...
//
// What it prints is what `go test` prints: a line for each package, and the output of tests that failed. Arguments behind
// -- go to `go test`; a flag with a value is written with "=".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// farewell is how long the processes have between the signal to end and SIGKILL.
const farewell = 5 * time.Second

func main() {
	limit := flag.Duration("limit", 14*time.Minute, "how long the whole run may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdout, ".", *limit, flag.Args()))
}

// run runs `go test` with args in dir and returns its exit code, 1 at the limit.
func run(ctx context.Context, out io.Writer, dir string, limit time.Duration, args []string) int {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the limit of %v is used up", limit))
	defer cancel()
	packages, err := list(ctx, dir, args)
	if err != nil {
		_, _ = fmt.Fprintln(out, "gotest:", err)
		return 1
	}
	r := newReport(out, packages, time.Now)
	code, err := goTest(ctx, r, dir, limit, args)
	if ctx.Err() != nil {
		r.unfinished(context.Cause(ctx))
		return 1
	}
	if err != nil {
		_, _ = fmt.Fprintln(out, "gotest:", err)
		return 1
	}
	return code
}

// list names the packages that args ask for.
func list(ctx context.Context, dir string, args []string) ([]string, error) {
	command := []string{"list"}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "-tags=") {
			command = append(command, arg)
		}
	}
	cmd := exec.CommandContext(ctx, "go", command...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// goTest feeds r with what `go test` does. When ctx ends, it ends the whole group of processes.
func goTest(ctx context.Context, r *report, dir string, limit time.Duration, args []string) (code int, err error) {
	// Each package's own limit is beyond that of the run: it is for a run whose gotest was killed.
	cmd := exec.Command("go", append([]string{"test", "-json", fmt.Sprintf("-timeout=%v", limit+time.Minute)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		endGroup(ctx, cmd.Process.Pid, ended)
	}()
	readErr := r.read(stdout)
	waitErr := cmd.Wait()
	close(ended)
	<-stopped
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) {
		return exit.ExitCode(), readErr
	}
	return 0, errors.Join(readErr, waitErr)
}

// endGroup ends the processes of group when ctx ends before they do: tests that run daemons have some of their own.
func endGroup(ctx context.Context, group int, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = syscall.Kill(-group, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(farewell):
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}
