package queue

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// long reports whether the long forms of the tests are wanted (make test-long).
func long() bool { return os.Getenv("LINUXGUARD_LONG") != "" }

// soundFile makes a database with events that are waiting, consumed, held and large, and returns its used part and the
// body of every event by its delivery ID.
func soundFile(t *testing.T) ([]byte, map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	bodies := make(map[string][]byte)
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "a"}, {Name: "b"}}})
	for i := range 150 {
		e := newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i))
		if i%40 == 7 {
			e = newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i), strings.Repeat("x", 9000))
		}
		bodies[e.DeliveryID] = e.Body
		mustAppend(t, q, e, Accepted)
	}
	held := newEvent(t, "held", "held")
	bodies["held"] = held.Body
	if _, err := q.Append(t.Context(), held, "stale"); err != nil {
		t.Fatal(err)
	}
	q.Advance("a", Progress{Through: 60, Runs: []Run{{First: 1, Last: 60, Fate: Delivered}}})
	q.Advance("b", Progress{Through: 40, Runs: []Run{{First: 1, Last: 40, Fate: Delivered}}})
	poll(t, func() bool { return q.Status().FirstSeq == 41 })
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := openPageFile(q.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	file := make([]byte, int64(p.meta.pages)*p.pageSize)
	if _, err := p.file.ReadAt(file, 0); err != nil {
		t.Fatal(err)
	}
	return file, bodies
}

// TestDamagedFile flips and cuts a database at hundreds of places. Whatever is broken: it opens, nothing panics, every
// event that comes out is one that went in, and the queue takes new ones.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	sound, bodies := soundFile(t)
	n := 400
	if long() {
		n = 5000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, file of %d bytes", seed, len(sound))
	rnd := rand.New(rand.NewPCG(seed, 0))
	whole := 0
	for i := range n {
		file := bytes.Clone(sound)
		what := harm(&file, rnd, i)
		if openDamaged(t, file, what, bodies) == 110 {
			whole++
		}
		if t.Failed() {
			t.Fatalf("after: %s", what)
		}
	}
	t.Logf("all 110 waiting events came out in %d of %d cases", whole, n)
	if whole < n/4 {
		t.Errorf("only %d of %d damaged files gave all their events", whole, n)
	}
}

// harm damages a file in one of several ways and says how.
func harm(file *[]byte, rnd *rand.Rand, i int) string {
	b := *file
	pages := len(b) / os.Getpagesize()
	switch i % 5 {
	case 0: // anywhere
		at := rnd.IntN(len(b))
		b[at] ^= byte(1 << rnd.IntN(8))
		return fmt.Sprintf("bit flipped at %d", at)
	case 1: // where the structure is
		at := rnd.IntN(pages)*os.Getpagesize() + rnd.IntN(64)
		b[at] = byte(rnd.Uint32())
		return fmt.Sprintf("byte set at %d", at)
	case 2:
		n := rnd.IntN(len(b))
		*file = b[:n]
		return fmt.Sprintf("truncated to %d", n)
	case 3:
		from := rnd.IntN(pages) * os.Getpagesize()
		clear(b[from : from+os.Getpagesize()])
		return fmt.Sprintf("page at %d zeroed", from)
	default: // a page in another's place
		from, to := rnd.IntN(pages)*os.Getpagesize(), rnd.IntN(pages)*os.Getpagesize()
		copy(b[to:to+os.Getpagesize()], b[from:from+os.Getpagesize()])
		return fmt.Sprintf("page at %d copied to %d", from, to)
	}
}

// openDamaged opens a damaged file, reads all of it and uses it; it returns how many of the waiting events came out.
func openDamaged(t *testing.T, file []byte, what string, bodies map[string][]byte) int {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queue.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	q, err := Open(t.Context(), Options{Directory: dir, Outputs: []OutputSpec{{Name: "a"}, {Name: "b"}}})
	if err != nil {
		t.Errorf("%s: open: %v", what, err)
		return 0
	}
	defer func() {
		if err := q.Close(context.Background()); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	waiting := 0
	last := q.Status().LastSeq
	for after := uint64(0); after < last; {
		events, err := q.Range(t.Context(), after+1, last, 1<<20)
		if err != nil {
			t.Errorf("%s: read after %d: %v", what, after, err)
			return 0
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.Seq <= after || !bytes.Equal(e.Body, bodies[e.DeliveryID]) || e.DeliveryID != fmt.Sprint("d", e.Seq-1) {
				t.Errorf("%s: sequence %d is a wrong event: %s %s", what, e.Seq, e.DeliveryID, e.Body)
			}
			after = e.Seq
			if after > 40 {
				waiting++
			}
		}
	}
	if _, err := q.ListQuarantine(t.Context(), 0, 100, false); err != nil {
		t.Errorf("%s: quarantine: %v", what, err)
	}
	r, err := q.Append(t.Context(), newEvent(t, "new", "new"), "")
	if err != nil || r.Outcome != Accepted || r.Seq <= 0 {
		t.Errorf("%s: append: %+v, %v", what, r, err)
	}
	return waiting
}
