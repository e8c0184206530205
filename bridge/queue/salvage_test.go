package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSalvageForgetsWhatWasNeverCommitted breaks the file with what a commit leaves that fails between its two syncs:
// its pages are written, its meta page is not. Its append was answered 503, so the sender comes again, and then the event
// must be in the queue, whatever the salvage made of those pages.
func TestSalvageForgetsWhatWasNeverCommitted(t *testing.T) {
	t.Parallel()
	for name, salvageAgain := range map[string]func(*testing.T, *halfCommit) *embedded{
		"in the same process": func(t *testing.T, h *halfCommit) *embedded {
			t.Helper()
			h.clock.add(time.Hour)
			poll(t, func() bool { return h.q.Status().Healthy })
			return h.q
		},
		"after a restart": func(t *testing.T, h *halfCommit) *embedded {
			t.Helper()
			return openTest(t, Options{Directory: h.folderOf(t, h.file)})
		},
		"after a restart, without the event": func(t *testing.T, h *halfCommit) *embedded {
			t.Helper()
			file := bytes.ReplaceAll(h.file, []byte(`"never"`), []byte(`"NEVER"`))
			return openTest(t, Options{Directory: h.folderOf(t, file)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHalfCommit(t)
			q := salvageAgain(t, h)
			if q.salvages.Load() != 1 {
				t.Fatalf("%d salvages", q.salvages.Load())
			}
			r, err := q.Append(t.Context(), h.event, "")
			if n := countEvents(t, q, h.event.Body); err != nil || n != 1 {
				t.Errorf("the retry was answered %+v, %v; the event is %d times in the queue", r, err, n)
			}
			mustAppend(t, q, h.before, Duplicate) // what was committed stays known
		})
	}
}

// halfCommit is a queue whose last append failed and left its pages in the file.
type halfCommit struct {
	q             *embedded
	clock         *fakeClock
	before, event *Event // committed, and not
	file          []byte
}

func newHalfCommit(t *testing.T) *halfCommit {
	t.Helper()
	h := &halfCommit{clock: &fakeClock{at: time.Now()}, event: newEvent(t, "never", "never"), before: newEvent(t, "d", "s")}
	var once sync.Map
	opts := Options{Outputs: []OutputSpec{{Name: "a"}}, Now: h.clock.now, CursorInterval: time.Millisecond}
	opts.hooks.failCommit = func() error {
		if _, on := once.LoadAndDelete("now"); !on {
			return nil
		}
		if err := os.WriteFile(h.q.path+".half", h.file, 0o600); err != nil {
			return err
		}
		return &os.PathError{Op: "write", Path: h.q.path, Err: orEIO(os.Rename(h.q.path+".half", h.q.path))}
	}
	h.q = openTest(t, opts)
	for i := range 11 {
		mustAppend(t, h.q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
	}
	mustAppend(t, h.q, h.before, Accepted)
	h.file = h.afterAppend(t)
	once.Store("now", true)
	if r, err := h.q.Append(t.Context(), h.event, ""); err == nil {
		t.Fatalf("%+v", r)
	}
	return h
}

// orEIO is the failure of the commit, or of making it look so.
func orEIO(err error) error {
	if err != nil {
		return err
	}
	return unix.EIO
}

// afterAppend is the file that the append makes of it, without its meta page. A copy of the queue does the append.
func (h *halfCommit) afterAppend(t *testing.T) []byte {
	t.Helper()
	file, err := os.ReadFile(h.q.path)
	if err != nil {
		t.Fatal(err)
	}
	other := openTest(t, Options{Directory: h.folderOf(t, file)})
	mustAppend(t, other, h.event, Accepted)
	if file, err = os.ReadFile(other.path); err != nil {
		t.Fatal(err)
	}
	clear(file[newestMeta(file)*os.Getpagesize():][:os.Getpagesize()])
	return file
}

func (h *halfCommit) folderOf(t *testing.T, file []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queue.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newestMeta is the page, 0 or 1, that the last transaction wrote.
func newestMeta(file []byte) int {
	txid := func(i int) uint64 { return binary.LittleEndian.Uint64(file[i*os.Getpagesize()+pageHeaderSize+48:]) }
	if txid(1) > txid(0) {
		return 1
	}
	return 0
}

// countEvents reads all that is in the queue, part by part, and counts the events with a body.
func countEvents(t *testing.T, q Queue, body []byte) int {
	t.Helper()
	n := 0
	for after, last := uint64(0), q.Status().LastSeq; ; {
		events, err := q.Range(t.Context(), after+1, last, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			return n
		}
		for _, e := range events {
			if after = e.Seq; bytes.Equal(e.Body, body) {
				n++
			}
		}
	}
}
