package queue

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/lines"
)

// The tests that kill, starve or cut the power of a queue run it in a child process: this test binary again, with the
// role in the environment.
const childEnv = "LINUXGUARD_QUEUE_CHILD"

var childRoles = map[string]func() error{
	"produce": childProduce,
	"power":   childPower,
	"syncs":   childSyncErrors,
	"space":   childSpace,
}

func TestMain(m *testing.M) {
	role := os.Getenv(childEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := childRoles[role](); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// child is a running child process. Its standard output is a list of lines that it wrote before it ended, however it ended.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

func startChild(t *testing.T, role string, env ...string) *child {
	t.Helper()
	return runCommand(t, newChild(t, role, env...))
}

func newChild(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, childEnv+"="+role)...)
	cmd.Stderr = os.Stderr
	return cmd
}

func runCommand(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, lines: make(chan string, 1024)}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return c
}

// acknowledged waits for a child that ends well and returns what it said.
func (c *child) acknowledged(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for id := range c.lines {
		all[id] = true
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("child: %v", err)
	}
	if len(all) == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return all
}

// say writes one line at once, so that it is out before anything that comes after.
func say(format string, args ...any) {
	_, _ = os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n")
}

// killAt is a failpoint: it kills this process the nth time that a step is reached. spec is "step:n".
func killAt(spec string) func(string) {
	step, count, ok := strings.Cut(spec, ":")
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic(err)
	}
	var left atomic.Int64
	left.Store(n)
	return func(at string) {
		if at == step && left.Add(-1) == 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
}

const (
	childProducers = 8
	childInterval  = 20 * time.Millisecond
)

// childProduce appends events named by its run until it is killed, says each that was acknowledged, and delivers to a
// file as a recording output would.
func childProduce() error {
	at := killAt(os.Getenv("FAILPOINT"))
	opts := Options{Directory: os.Getenv("DIR"), CursorInterval: childInterval, Outputs: []OutputSpec{{Name: "recorder"}}}
	opts.hooks.at = at
	q, err := Open(context.Background(), opts)
	if err != nil {
		return err
	}
	record, err := lines.Append(os.Getenv("RECORD")) // the child before this one was killed
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for p := range childProducers {
		wg.Go(func() { produceNamed(q, fmt.Sprintf("%s-%d", os.Getenv("RUN"), p), at, func() {}) })
	}
	return deliverTo(q, record, 0)
}

// produceNamed appends events for ever, every tenth twice, and says what was acknowledged.
func produceNamed(q Queue, name string, at func(string), told func()) {
	for i := 0; ; i++ {
		e := namedEvent(fmt.Sprintf("%s-%d", name, i))
		for range 1 + i%10/9 {
			if _, err := q.Append(context.Background(), e, ""); err != nil {
				fmt.Fprintln(os.Stderr, "append:", err)
				os.Exit(1)
			}
		}
		if at != nil {
			at("reply")
		}
		say("%s", e.DeliveryID)
		told()
	}
}

// namedEvent has a body that follows from its delivery ID, so that a wrong body shows.
func namedEvent(id string) *Event {
	body := fmt.Sprintf(`{"event_type":"signal_created","version":"v1","timestamp":"2026-03-02T14:32:02Z","data":{"signal_id":"s-%s"}}`, id)
	return &Event{ReceivedAt: time.Now(), Endpoint: "e", DeliveryID: id, Body: []byte(body)}
}

// deliverTo records every event until last (0: for ever): sequence, ID, time, and whether its body is its own.
func deliverTo(q Queue, record *os.File, last uint64) error {
	after, err := q.Cursor("recorder")
	if err != nil {
		return err
	}
	for last == 0 || after < last {
		events, err := q.Read(context.Background(), after, 50, 1<<20)
		if err != nil {
			return err
		}
		var text strings.Builder
		for _, e := range events {
			own := string(namedEvent(e.DeliveryID).Body) == string(e.Body)
			fmt.Fprintln(&text, e.Seq, e.DeliveryID, time.Now().UnixNano(), own)
		}
		if _, err := record.WriteString(text.String()); err != nil {
			return err
		}
		through := events[len(events)-1].Seq
		q.Advance("recorder", Progress{Through: through, Runs: []Run{{First: after + 1, Last: through, Fate: Delivered}}})
		after = through
	}
	return nil
}
