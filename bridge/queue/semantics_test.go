package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// logBuffer collects what a queue logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestFailedCommitLeavesNoTrace(t *testing.T) {
	t.Parallel()
	clock := &fakeClock{at: time.Now()}
	var fail sync.Map
	opts := Options{Outputs: []OutputSpec{{Name: "a"}}, Now: clock.now, CursorInterval: time.Millisecond}
	opts.hooks.failCommit = func() error {
		if _, on := fail.Load("now"); on {
			return errors.New("the disk is gone")
		}
		return nil
	}
	q := openTest(t, opts)
	mustAppend(t, q, newEvent(t, "d0", "s0"), Accepted)
	fail.Store("now", true)
	e := newEvent(t, "d1", "s1")
	var wg sync.WaitGroup
	for i := range 8 { // duplicates in flight share the failure
		wg.Go(func() {
			if r, err := q.Append(t.Context(), eventWithBody(t, fmt.Sprint(i), e.Body), ""); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	if s := q.Status(); s.Healthy || s.LastSeq != 1 {
		t.Errorf("%+v", s)
	}
	fail.Delete("now")
	poll(t, func() bool { clock.add(time.Second); return q.Status().Healthy })
	if r := mustAppend(t, q, e, Accepted); r.Seq != 2 {
		t.Errorf("sequence %d, want 2", r.Seq)
	}
}

func TestAbandonedAppend(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 1), make(chan struct{})
	var stopAt sync.Map
	opts := Options{Outputs: []OutputSpec{{Name: "a"}}}
	opts.hooks.at = func(step string) {
		if _, on := stopAt.LoadAndDelete(step); on {
			reached <- struct{}{}
			<-release
		}
	}
	q := openTest(t, opts)
	stopAt.Store("filled", true)
	ctx, cancel := context.WithCancel(t.Context())
	begun, waiting := make(chan error, 1), make(chan error, 1)
	first, second := newEvent(t, "d1", "s1"), newEvent(t, "d2", "s2")
	go func() { _, err := q.Append(ctx, first, ""); begun <- err }()
	<-reached
	go func() { _, err := q.Append(ctx, second, ""); waiting <- err }()
	poll(t, func() bool { q.intake.mu.Lock(); defer q.intake.mu.Unlock(); return len(q.intake.queue) == 1 })
	cancel()
	for _, ended := range []chan error{begun, waiting} {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	close(release)
	// The one whose commit had begun is remembered although nobody waited for it; the other was never tried.
	mustAppend(t, q, first, Duplicate)
	mustAppend(t, q, second, Accepted)
}

func TestFullWarnings(t *testing.T) {
	t.Parallel()
	var log logBuffer
	q := openTest(t, Options{MaxBytes: 5000, Log: log.logger(), Outputs: []OutputSpec{{Name: "fast"}, {Name: "stuck"}}})
	for i := range 30 {
		r, err := q.Append(t.Context(), newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), "")
		if err != nil {
			break
		}
		q.Advance("fast", Progress{Through: r.Seq})
	}
	for _, percent := range []string{"percent=5", "percent=8", "percent=100"} {
		if !log.has(percent) {
			t.Errorf("no warning with %s: %s", percent, log.b.String())
		}
	}
	if !log.has("output=stuck") || log.has("output=fast") {
		t.Errorf("the warning names another output: %s", log.b.String())
	}
}

func TestQuarantineAllowance(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{QuarantineMaxBytes: 2000, Outputs: []OutputSpec{{Name: "a"}}})
	var err error
	held := 0
	for ; err == nil; held++ {
		_, err = q.Append(t.Context(), newEvent(t, fmt.Sprint("d", held), fmt.Sprint("s", held)), "not json")
	}
	if !errors.Is(err, ErrFull) || held < 3 {
		t.Fatalf("after %d: %v", held, err)
	}
	if err := q.Quarantine(t.Context(), []QuarantineItem{{Reason: "refused", Output: "a", Event: *newEvent(t, "x", "x")}}); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	mustAppend(t, q, newEvent(t, "d", "s"), Accepted) // the queue has an allowance of its own
	if err := q.DropQuarantine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := q.DropQuarantine(t.Context(), 1); err == nil {
		t.Error("a deleted item was deleted again")
	}
	if _, err := q.Append(t.Context(), newEvent(t, "d0", "s0"), "not json"); err != nil {
		t.Error(err)
	}
}

func TestRefusedRecordIsResentToItsOutput(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}, {Name: "b"}}})
	e := newEvent(t, "d1", "s1")
	mustAppend(t, q, e, Accepted)
	if err := q.Quarantine(t.Context(), []QuarantineItem{{Reason: "too long", Output: "b", Event: *e}}); err != nil {
		t.Fatal(err)
	}
	seq, err := q.Resend(t.Context(), 1, nil)
	if err != nil || seq != 2 {
		t.Fatal(seq, err)
	}
	got := readAll(t, q, 1, 2)[0]
	if got.ResendOf != 1 || len(got.Only) != 1 || got.Only[0] != "b" {
		t.Errorf("%+v", got)
	}
	if seen, err := q.Find(t.Context(), "s1"); err != nil || len(seen) != 2 {
		t.Errorf("%+v, %v", seen, err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}})
	e := newEvent(t, "d1", "s1")
	mustAppend(t, q, e, Accepted)
	mustAppend(t, q, e, Duplicate)
	if _, err := q.Append(t.Context(), newEvent(t, "d2", "s1", "late"), "stale"); err != nil {
		t.Fatal(err)
	}
	seen, err := q.Find(t.Context(), "s1")
	if err != nil || len(seen) != 2 || seen[0].Seq != 1 || seen[0].Duplicates != 1 || seen[1].Outcome != Quarantined || seen[1].Reason != "stale" {
		t.Errorf("%+v, %v", seen, err)
	}
}

// TestCompaction fills and drains a queue whose file must shrink then, with all that matters still there.
func TestCompaction(t *testing.T) {
	t.Parallel()
	opts := Options{Outputs: []OutputSpec{{Name: "a"}}}
	opts.hooks.compactSooner = compactMinFile - 64<<20
	q := openTest(t, opts)
	body := strings.Repeat("x", 1<<20)
	for i := range 80 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i), body), Accepted)
	}
	before := q.Status().FileBytes
	q.Advance("a", Progress{Through: 79})
	poll(t, func() bool { return q.compactions.Load() > 0 })
	if after := q.Status().FileBytes; after > before/4 {
		t.Errorf("the file has %d bytes, had %d", after, before)
	}
	if e := readAll(t, q, 79, 80)[0]; e.DeliveryID != "d79" || len(e.Body) < 1<<20 {
		t.Errorf("%s, %d bytes", e.DeliveryID, len(e.Body))
	}
	mustAppend(t, q, newEvent(t, "d3", "s3"), Duplicate)
	mustAppend(t, q, newEvent(t, "d80", "s80"), Accepted)
	if err := verifyFile(q.path); err != nil {
		t.Error(err)
	}
}

// TestDamagedValue breaks one stored event while the file's structure stays sound.
func TestDamagedValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "a"}}})
	for i := range 5 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("needle-", i)), Accepted)
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(q.path)
	if err != nil {
		t.Fatal(err)
	}
	// Every copy in the file, of whatever age, but not the remembered delivery, which follows a length and no quote.
	file = bytes.ReplaceAll(file, []byte(`"needle-2"`), []byte(`"noodle-2"`))
	if err := os.WriteFile(q.path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	q = openTest(t, Options{Directory: dir})
	var got []uint64
	for _, e := range readAll(t, q, 0, 5) {
		got = append(got, e.Seq)
	}
	if fmt.Sprint(got) != "[1 2 4 5]" {
		t.Errorf("read %v", got)
	}
	items, err := q.ListQuarantine(t.Context(), 0, 10, false)
	if err != nil || len(items) != 1 || items[0].Reason != ReasonDamaged || items[0].Event.Seq != 3 || !bytes.Contains(items[0].Raw, []byte("noodle-2")) {
		t.Errorf("%+v, %v", items, err)
	}
	if s := q.Status(); s.Damaged != 1 || !s.Healthy {
		t.Errorf("%+v", s)
	}
}

// TestSalvage breaks the structure and looks at what is said about it, and at the identity afterwards.
func TestSalvage(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct {
		page int // which one is zeroed
		keep bool
	}{"meta page": {1, false}, "a leaf": {-1, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, _ := soundFile(t)
			dir := t.TempDir()
			path := filepath.Join(dir, "queue.db")
			page := broken.page
			if page < 0 {
				page = leafOfEvents(t, file)
			}
			id := identityOf(t, file, dir)
			clear(file[page*os.Getpagesize() : (page+1)*os.Getpagesize()])
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			var log logBuffer
			q := openTest(t, Options{Directory: dir, Log: log.logger()})
			s := q.Status()
			if (s.BridgeID == id) != broken.keep || !s.Healthy || !strings.Contains(s.Problem, "queue.db.damaged-") || s.LastSeq < 150 {
				t.Errorf("was %s: %+v", id, s)
			}
			if !log.has("salvaged") || q.salvages.Load() != 1 {
				t.Errorf("log: %s", log.b.String())
			}
		})
	}
}

func identityOf(t *testing.T, file []byte, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "queue.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	q := openTest(t, Options{Directory: dir})
	defer func() { _ = q.Close(context.Background()) }()
	return q.Status().BridgeID
}

// pagesOf reads the pages of a database that a test holds in memory.
func pagesOf(t *testing.T, file []byte) *pageFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := openPageFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	return p
}

// leafOfEvents finds a page that holds waiting events.
func leafOfEvents(t *testing.T, file []byte) int {
	t.Helper()
	p := pagesOf(t, file)
	for id := range p.meta.pages {
		w := &walker{file: p, broken: func(err error) error { return err }}
		w.leaf = func(path []string, list []element) error {
			if len(path) == 1 && path[0] == bucketEvents && keySequence(list[0].key) > 60 {
				return errFound
			}
			return nil
		}
		w.visited = make([]uint64, p.meta.pages/64+1)
		if id > 1 && errors.Is(w.subtree([]string{bucketEvents}, id, nil, nil, 0), errFound) && isLeaf(p, id) {
			return int(id)
		}
	}
	t.Fatal("no leaf of events")
	return 0
}

var errFound = errors.New("found")

func isLeaf(p *pageFile, id uint64) bool {
	b, err := p.node(id, nil)
	if err != nil {
		return false
	}
	_, leaf, err := elements(b, id, false, nil)
	return err == nil && leaf
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}})
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(q); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, q, newEvent(t, "d", "s"), Accepted)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		m := f.GetMetric()[0]
		values[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	for name, want := range map[string]float64{"healthy": 1, "events": 1, "appends_total": 1, "output_queued_events": 1, "last_sequence": 1} {
		if got := values[namespace+"_"+name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// TestCursorsHurryWhenRoomIsShort: a queue that is filling up doesn't wait for its next tick to give room back.
func TestCursorsHurryWhenRoomIsShort(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{MaxBytes: 4096, CursorInterval: time.Hour, Outputs: []OutputSpec{{Name: "a"}}})
	for i := 0; q.Status().Bytes*100 < 80*q.Status().MaxBytes; i++ {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
	}
	q.Advance("a", Progress{Through: q.Status().LastSeq})
	poll(t, func() bool { return q.Status().Events == 0 })
}

// TestRemovedOutputStaysRemoved: the transaction that removes an output may also be one that commits cursors or drops events
// for want of room, and must not write the removed one's cursor again.
func TestRemovedOutputStaysRemoved(t *testing.T) {
	t.Parallel()
	keep, gone := OutputSpec{Name: "keep"}, OutputSpec{Name: "gone", DropOldest: true}
	opts := Options{Directory: t.TempDir(), Outputs: []OutputSpec{keep, gone}}
	q := openTest(t, opts)
	for i := range 3 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
	}
	q.Advance("keep", Progress{Through: 2})
	err := q.do(t.Context(), func(txn *txn) error {
		q.Advance("gone", Progress{Through: 1})
		return errors.Join(txn.setOutputs([]OutputSpec{keep}, map[string]uint64{}), txn.flushCursors(), txn.dropOldest(1))
	})
	if err == nil {
		err = q.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Outputs = nil
	q = openTest(t, opts)
	if at, err := q.Cursor("gone"); err == nil {
		t.Errorf("the removed output is back, with its cursor at %d", at)
	}
	if at, err := q.Cursor("keep"); err != nil || at != 2 {
		t.Errorf("the other output's cursor is %d, %v", at, err)
	}
}

// TestForgetsWhatItHasJustLearnt: a transaction larger than the memory leaves nothing behind that nobody would remove.
func TestForgetsWhatItHasJustLearnt(t *testing.T) {
	t.Parallel()
	const capacity = 4
	q := openTest(t, Options{Capacity: capacity, Outputs: []OutputSpec{{Name: "a"}}})
	err := q.do(t.Context(), func(txn *txn) error { // its transaction takes all of them
		for i := range 20 {
			r := q.requestFor(newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), "")
			if _, err := txn.append(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var digests, deliveries int
	if err := q.do(t.Context(), func(*txn) error {
		digests, deliveries = len(q.memory.byDigest), len(q.memory.byDelivery)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); s.Remembered != capacity || digests != capacity || deliveries != capacity {
		t.Errorf("%d on disk, %d digests and %d delivery IDs in memory, want %d", s.Remembered, digests, deliveries, capacity)
	}
}

// TestLoweredCapacity: what a smaller memory can't hold any more is not accepted a second time, not even after restarts.
func TestLoweredCapacity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "a"}}})
	var events []*Event
	for i := range 20 {
		events = append(events, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)))
		mustAppend(t, q, events[i], Accepted)
	}
	for range 3 {
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		q = openTest(t, Options{Directory: dir, Capacity: 5})
		for i, e := range events {
			r, err := q.Append(t.Context(), e, "")
			want := Duplicate
			if i < 15 {
				want = Quarantined
			}
			if err != nil || r.Outcome != want {
				t.Fatalf("event %d: %+v, %v", i, r, err)
			}
		}
	}
	if s := q.Status(); s.Remembered != 5 || s.Quarantine != 15 {
		t.Errorf("%+v", s)
	}
}

// TestForgetsInSteps: a full memory holds no fewer than its capacity and few more, also across a restart; what it has
// forgotten is judged by the horizon.
func TestForgetsInSteps(t *testing.T) {
	t.Parallel()
	const capacity = 320
	opts := Options{Directory: t.TempDir(), Capacity: capacity, Outputs: []OutputSpec{{Name: "a"}}}
	q := openTest(t, opts)
	base := time.Now()
	event := func(i int) *Event {
		at := base.Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339)
		return eventWithBody(t, fmt.Sprint("d", i), fmt.Appendf(nil, `{"timestamp":%q,"data":{"signal_id":"s%d"}}`, at, i))
	}
	all := 0
	for ; all < 1000 || q.Status().Remembered == capacity; all++ { // a restart must not take those beyond for forgotten
		mustAppend(t, q, event(all), Accepted)
		if n := q.Status().Remembered; all >= capacity && (n < capacity || n > capacity+forgetEvery(capacity)) {
			t.Fatalf("after %d events %d are remembered", all+1, n)
		}
	}
	for range 2 {
		remembered := q.Status().Remembered
		for i := range all {
			want := Duplicate
			if i < all-remembered {
				want = Quarantined
			}
			if r, err := q.Append(t.Context(), event(i), ""); err != nil || r.Outcome != want {
				t.Fatalf("event %d with %d remembered: %+v, %v", i, remembered, r, err)
			}
		}
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		q = openTest(t, opts)
	}
}

// TestAClockThatWasAheadLetsNoReplayThrough: what the memory forgot while the clock was wrong can't be judged when it is
// right again, and isn't forwarded.
func TestAClockThatWasAheadLetsNoReplayThrough(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}, Now: now, Window: 72 * time.Hour, Capacity: 8})
	first := newEvent(t, "d1", "s1")
	mustAppend(t, q, first, Accepted)

	ahead.Store(int64(100 * time.Hour))
	if _, err := q.Append(t.Context(), newEvent(t, "d2", "s2"), "future"); err != nil { // a commit, which forgets
		t.Fatal(err)
	}
	ahead.Store(0)
	again := eventWithBody(t, "d3", first.Body)
	r, err := q.Append(t.Context(), again, "")
	if err != nil || r.Outcome == Accepted {
		t.Errorf("the replay is %v, %v", r, err)
	}
	mustAppend(t, q, newEvent(t, "d4", "s4"), Accepted)
}

// TestResendToNobodyIsRefused: an event for an output that doesn't exist would be deleted unseen.
func TestResendToNobodyIsRefused(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}})
	for _, output := range []string{ReceiveQuarantine, "removed"} {
		item := QuarantineItem{Reason: "refused", Output: output, At: time.Now(), Event: *newEvent(t, "d-"+output, "s-"+output)}
		if err := q.Quarantine(t.Context(), []QuarantineItem{item}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Resend(t.Context(), 1, []string{"typo"}); err == nil {
		t.Error("re-sent to an output that doesn't exist")
	}
	if _, err := q.Resend(t.Context(), 2, nil); err == nil {
		t.Error("re-sent to the output that refused it and is gone")
	}
	if n := q.Status().Quarantine; n != 2 {
		t.Errorf("%d items are left in the quarantine, want both", n)
	}
	if _, err := q.Resend(t.Context(), 2, []string{"a"}); err != nil {
		t.Error(err)
	}
}

// TestTicksUnderLoad: although another append waits whenever a transaction begins, cursors are committed, events deleted
// and the watchdog told.
func TestTicksUnderLoad(t *testing.T) {
	t.Parallel()
	var q *embedded
	var loaded atomic.Bool
	var n atomic.Int64
	opts := Options{Directory: t.TempDir(), Outputs: []OutputSpec{{Name: "a"}}, MaxBytes: 1 << 30, CursorInterval: 10 * time.Millisecond}
	opts.hooks.at = func(step string) {
		if step == "append" && loaded.Load() {
			i := n.Add(1)
			q.intake.add(q.requestFor(newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), ""))
		}
	}
	q = openTest(t, opts)
	defer loaded.Store(false)
	loaded.Store(true)
	mustAppend(t, q, newEvent(t, "first", "first"), Accepted)
	for range 3 {
		q.Advance("a", Progress{Through: q.tail.last()})
		before := q.Status().FirstSeq
		poll(t, func() bool { return q.Status().FirstSeq > before })
		inTime, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := q.Ping(inTime); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
