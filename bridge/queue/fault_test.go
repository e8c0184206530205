package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFailedSyncs makes syncs and writes of a queue's file fail, with what was written lost and with it kept by the page
// cache. Nothing acknowledged may be lost, and a file whose sync failed must never be synced again.
func TestFailedSyncs(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"lost sync", "pretended sync", "write"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := newFolder(t)
			acknowledged := startChild(t, "syncs", "DIR="+dir, "MODE="+mode).acknowledged(t)
			if lost := lostOf(t, dir, acknowledged); lost > 0 {
				t.Errorf("%d of %d acknowledged events are lost", lost, len(acknowledged))
			}
		})
	}
}

// newFolder is a folder with an empty queue.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "recorder"}}})
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// childSyncErrors appends while every thirtieth call on the file fails, five times.
func childSyncErrors() error {
	dir, mode := os.Getenv("DIR"), os.Getenv("MODE")
	in, err := intercept(filepath.Join(dir, "queue.db"))
	if err != nil {
		return err
	}
	call := "sync"
	if mode == "write" {
		call = "write"
	}
	faults := &faultEvery{call: call, every: 30, left: 5, failed: make(map[identity]bool)}
	in.mu.Lock()
	in.lose, in.decide = mode == "lost sync", faults.decide
	in.mu.Unlock()
	q, err := Open(context.Background(), Options{Directory: dir, CursorInterval: childInterval, Outputs: []OutputSpec{{Name: "recorder"}}})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var unavailable atomic.Int64
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for p := range childProducers {
		wg.Go(func() { appendStubbornly(ctx, q, fmt.Sprint(p), 120, &unavailable) })
	}
	wg.Wait()
	if s := q.Status(); !s.Healthy || unavailable.Load() == 0 || faults.done() < 5 {
		return fmt.Errorf("healthy %v (%s), %d appends refused, %d faults", s.Healthy, s.Problem, unavailable.Load(), faults.done())
	}
	if err := faults.err(); err != nil {
		return err
	}
	return q.Close(ctx)
}

// appendStubbornly appends n events, each until it is acknowledged, as a sender retries.
func appendStubbornly(ctx context.Context, q Queue, name string, n int, unavailable *atomic.Int64) {
	for i := 0; i < n && ctx.Err() == nil; {
		e := namedEvent(fmt.Sprintf("%s-%d", name, i))
		_, err := q.Append(ctx, e, "")
		if err == nil {
			say("%s", e.DeliveryID)
			i++
			continue
		}
		if !errors.Is(err, ErrUnavailable) {
			fmt.Fprintln(os.Stderr, "append:", err)
		}
		unavailable.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// faultEvery fails every nth call of a kind, and complains about a sync of a file whose sync or write has failed.
type faultEvery struct {
	mu     sync.Mutex
	call   string
	every  int
	left   int
	count  int
	faults int
	failed map[identity]bool
	again  error
}

func (f *faultEvery) decide(call string, file identity) unix.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call == "sync" && f.failed[file] {
		f.again = errors.New("a file whose sync had failed was synced again")
	}
	if call != f.call {
		return 0
	}
	if f.count++; f.count%f.every != 0 || f.left == 0 {
		return 0
	}
	f.left--
	f.faults++
	f.failed[file] = true
	return unix.EIO
}

func (f *faultEvery) done() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

func (f *faultEvery) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again
}

// TestNoSpace fills the disk under a queue: by errors of the calls, by a file-size limit and on a small file system.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"write fails", "file-size limit", "small tmpfs"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := newFolder(t)
			env := []string{"DIR=" + dir, "MODE=" + mode}
			c := newChild(t, "space", env...)
			if mode == "small tmpfs" {
				c.SysProcAttr = ownMounts()
			}
			acknowledged := runCommand(t, c).acknowledged(t)
			if mode == "small tmpfs" {
				return // gone with the child, which has checked it
			}
			if lost := lostOf(t, dir, acknowledged); lost > 0 {
				t.Errorf("%d of %d acknowledged events are lost", lost, len(acknowledged))
			}
		})
	}
}

// ownMounts lets a child mount without being root.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// childSpace fills a queue until there is no room, checks how it behaves, makes room and checks that it recovers.
func childSpace() error {
	dir := os.Getenv("DIR")
	shortage, err := newShortage(dir, os.Getenv("MODE"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	q, err := Open(ctx, Options{Directory: dir, CursorInterval: childInterval, Outputs: []OutputSpec{{Name: "recorder"}}})
	if err != nil {
		return err
	}
	first, last, err := fillUp(ctx, q, shortage.begin)
	if err != nil {
		return err
	}
	if s := q.Status(); s.Healthy || s.Problem == "" {
		return fmt.Errorf("it calls itself healthy without room: %+v", s)
	}
	if r, err := q.Append(ctx, first, ""); err != nil || r.Outcome != Duplicate {
		return fmt.Errorf("a known duplicate without room: %+v, %w", r, err)
	}
	shortage.end()
	for !q.Status().Healthy { // without any append
		if ctx.Err() != nil {
			return errors.New("it does not recover by itself")
		}
		time.Sleep(time.Millisecond)
	}
	if r, err := q.Append(ctx, last, ""); err != nil || r.Outcome != Accepted {
		return fmt.Errorf("append after the shortage: %+v, %w", r, err)
	}
	say("%s", last.DeliveryID)
	events, err := q.Range(ctx, 1, q.Status().LastSeq, 1<<30)
	if err != nil || len(events) == 0 || events[0].DeliveryID != first.DeliveryID {
		return fmt.Errorf("read after the shortage: %d events, %w", len(events), err)
	}
	return q.Close(ctx)
}

// fillUp appends until there is no room and returns the first event and the one that found none.
func fillUp(ctx context.Context, q Queue, begin func()) (first, last *Event, err error) {
	for i := 0; ; i++ {
		e := namedEvent(fmt.Sprint("fill-", i))
		e.Header = []Header{{"X", strings.Repeat("x", 20_000)}}
		if i == 20 {
			begin()
		}
		_, err := q.Append(ctx, e, "")
		switch {
		case errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
			return first, e, nil
		case err != nil:
			return nil, nil, err
		case i == 0:
			first = e
		}
		say("%s", e.DeliveryID)
	}
}

// shortage is a way to have no room.
type shortage struct{ begin, end func() }

func newShortage(dir, mode string) (shortage, error) {
	switch mode {
	case "write fails":
		return failingWrites(dir)
	case "file-size limit":
		signal.Ignore(syscall.SIGXFSZ)
		limit := func(n uint64) func() {
			return func() {
				if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}); err != nil {
					panic(err)
				}
			}
		}
		return shortage{begin: limit(1 << 20), end: limit(unix.RLIM_INFINITY)}, nil
	default:
		return smallFileSystem(dir)
	}
}

func failingWrites(dir string) (shortage, error) {
	in, err := intercept(filepath.Join(dir, "queue.db"))
	if err != nil {
		return shortage{}, err
	}
	set := func(decide func(string, identity) unix.Errno) func() {
		return func() {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.decide = decide
		}
	}
	full := func(call string, _ identity) unix.Errno {
		if call == "write" {
			return unix.ENOSPC
		}
		return 0
	}
	return shortage{begin: set(full), end: set(nil)}, nil
}

// smallFileSystem mounts a tmpfs of 4 MiB over dir and keeps 1 MiB of it as ballast until the end of the shortage.
func smallFileSystem(dir string) (shortage, error) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		return shortage{}, fmt.Errorf("mount a tmpfs (user namespaces or root are needed): %w", err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return shortage{}, err
	}
	return shortage{begin: func() {}, end: func() { _ = os.Remove(ballast) }}, nil
}
