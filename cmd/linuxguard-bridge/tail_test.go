package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// tailing is a tail of the built program.
type tailing struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	seen  []string
}

func startTail(t *testing.T, b *bridgetest.Bridge, args ...string) *tailing {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.Binary, append([]string{"tail", "--socket", b.Socket, "--config", b.ConfigPath}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &tailing{t: t, cmd: cmd, lines: make(chan string, 1000)}
	go func() {
		defer close(w.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	return w
}

// await sends signals with post until a line holds all of want: a tail says nothing of when it begins.
func (w *tailing) await(post func(), want ...string) {
	w.t.Helper()
	bridgetest.Eventually(w.t, time.Minute, fmt.Sprint(want), func() bool {
		post()
		for {
			select {
			case line, ok := <-w.lines:
				if !ok {
					w.t.Fatalf("the tail has ended after %q", w.seen)
				}
				w.seen = append(w.seen, line)
				found := true
				for _, text := range want {
					found = found && strings.Contains(line, text)
				}
				if found {
					return true
				}
			case <-time.After(100 * time.Millisecond):
				return false
			}
		}
	})
}

func TestTail(t *testing.T) {
	t.Parallel()
	b := bridgetest.Start(t, bridgetest.Options{Outputs: "[output.archive]\ntype = \"file\"\npath = \"" + filepath.Join(t.TempDir(), "signals") + "\"\n" +
		"[output.down]\ntype = \"syslog\"\naddresses = [\"tcp://127.0.0.1:9\"]\n"})
	client := b.Client(sender.ClientOptions{})
	var last sender.Delivery
	good := func() { last = b.MustPost(client, sender.Sample(4, time.Now(), nil).JSON(), "accepted") }
	all := startTail(t, b)
	all.await(good, " in ", "linuxguard", "accepted", "severity 4", "delivery ")
	all.await(good, " out ", "archive", "delivered", "after ")
	all.await(good, " out ", "down", "failed", "refused")
	all.await(func() {
		if answer, err := client.Post(t.Context(), last); err != nil || answer.Outcome != "duplicate" {
			t.Fatalf("%+v, %v", answer, err)
		}
	}, " in ", "duplicate")
	all.await(func() {
		if _, err := client.Post(t.Context(), last.Forge()); err != nil {
			t.Fatal(err)
		}
	}, " in ", "signature", "401", "from 127.0.0.1")
	b.Reload()
	all.await(good, " out ", "archive", "delivered")

	some := startTail(t, b, "--out", "--output", "archive", "--json", "--count", "2", "--min-severity", "4")
	some.await(good, `"output":"archive"`, `"outcome":"delivered"`, `"severity":4`)
	some.await(good, `"output":"archive"`, `"outcome":"delivered"`)
	if err := some.cmd.Wait(); err != nil {
		t.Errorf("after --count: %v", err)
	}
	for _, line := range some.seen {
		if strings.Contains(line, `"way":"in"`) || strings.Contains(line, `"down"`) {
			t.Errorf("the filters let through %s", line)
		}
	}
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"--endpoint nope", `there is no endpoint "nope": there are linuxguard`, exitUsage}, {"--output nope", `there is no output "nope": there are archive, down`, exitUsage},
		{"--min-severity 6", "from 1 (info) to 5 (critical)", exitUsage},
	} {
		if _, said, code := b.Command(nil, append([]string{"tail", "--socket", b.Socket}, strings.Fields(c.args)...)...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit code %d, said %q", c.args, code, said)
		}
	}

	stopped := startTail(t, b)
	stopped.await(good, "accepted")
	if err := stopped.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := stopped.cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	b.Stop()
	if err := all.cmd.Wait(); err == nil || all.cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("after the daemon's end: %v", err)
	}
	if _, said, code := b.Command(nil, "tail", "--socket", b.Socket); code != exitFailed || !strings.Contains(said, "is it running?") {
		t.Errorf("without a daemon: exit code %d, said %q", code, said)
	}
}

// TestTailThatNobodyReads: a terminal that stands still holds up neither the bridge nor its stop.
func TestTailThatNobodyReads(t *testing.T) {
	t.Parallel()
	b := bridgetest.Start(t, bridgetest.Options{Outputs: "[output.archive]\ntype = \"file\"\npath = \"" + filepath.Join(t.TempDir(), "signals") + "\"\n"})
	client := b.Client(sender.ClientOptions{})
	stuck := startTail(t, b)
	stuck.await(func() { b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted") }, "accepted")
	if err := stuck.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stuck.cmd.Process.Kill() })
	for range 3000 {
		b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted")
	}
	b.Stop() // within the time that it has
}

// TestTailIsTame: nothing that came from outside steers the terminal, as text or as JSON, and JSON says what was left out of it in escapes.
func TestTailIsTame(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b[2J\u0085\u202eb"
	for _, form := range []string{"", "--json"} {
		b := admintest.New(slog.New(slog.DiscardHandler))
		socket := b.Control(t)
		told := make(chan struct{})
		go func() {
			defer close(told)
			for !b.Tail.Watched() {
				time.Sleep(time.Millisecond) // the deadline is the test's
			}
			b.Tail.Tell(&tail.Line{
				At: admintest.Now(), Way: tail.Out, Outcome: "failed", Error: hostile, Output: "siem", DeliveryID: hostile, SignalID: hostile,
				SignalType: hostile, ServerName: hostile, Client: hostile, Severity: 4, Seq: 7,
			})
		}()
		stdout, stderr, code := command(t.Context(), strings.Fields("tail --count 1 --socket "+socket+" "+form)...)
		<-told
		checkTame(t, stdout)
		if code != exitOK || stderr != "" || !strings.Contains(stdout, "siem") || !strings.Contains(stdout, "failed") {
			t.Errorf("%s: exit code %d, said %q, %q", form, code, stdout, stderr)
		}
		var line tail.Line
		if form == "--json" && (json.Unmarshal([]byte(stdout), &line) != nil || line.ServerName != hostile) {
			t.Errorf("the JSON says another name: %s", stdout)
		}
	}
	for _, args := range []string{"tail --in --output siem", "tail --count 0"} {
		if _, stderr, code := command(t.Context(), strings.Fields(args)...); code != exitUsage || stderr == "" {
			t.Errorf("%s: exit code %d, said %q", args, code, stderr)
		}
	}
}
