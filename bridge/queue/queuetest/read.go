package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var readTests = []test{
	{name: "ReadLimits", run: testReadLimits},
	{name: "ReadWaits", run: testReadWaits},
	{name: "Range", run: testRange},
	{name: "ReadDone", run: testReadDone},
	{name: "ReadAfterTheEnd", run: testReadAfterTheEnd},
}

// sizedEvents appends n events whose bodies have size bytes each.
func (t *trial) sizedEvents(n, size int) {
	for i := range n {
		prefix := fmt.Sprintf(`{"n":%d,"pad":"`, i)
		t.accept(t.eventOf("", prefix+strings.Repeat("x", size-len(prefix)-2)+`"}`))
	}
}

func testReadLimits(t *trial) {
	t.start("a")
	t.sizedEvents(10, 1000)
	for _, l := range t.lifetimes() {
		l.begin()
		tenure := t.claim("a")
		for _, c := range []struct {
			after           uint64
			limit, maxBytes int
			want            []uint64
		}{
			{0, 3, miB, []uint64{1, 2, 3}},
			{7, 100, miB, []uint64{8, 9, 10}},
			{0, 100, 3500, []uint64{1, 2, 3}},
			{0, 100, 3000, []uint64{1, 2, 3}},
			{4, 100, 10, []uint64{5}}, // the first one always
			{9, 1, 0, []uint64{10}},
		} {
			b, err := tenure.Read(t.ctx(), c.after, c.limit, c.maxBytes)
			if err == nil {
				err = covers(b, c.after+1)
			}
			if got := sequences(b.Events); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: read after %d, %d events, %d bytes: %v, %v; want %v", l.name, c.after, c.limit, c.maxBytes, got, err, c.want)
			}
		}
	}
}

// testReadWaits: a read without an event waits for one, for the end of its context, or for that of the tenure.
func testReadWaits(t *trial) {
	t.start("a")
	tenure := t.claim("a")
	read := func(ctx context.Context, after uint64) error {
		_, err := tenure.Read(ctx, after, 10, miB)
		return err
	}
	t.want("read an empty queue", read(t.moment(), 0), context.DeadlineExceeded)
	t.fill(0, 1)
	t.want("read beyond the newest event", read(t.moment(), 1), context.DeadlineExceeded)
	ended, cancel := context.WithCancel(t.ctx())
	cancel()
	t.want("read with an ended context", read(ended, 1), context.Canceled)

	ctx := t.ctx()
	for i := range 20 {
		woken := make(chan queue.Batch, 1)
		go func() {
			b, err := tenure.Read(ctx, uint64(i+1), 10, miB)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			woken <- b
		}()
		if i%5 == 0 { // meanwhile that one has begun to wait
			t.want("read beyond the newest event", read(t.moment(), uint64(i+1)), context.DeadlineExceeded)
		}
		t.fill(i+1, 1)
		if b := <-woken; len(b.Events) != 1 || b.Through != uint64(i+2) {
			t.Fatalf("woken with %s", describe(b))
		}
	}
	lost := make(chan error, 1)
	go func() { lost <- read(ctx, 21) }()
	t.close()
	t.want("a read that waits while the queue is closed", <-lost, queue.ErrLost)
}

func testRange(t *trial) {
	t.start("a")
	t.sizedEvents(10, 1000)
	for _, l := range t.lifetimes() {
		l.begin()
		tenure := t.claim("a")
		for _, c := range []struct {
			first, last uint64
			maxBytes    int
			want        []uint64
			whole       bool
		}{
			{1, 10, miB, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, true},
			{3, 5, miB, []uint64{3, 4, 5}, true},
			{5, 5, 0, []uint64{5}, true},
			{2, 9, 3500, []uint64{2, 3, 4}, false},
			{9, 100, miB, []uint64{9, 10}, true}, // it doesn't wait for the others
		} {
			b, err := tenure.Range(t.ctx(), c.first, c.last, c.maxBytes)
			for err == nil && c.whole && b.Through < min(c.last, 10) { // an engine may return less at a time
				var more queue.Batch
				more, err = tenure.Range(t.ctx(), b.Through+1, c.last, c.maxBytes)
				b = queue.Batch{Events: append(b.Events, more.Events...), Through: more.Through}
			}
			if err == nil {
				err = covers(b, c.first)
			}
			if got := sequences(b.Events); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: range %d to %d, %d bytes: %v, %v; want %v", l.name, c.first, c.last, c.maxBytes, got, err, c.want)
			}
		}
		if b, err := tenure.Range(t.ctx(), 11, 20, miB); len(b.Events)+len(b.Gaps) > 0 || b.Through > 10 {
			t.Errorf("%s: range beyond the newest event: %s, %v", l.name, describe(b), err)
		}
	}
}

// testReadDone: what every output is done with is there, or a gap says that it is gone. It never just isn't there.
func testReadDone(t *trial) {
	t.start("a")
	t.fill(0, 30)
	tenure := t.claim("a")
	t.advance(tenure, 20)
	t.eventually("the events are no longer needed", func() bool { return t.q.Status().Events == 10 })
	for _, l := range t.lifetimes() {
		l.begin()
		tenure := t.claim("a")
		events, gaps := t.read(tenure, 0, 30)
		if n := len(events); n < 10 || events[n-10].Seq != 21 {
			t.Errorf("%s: read %v", l.name, sequences(events))
		}
		for _, g := range gaps {
			if g.Outcome != queue.Unknown || g.Last > 20 {
				t.Errorf("%s: gap %+v, want one of what is done with", l.name, g)
			}
		}
		b, err := tenure.Range(t.ctx(), 5, 25, miB)
		if err == nil {
			err = covers(b, 5)
		}
		t.must(l.name+": range", err)
	}
}

// testReadAfterTheEnd: nothing is read or said in a tenure that is over.
func testReadAfterTheEnd(t *trial) {
	t.start("a")
	events := t.fill(0, 3)
	released := t.claim("a")
	released.Release()
	t.over("released", released, events[0])
	t.cursors("released", map[string]uint64{"a": 0})
	closed := t.claim("a")
	t.close()
	t.over("closed", closed, events[0])
	t.reopen()
	t.cursors("closed", map[string]uint64{"a": 0})
}

// over complains when a tenure can still be used.
func (t *trial) over(why string, tenure *queue.Tenure, e *queue.Event) {
	t.Helper()
	_, err := tenure.Read(t.ctx(), 0, 10, miB)
	t.want(why+": read", err, queue.ErrLost)
	_, err = tenure.Range(t.ctx(), 1, 3, miB)
	t.want(why+": range", err, queue.ErrLost)
	t.want(why+": quarantine", tenure.Quarantine(t.ctx(), []queue.DeadLetter{t.refusal(tenure, e, 1)}), queue.ErrLost)
	tenure.Advance(t.progress(1, 3, queue.Delivered))
	tenure.Release()
	if tenure.Valid() {
		t.Errorf("%s: still valid", why)
	}
}
