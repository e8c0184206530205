package file_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs/file"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// killVariable names the file that a child process writes to until it is killed.
const killVariable = "FILE_KILL_PATH"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(killVariable); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

// writeForEver sends records from the sequence after the file's last and prints each that is delivered.
func writeForEver(path string) {
	var t testing.T
	env, _ := outputtest.Env(&t, nil)
	out, _, err := outputtest.Build(file.Kind(), env, fmt.Sprintf("path = %q", path))
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
