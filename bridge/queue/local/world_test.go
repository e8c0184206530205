package local

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
)

// world is a folder on the real file system, for the suite. Each open has a file system of its own, which the world can cut off.
type world struct {
	dir string

	mu      sync.Mutex
	open    map[queue.Queue]*cutFS
	crashAt int // steps from now to the crash; 0: none
	crashed bool
	failing bool
	stalled chan struct{} // closed when writes go on; nil: they do
}

func newWorld(t testing.TB) queuetest.World {
	return &world{dir: t.TempDir(), open: map[queue.Queue]*cutFS{}}
}

// Open implements queuetest.World.
func (w *world) Open(ctx context.Context, o queuetest.Options) (queue.Queue, error) {
	w.mu.Lock()
	w.failing = false
	w.mu.Unlock()
	fs := &cutFS{world: w, below: journal.OS{}}
	q, err := Open(ctx, Options{
		Directory: w.dir, Bridge: o.Bridge, Limits: o.Limits, Capacity: o.Capacity, Window: o.Window,
		ProgressInterval: o.ProgressInterval, Now: o.Now, Log: o.Log, FS: fs, Patience: 1,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		fs.cut = true
		return nil, err
	}
	w.open[q] = fs
	return q, nil
}

// Kill implements queuetest.World.
func (w *world) Kill(q queue.Queue) {
	w.mu.Lock()
	w.open[q].cut = true
	if w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), queuetest.Patience())
	defer cancel()
	_ = q.Close(ctx) // of what it does nothing reaches the files; its goroutines end, and the lock is free as after a death
}

// FailWrites implements queuetest.Failer.
func (w *world) FailWrites(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = on
}

// StallWrites implements queuetest.Staller.
func (w *world) StallWrites(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on && w.stalled == nil {
		w.stalled = make(chan struct{})
	}
	if !on && w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
	}
}

// CrashAt implements queuetest.Crasher.
func (w *world) CrashAt(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashAt, w.crashed = n, false
}

// Crashed implements queuetest.Crasher.
func (w *world) Crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed
}

var (
	errCut  = errors.New("the process is dead")
	errDisk = errors.New("the disk fails")
)

// cutFS is the file system of one open. After the cut nothing reaches the files.
type cutFS struct {
	world *world
	below journal.FS
	cut   bool
}

// step is asked before everything that changes something.
func (f *cutFS) step() error {
	w := f.world
	w.mu.Lock()
	for w.stalled != nil && !f.cut {
		wait := w.stalled
		w.mu.Unlock()
		<-wait
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	if w.crashAt > 0 && !f.cut {
		if w.crashAt--; w.crashAt == 0 {
			f.cut, w.crashed = true, true
		}
	}
	switch {
	case f.cut:
		return errCut
	case w.failing:
		return errDisk
	default:
		return nil
	}
}

func (f *cutFS) Open(name string, flag int, perm os.FileMode) (journal.File, error) {
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		if err := f.step(); err != nil {
			return nil, err
		}
	}
	file, err := f.below.Open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &cutFile{File: file, fs: f}, nil
}

func (f *cutFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.below.Rename(from, to)
}

func (f *cutFS) Remove(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.below.Remove(name)
}

func (f *cutFS) Mkdir(name string, perm os.FileMode) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.below.Mkdir(name, perm)
}

func (f *cutFS) SyncDir(dir string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.below.SyncDir(dir)
}

func (f *cutFS) List(dir string) ([]string, error)      { return f.below.List(dir) }
func (f *cutFS) Stat(name string) (journal.Info, error) { return f.below.Stat(name) }

func (f *cutFS) Lock(name string) (journal.File, error) {
	file, err := f.below.Lock(name)
	if err != nil {
		return nil, err
	}
	return &cutFile{File: file, fs: f}, nil
}

type cutFile struct {
	journal.File
	fs *cutFS
}

func (f *cutFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.step(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f *cutFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *cutFile) Truncate(size int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

var engineOnTrial = queuetest.Engine{Name: "local", New: newWorld, ShortChecks: 15}

func TestSuite(t *testing.T) { queuetest.Run(t, engineOnTrial) }

func TestModel(t *testing.T) { queuetest.RunModel(t, engineOnTrial) }
