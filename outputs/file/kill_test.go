package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

const (
	// killVariable names the file that a child process writes to until it is killed.
	killVariable = "FILE_KILL_PATH"
	// tearVariable names the file in which a child process tears a line.
	tearVariable = "FILE_TEAR_PATH"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(killVariable); path != "" {
		writeForEver(path)
	}
	if path := os.Getenv(tearVariable); path != "" {
		writeTorn(path)
	}
	os.Exit(m.Run())
}

// writeForEver sends records from the sequence after the file's last and prints each that is delivered.
func writeForEver(path string) {
	var t testing.T
	env, _ := outputtest.Env(&t, nil)
	out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("path = %q", path))
	if err != nil {
		panic(err)
	}
	first, _ := strconv.ParseUint(os.Getenv(killVariable+"_FIRST"), 10, 64)
	for seq := first; ; seq += 10 {
		out.Send(context.Background(), outputtest.Records(&t, seq, 10), func(err error) {
			if err != nil {
				panic(err)
			}
			_, _ = fmt.Println(seq)
		})
	}
}

// tearing is a file whose second write ends in the middle, and with it the process.
type tearing struct {
	handle
	writes int
}

func (f *tearing) Write(p []byte) (int, error) {
	if f.writes++; f.writes == 1 {
		return f.handle.Write(p)
	}
	_, _ = f.handle.Write(p[:len(p)*3/4])
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// writeTorn delivers the records 1 and 2, and is killed while it writes 3 to 5.
func writeTorn(path string) {
	var t testing.T
	o := newWith(&outputs.Env{}, settings{Path: setting.WriteFile(path), mode: 0o640}, mapping.NewJSON().Append, func(path string, mode fs.FileMode) (handle, error) {
		f, err := openFile(path, mode)
		return &tearing{handle: f}, err
	})
	first := make(chan error)
	o.Send(context.Background(), outputtest.Records(&t, 1, 2), func(err error) { first <- err })
	if err := <-first; err != nil {
		panic(err)
	}
	o.Send(context.Background(), outputtest.Records(&t, 3, 3), func(err error) { panic(err) })
	select {}
}

// TestTornByAKill: the next process ends the line that a SIGKILL has torn, and what is sent again is whole.
func TestTornByAKill(t *testing.T) {
	t.Parallel()
	o, _, path := trial(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), tearVariable+"="+path)
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	if data, err := os.ReadFile(path); err != nil || bytes.HasSuffix(data, []byte("\n")) {
		t.Fatalf("the child tore no line: %v, %q", err, data)
	}
	mustSend(t, o, 3, 3)
	wantLines(t, path, 1, 2, 3, 4, 0, 3, 4, 5)
}

// TestKilled: what was called delivered is in the file after a SIGKILL, and no line continues a torn one.
func TestKilled(t *testing.T) {
	t.Parallel()
	rounds := 5
	if os.Getenv("LINUXGUARD_LONG") != "" {
		rounds = 100
	}
	path := filepath.Join(t.TempDir(), "signals.ndjson")
	next, acknowledged := uint64(1), map[uint64]bool{}
	for range rounds {
		for _, first := range killedAfter(t, path, next, time.Duration(rand.Int64N(int64(50*time.Millisecond)))) {
			for seq := first; seq < first+10; seq++ {
				acknowledged[seq] = true
			}
			next = max(next, first+10)
		}
		next += 10_000 // beyond whatever was written and not acknowledged
	}
	found := map[uint64]bool{}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := 0
	for line := range bytes.Lines(data) {
		var rec struct {
			Seq uint64 `json:"bridge_seq"`
		}
		if json.Unmarshal(line, &rec) != nil {
			torn++
			continue
		}
		found[rec.Seq] = true
	}
	for seq := range acknowledged {
		if !found[seq] {
			t.Errorf("record %d was called delivered and is not there", seq)
		}
	}
	if torn > rounds {
		t.Errorf("%d torn lines after %d kills", torn, rounds)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was delivered in all rounds: the test shows nothing")
	}
	survived.Note(t, survived.Row{What: "the writer of a file output is killed", Times: rounds, Acknowledged: len(acknowledged), Remark: fmt.Sprintf("%d torn lines, each ended", torn)})
}

// killedAfter runs a writer, kills it some time after its first delivery, and returns the batches that it called delivered.
func killedAfter(t *testing.T, path string, first uint64, after time.Duration) (delivered []uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killVariable+"="+path, fmt.Sprintf("%s_FIRST=%d", killVariable, first))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if len(delivered) == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		seq, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			break // cut by the kill
		}
		delivered = append(delivered, seq)
	}
	_ = cmd.Wait() // killed
	return delivered
}
