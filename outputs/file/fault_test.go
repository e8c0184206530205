package file

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func TestNoSpace(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 2)
	f.set(func(f *faults) { f.room = 900 }) // one line and a half
	err := send(t, o, 3, 3)
	var blocked *outputs.BlockedError
	if !errors.Is(err, syscall.ENOSPC) || errors.As(err, &blocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk may pass: %v", err)
	}
	if o.Status().State != outputs.StateDown {
		t.Errorf("state %q", o.Status().State)
	}
	wantLines(t, path, 1, 2)
	f.set(func(f *faults) { f.room = -1 })
	mustSend(t, o, 3, 3)
	wantLines(t, path, 1, 2, 3, 4, 5)
}

// TestTornLine: where a half line can't be taken back, the next line doesn't continue it.
func TestTornLine(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.room, f.truncate = 100, syscall.EIO })
	if err := send(t, o, 2, 1); err == nil {
		t.Fatal("a failed write was called delivered")
	}
	f.set(func(f *faults) { f.room, f.truncate = -1, nil })
	mustSend(t, o, 2, 1)
	mustSend(t, o, 3, 1)
	wantLines(t, path, 1, 0, 2, 3)
}

// TestTornAtOpen: neither does it continue what a crash, or somebody else, left.
func TestTornAtOpen(t *testing.T) {
	t.Parallel()
	o, _, path := trial(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"bridge_seq":7}`+"\n"+`{"bridge_s`), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 8, 1)
	wantLines(t, path, 7, 0, 8)
}

// TestSyncFails: nothing is delivered, and the file is opened anew before anything else is believed.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.sync = syscall.EIO })
	if err := send(t, o, 2, 2); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	opens := f.opens.Load()
	f.set(func(f *faults) { f.sync = nil })
	mustSend(t, o, 2, 2)
	if f.opens.Load() != opens+1 {
		t.Error("the file was not opened anew after a failed fsync")
	}
	wantLines(t, path, 1, 2, 3)
}

// TestRotated: what logrotate does, and what people do.
func TestRotated(t *testing.T) {
	t.Parallel()
	o, _, path := trial(t)
	mustSend(t, o, 1, 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 3, 1)
	wantLines(t, path+".1", 1, 2)
	wantLines(t, path, 3)
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	mustSend(t, o, 4, 1)
	wantLines(t, path, 4)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 5, 1)
	wantLines(t, path, 5)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // logrotate's create
		t.Fatal(err)
	}
	mustSend(t, o, 6, 1)
	wantLines(t, path, 6)
}

// TestOneSync: batches that wait share one fsync.
func TestOneSync(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	block := make(chan struct{})
	f.set(func(f *faults) { f.block = block })
	const n = 50
	var all sync.WaitGroup
	for seq := uint64(1); seq <= n; seq++ {
		all.Add(1)
		o.Send(context.Background(), outputtest.Records(t, seq, 1), func(err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
		})
	}
	close(block)
	all.Wait()
	if got := f.syncs.Load(); got > 3 {
		t.Errorf("%d fsyncs for %d batches that waited", got, n)
	}
	if got := lines(t, path); len(got) != n || !slices.IsSorted(got) {
		t.Errorf("arrived %v", got)
	}
}

// TestFailsTogether: what waits behind a failed write fails with it, or it would stand before what is sent again.
func TestFailsTogether(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	block := make(chan struct{})
	f.set(func(f *faults) { f.block, f.room, f.once = block, 10, true })
	const n = 20
	results := make(chan error, n)
	for seq := uint64(1); seq <= n; seq++ {
		o.Send(context.Background(), outputtest.Records(t, seq, 1), func(err error) { results <- err })
	}
	close(block)
	for range n {
		if err := <-results; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
	wantLines(t, path)
}

// TestALostFileIsNotCut: what a failed append has left may stand before the next owner's lines by now.
func TestALostFileIsNotCut(t *testing.T) {
	t.Parallel()
	f := &faults{room: 10}
	path := filepath.Join(t.TempDir(), "x")
	var looks atomic.Int32
	env := &outputs.Env{Valid: func() bool { return looks.Add(1) == 1 }}
	o := newWith(env, settings{Path: setting.WriteFile(path), mode: 0o640}, mapping.NewJSON().Append, f.open)
	if err := send(t, o, 1, 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if err := send(t, o, 1, 1); !errors.Is(err, outputs.ErrNotOwner) {
		t.Errorf("got %v", err)
	}
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || len(data) != 10 {
		t.Errorf("%q, %v: want the ten bytes that were written", data, err)
	}
}

// TestBlockedWrite: a write that never ends (a dead network file system) holds neither the batch's context nor Close.
func TestBlockedWrite(t *testing.T) {
	t.Parallel()
	f := &faults{room: -1, block: make(chan struct{})}
	o := newWith(&outputs.Env{}, settings{Path: setting.WriteFile(filepath.Join(t.TempDir(), "x")), mode: 0o640}, mapping.NewJSON().Append, f.open)
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 2)
	o.Send(ctx, outputtest.Records(t, 1, 1), func(err error) { results <- err })
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	o.Send(context.Background(), outputtest.Records(t, 2, 1), func(err error) { results <- err })
	closing, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := o.Close(closing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(f.block)
	<-o.ended
	if len(results) != 0 {
		t.Error("done was called twice")
	}
}

func TestStandardOutput(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f := &faults{room: -1}
	o := newWith(&outputs.Env{}, settings{Path: setting.WriteFile(stdout)}, mapping.NewJSON().Append, func(string, fs.FileMode) (handle, error) { return &faulty{w, f}, nil })
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.room = 5 })
	if err := send(t, o, 2, 1); err == nil {
		t.Error("a short write was called delivered")
	}
	f.set(func(f *faults) { f.room = -1 })
	mustSend(t, o, 2, 1)
	if s := o.Status(); s.Level != outputs.Written || f.syncs.Load() != 0 {
		t.Errorf("level %v after %d fsyncs of a pipe", s.Level, f.syncs.Load())
	}
	if err := errors.Join(o.Close(context.Background()), w.Close()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	if len(got) != 4 || !strings.Contains(got[0], `"bridge_seq":1`) || got[1] != `{"ten` || !strings.Contains(got[2], `"bridge_seq":2`) || got[3] != "" {
		t.Errorf("got %q", got)
	}
}
