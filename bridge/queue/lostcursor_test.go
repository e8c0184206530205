package queue

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// lagging makes a database in which output a is past all of its 20 events and b past the first 5. It was just written
// anew, so that it holds nothing twice.
func lagging(t *testing.T) []byte {
	t.Helper()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}, {Name: "b"}}})
	for i := range 20 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
	}
	q.Advance("a", Progress{Through: 20, Runs: []Run{{First: 1, Last: 20, Fate: Delivered}}})
	q.Advance("b", Progress{Through: 5, Runs: []Run{{First: 1, Last: 5, Fate: Delivered}}})
	poll(t, func() bool { return q.Status().FirstSeq == 6 })
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return compacted(t, q.path)
}

func compacted(t *testing.T, path string) []byte {
	t.Helper()
	from, err := openDatabase(path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := openDatabase(path+".anew", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{bbolt.Compact(to, from, 0), to.Close(), from.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path + ".anew")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// withoutRoot zeroes the page with the cursors and the state.
func withoutRoot(t *testing.T, file []byte) []byte {
	t.Helper()
	p := pagesOf(t, file)
	clear(file[int64(p.meta.root)*p.pageSize:][:p.pageSize])
	return file
}

// withoutCursor breaks the cursor of b alone, and a meta page, so that the file is salvaged.
func withoutCursor(t *testing.T, file []byte) []byte {
	t.Helper()
	value := encodeCursor(5, []byte("b"))
	if !bytes.Contains(file, value) {
		t.Fatal("no cursor")
	}
	file = bytes.ReplaceAll(file, value, make([]byte, len(value)))
	clear(file[(1-newestMeta(file))*os.Getpagesize():][:os.Getpagesize()])
	return file
}

// TestSalvageWithoutCursors salvages databases in which a cursor is not to be found. Its output must get all that it has
// not had, whenever the queue is told of it.
func TestSalvageWithoutCursors(t *testing.T) {
	t.Parallel()
	outputs := []OutputSpec{{Name: "a"}, {Name: "b"}}
	for name, broken := range map[string]func(*testing.T, []byte) []byte{"root page": withoutRoot, "one cursor": withoutCursor} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "queue.db"), broken(t, lagging(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			var log logBuffer
			q := openTest(t, Options{Directory: dir, CursorInterval: time.Millisecond, Log: log.logger()})
			rounds := q.rounds.Load()
			poll(t, func() bool { return q.rounds.Load() > rounds+5 }) // what is consumed is deleted in them
			if _, err := q.SetOutputs(t.Context(), outputs); err != nil {
				t.Fatal(err)
			}
			expectWaiting(t, q, "b")
			if q.salvages.Load() != 1 || !log.has("no cursor of an output") {
				t.Errorf("log: %s", log.b.String())
			}
			if err := q.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			q = openTest(t, Options{Directory: dir, Outputs: append(outputs, OutputSpec{Name: "new"})})
			expectWaiting(t, q, "b")
			if at, err := q.Cursor("new"); err != nil || at != 20 {
				t.Errorf("an output that is new long after the salvage begins after %d, %v", at, err)
			}
			expectDeletion(t, q, "a", "b", "new")
		})
	}
}

// expectWaiting wants the events 6 to 20 to wait for an output.
func expectWaiting(t *testing.T, q *embedded, output string) {
	t.Helper()
	at, err := q.Cursor(output)
	events := uint64(0)
	for after := at; after < 20 && err == nil; events++ {
		var got []*Event
		if got, err = q.Range(t.Context(), after+1, 20, 1); len(got) == 0 {
			break
		}
		after = got[0].Seq
	}
	if err != nil || at > 5 || events < 15 {
		t.Errorf("%s is at %d, %d events wait, %v", output, at, events, err)
	}
}

// expectDeletion wants what every output is past to be deleted.
func expectDeletion(t *testing.T, q *embedded, outputs ...string) {
	t.Helper()
	for _, name := range outputs {
		q.Advance(name, Progress{Through: 20, Runs: []Run{{First: 1, Last: 20, Fate: Delivered}}})
	}
	poll(t, func() bool { return q.Status().Events == 0 })
}

// TestSalvageUnderRunningOutputs loses the cursors while the outputs run: the salvage has them from memory, so that neither
// deletions end nor the next start takes an output for a new one.
func TestSalvageUnderRunningOutputs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	file := lagging(t)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	clock := &fakeClock{at: time.Now()}
	outputs := []OutputSpec{{Name: "a"}, {Name: "b"}}
	var fail sync.Map
	opts := Options{Directory: dir, Outputs: outputs, Now: clock.now, CursorInterval: time.Millisecond}
	opts.hooks.failCommit = func() error {
		if _, on := fail.LoadAndDelete("now"); !on {
			return nil
		}
		if err := os.WriteFile(path+".broken", withoutRoot(t, file), 0o600); err != nil {
			return err
		}
		return &os.PathError{Op: "write", Path: path, Err: orEIO(os.Rename(path+".broken", path))}
	}
	q := openTest(t, opts)
	fail.Store("now", true)
	if r, err := q.Append(t.Context(), newEvent(t, "d", "s"), ""); err == nil {
		t.Fatalf("%+v", r)
	}
	clock.add(time.Hour)
	poll(t, func() bool { return q.Status().Healthy })
	if q.salvages.Load() != 1 {
		t.Fatal("no salvage")
	}
	expectWaiting(t, q, "b")
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	q = openTest(t, Options{Directory: dir, Outputs: outputs, CursorInterval: time.Millisecond})
	if at, err := q.Cursor("a"); err != nil || at != 20 {
		t.Errorf("a is at %d, %v", at, err)
	}
	expectWaiting(t, q, "b")
	expectDeletion(t, q, "b")
}
