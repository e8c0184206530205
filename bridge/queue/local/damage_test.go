package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal/disktest"
)

// sound is a queue of several segments, closed in good order, and what is in it. The output "slow" has had nothing.
type sound struct {
	disk   *disktest.Disk
	bodies map[uint64]string
	last   uint64
	tail   uint64 // events of the newest group that has any
	items  map[uint64]string
	id     string
}

func soundOptions(d *disktest.Disk) Options {
	return Options{
		Directory: rigFolder, Limits: queue.Limits{MaxBytes: 16 << 20, MaxEventBytes: 80 << 10}, ProgressInterval: time.Millisecond,
		FS: d.FS(), Patience: time.Nanosecond,
	}
}

func newSound(t *testing.T) *sound {
	t.Helper()
	s := &sound{disk: disktest.New(3), bodies: map[uint64]string{}, items: map[uint64]string{}, tail: 1}
	q, err := Open(t.Context(), soundOptions(s.disk))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "slow"}, {Name: "fast"}}); err != nil {
		t.Fatal(err)
	}
	fast, err := q.Claim(t.Context(), "fast")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 90 {
		e := testEvent(i)
		e.Body = append(e.Body, strings.Repeat(" ", 500+(i%3)*30_000)...)
		r, err := q.Append(t.Context(), e, "")
		if err != nil {
			t.Fatal(err)
		}
		s.bodies[r.Seq], s.last = string(e.Body), r.Seq
		fast.Advance(queue.Progress{Through: r.Seq, Outcomes: []queue.OutcomeRange{{First: r.Seq, Last: r.Seq, Outcome: queue.Delivered, At: time.Now()}}})
		if i%20 == 0 {
			if _, err := q.Append(t.Context(), testEvent(1000+i), "stale"); err != nil {
				t.Fatal(err)
			}
		}
	}
	items, err := q.ListDeadLetters(t.Context(), 0, 100, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		s.items[item.ID] = string(item.Event.Body)
	}
	s.id = q.Status().BridgeID
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// harm is one thing that is done to one file.
type harm struct {
	file string
	what string
	edit func([]byte) []byte
}

func (s *sound) draw(rnd *rand.Rand) harm {
	var files []string
	for _, f := range s.disk.Files(rigFolder) {
		if base := path.Base(f); strings.HasSuffix(base, ".seg") || strings.HasSuffix(base, sidecarSuffix) || strings.HasSuffix(base, ".json") {
			files = append(files, f)
		}
	}
	h := harm{file: files[rnd.IntN(len(files))]}
	size := len(s.disk.Content(h.file))
	at := rnd.IntN(size)
	if rnd.IntN(3) > 0 { // most of a segment is bodies: look where the structure is
		at = rnd.IntN(min(size, 10_000))
	}
	switch rnd.IntN(5) {
	case 0:
		h.what = fmt.Sprintf("cut at %d", at)
		h.edit = func(b []byte) []byte { return b[:at] }
	case 1:
		h.what = fmt.Sprintf("a sector of zeros at %d", at)
		h.edit = func(b []byte) []byte { clear(b[at/512*512 : min(len(b), at/512*512+512)]); return b }
	default:
		bit := byte(1) << rnd.IntN(8)
		h.what = fmt.Sprintf("bit %#x at %d", bit, at)
		h.edit = func(b []byte) []byte { b[at] ^= bit; return b }
	}
	return h
}

// TestDamage harms one place of one file at a time. Nothing panics, no wrong event comes, and nothing is lost without a word, but
// for what the package's documentation excepts: the newest group.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := newSound(t)
	var told, lost atomic.Int64
	places := count(40, 5000)
	inParallel(t, places, func(i int) {
		rnd := rand.New(rand.NewPCG(uint64(i), 11))
		h := s.draw(rnd)
		d := s.disk.Clone(uint64(i))
		d.Damage(h.file, h.edit)
		missing, said := s.check(t, d, fmt.Sprintf("%d: %s, %s", i, path.Base(h.file), h.what))
		lost.Add(int64(missing))
		if said {
			told.Add(1)
		}
	})
	survived.Note(t, survived.Row{What: "one bit, one sector or the end of one of the queue's files is damaged", Times: places, Acknowledged: places * len(s.bodies),
		Lost: int(lost.Load()), Remark: fmt.Sprintf("a loss was told %d times; untold only the newest group can be", told.Load())})
}

// check opens a harmed queue and returns how many events are missing, and whether it tells a loss.
func (s *sound) check(t *testing.T, d *disktest.Disk, what string) (missing uint64, told bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := Open(ctx, soundOptions(d))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return 0, false
	}
	defer func() {
		if err := q.Close(ctx); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	if _, err := q.Declare(ctx, []queue.OutputSpec{{Name: "slow", StartAtOldest: true}, {Name: "fast"}}); err != nil {
		t.Errorf("%s: %v", what, err)
		return 0, false
	}
	there := s.readAll(ctx, t, q, what)
	missing = s.last - uint64(len(there))
	onlyTail := q.Status().LastSeq < s.last && uint64(len(there)) == q.Status().LastSeq && missing <= s.tail
	for deadline := time.Now().Add(patience); missing > 0 && q.Status().Losses == 0 && !onlyTail; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s: %d events are missing without a word, the last is %d", what, missing, q.Status().LastSeq)
			return missing, false
		}
	}
	s.checkLetters(ctx, t, q, what)
	return missing, q.Status().Losses > 0
}

// readAll reads what the slow output gets, and complains about what it should not.
func (s *sound) readAll(ctx context.Context, t *testing.T, q queue.Queue, what string) map[uint64]bool {
	t.Helper()
	there := map[uint64]bool{}
	tenure, err := q.Claim(ctx, "slow")
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return there
	}
	for at, last := uint64(0), q.Status().LastSeq; at < last; {
		b, err := tenure.Read(ctx, at, 50, 1<<20)
		if err != nil {
			t.Errorf("%s: read after %d: %v", what, at, err)
			return there
		}
		for _, e := range b.Events {
			if s.bodies[e.Seq] != string(e.Body) {
				t.Errorf("%s: sequence %d is %.100q", what, e.Seq, e.Body)
			}
			there[e.Seq] = true
		}
		at = b.Through
	}
	return there
}

// checkLetters: a dead letter is what it was, or said to be damaged, or a loss is told.
func (s *sound) checkLetters(ctx context.Context, t *testing.T, q queue.Queue, what string) {
	t.Helper()
	items, err := q.ListDeadLetters(ctx, 0, 100, false)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, item := range items {
		if item.Damaged == "" && s.items[item.ID] != string(item.Event.Body) {
			t.Errorf("%s: dead letter %d is %.100q", what, item.ID, item.Event.Body)
		}
		if _, err := q.Resend(ctx, item.ID, []string{"fast"}); (err != nil) != (item.Damaged != "") && !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%s: re-send of dead letter %d (damaged: %q): %v", what, item.ID, item.Damaged, err)
		}
	}
	if len(items) < len(s.items) && q.Status().Losses == 0 {
		t.Errorf("%s: %d of %d dead letters are left, and no loss is told", what, len(items), len(s.items))
	}
}

// TestRetiredSegmentIsBack: a power cut may undo the deletion of one file and not that of another, so that any of the segments that were
// given up may be there again, with a hole behind it. All that was in them had been delivered: nothing is told to be lost.
func TestRetiredSegmentIsBack(t *testing.T) {
	t.Parallel()
	d := disktest.New(5)
	q, err := Open(t.Context(), soundOptions(d))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "slow"}}); err != nil {
		t.Fatal(err)
	}
	slow, err := q.Claim(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	id := q.Status().BridgeID
	seen := map[string][]byte{} // every segment as it was last
	var last uint64
	retired := func() []string {
		there := d.Files(rigFolder)
		var names []string
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			if !slices.Contains(there, name) {
				names = append(names, name)
			}
		}
		return names
	}
	for i, deadline := 0, time.Now().Add(patience); len(retired()) < 4; i++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d events only %v are retired", i, retired())
		}
		e := testEvent(i)
		e.Body = append(e.Body, strings.Repeat(" ", 60_000)...)
		r, err := q.Append(t.Context(), e, "")
		if err != nil {
			t.Fatal(err)
		}
		last = r.Seq
		slow.Advance(queue.Progress{Through: last, Outcomes: []queue.OutcomeRange{{First: last, Last: last, Outcome: queue.Delivered, At: time.Now()}}})
		for _, f := range d.Files(rigFolder) {
			if strings.HasSuffix(f, ".seg") {
				seen[f] = d.Content(f)
			}
		}
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := retired()
	for mask := range 1 << len(gone) {
		d := d.Clone(uint64(mask))
		var back []string
		for i, name := range gone {
			if mask&(1<<i) != 0 {
				d.Put(name, seen[name])
				back = append(back, path.Base(name))
			}
		}
		openWithRetired(t, d, id, last, strings.Join(back, ", "))
	}
}

// openWithRetired opens a queue in which some retired segments are back, and goes on in it.
func openWithRetired(t *testing.T, d *disktest.Disk, id string, last uint64, what string) {
	t.Helper()
	q, err := Open(t.Context(), soundOptions(d))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() {
		if err := q.Close(context.Background()); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "slow"}}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if st := q.Status(); st.Losses != 0 || st.BridgeID != id || st.LastSeq != last {
		t.Errorf("%s: %d losses, the last sequence is %d (was %d), bridge ID %s (was %s)", what, st.Losses, st.LastSeq, last, st.BridgeID, id)
	}
	e := testEvent(9000)
	r, err := q.Append(t.Context(), e, "")
	if err != nil || r.Seq != last+1 {
		t.Fatalf("%s: the next event is %+v, %v", what, r, err)
	}
	slow, err := q.Claim(t.Context(), "slow")
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	b, err := slow.Read(t.Context(), slow.Cursor(), 50, 1<<20)
	if err != nil || len(b.Events) != 1 || b.Events[0].Seq != last+1 || len(b.Gaps) != 0 {
		t.Errorf("%s: behind the cursor %d there is %+v, %v", what, slow.Cursor(), b, err)
	}
	if n := q.Status().Losses; n != 0 {
		t.Errorf("%s: %d losses are told later", what, n)
	}
}
