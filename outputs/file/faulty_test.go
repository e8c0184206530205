package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// faulty is a real file whose calls fail as a test wants.
type faulty struct {
	*os.File
	faults *faults
}

type faults struct {
	mu       sync.Mutex
	room     int  // bytes that fit before ENOSPC; negative: any number
	once     bool // there is room again after one ENOSPC
	sync     error
	truncate error
	block    chan struct{} // a write waits for it to be closed

	opens, syncs atomic.Int32
}

func (f *faults) open(path string, mode fs.FileMode) (handle, error) {
	f.opens.Add(1)
	h, err := openFile(path, mode)
	if err != nil {
		return nil, err
	}
	return &faulty{h.(*os.File), f}, nil
}

func (f *faulty) Write(p []byte) (int, error) {
	f.faults.mu.Lock()
	block, room := f.faults.block, f.faults.room
	if f.faults.once {
		f.faults.room = -1
	}
	f.faults.mu.Unlock()
	if block != nil {
		<-block
	}
	if room >= 0 && len(p) > room {
		n, err := f.File.Write(p[:room])
		return n, errors.Join(err, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC})
	}
	return f.File.Write(p)
}

func (f *faulty) Sync() error {
	f.faults.syncs.Add(1)
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	if f.faults.sync != nil {
		return f.faults.sync
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(size int64) error {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	if f.faults.truncate != nil {
		return f.faults.truncate
	}
	return f.File.Truncate(size)
}

func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// trial makes an output on a faulty file.
func trial(t *testing.T) (*output, *faults, string) {
	t.Helper()
	f := &faults{room: -1}
	path := filepath.Join(t.TempDir(), "logs", "signals.ndjson")
	o := newWith(&outputs.Env{}, settings{Path: setting.WriteFile(path), mode: 0o640}, mapping.NewJSON().Append, f.open)
	t.Cleanup(func() {
		if err := o.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return o, f, path
}

// send sends n records from seq and returns what became of them.
func send(t *testing.T, o *output, seq uint64, n int) error {
	t.Helper()
	done := make(chan error, 1)
	o.Send(context.Background(), outputtest.Records(t, seq, n), func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(outputtest.Patience()):
		t.Fatal("done was not called")
		return nil
	}
}

func mustSend(t *testing.T, o *output, seq uint64, n int) {
	t.Helper()
	if err := send(t, o, seq, n); err != nil {
		t.Fatal(err)
	}
}

// lines returns the bridge_seq of every whole line, 0 for one that is none of ours, and checks that the last one ends.
func lines(t *testing.T, path string) []uint64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		t.Errorf("%s ends in the middle of a line: %q", path, data[max(0, len(data)-80):])
	}
	var seqs []uint64
	for line := range bytes.Lines(data) {
		var rec struct {
			Seq uint64 `json:"bridge_seq"`
		}
		_ = json.Unmarshal(line, &rec)
		seqs = append(seqs, rec.Seq)
	}
	return seqs
}

func wantLines(t *testing.T, path string, want ...uint64) {
	t.Helper()
	if got := lines(t, path); !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", path, got, want)
	}
}
