// Package survived notes what the long tests have put up with, for the table in contrib/bench/RESULTS.md.
package survived

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Variable names the environment variable that holds the file to which rows are appended; without it they are only logged.
const Variable = "LINUXGUARD_SURVIVED"

// Row is what one test, or a part of it, has done and found.
type Row struct {
	What         string // what was done to the bridge, the disk or the receiver
	Times        int
	Acknowledged int // signals that were answered 200, or records that were handed over
	Lost         int // of those: what never arrived and can't be read any more
	Remark       string
}

// Note writes a row down. It is called at a test's end; of a test that has failed by then nothing is noted.
func Note(t testing.TB, r Row) {
	t.Helper()
	if t.Failed() {
		return
	}
	line := fmt.Sprintf("| %s | %d | %d | %d | %s | `%s` |\n", r.What, r.Times, r.Acknowledged, r.Lost, r.Remark, t.Name())
	t.Log(strings.TrimSpace(line))
	path := os.Getenv(Variable)
	if path == "" {
		return
	}
	// One write a row: several packages' tests append at the same time.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := f.WriteString(line); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
