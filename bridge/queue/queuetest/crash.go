package queuetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var crashTests = []test{
	{name: "KillBetweenSteps", run: testKillBetweenSteps, needs: []need{crashing}},
	{name: "KillUnderLoad", run: testKillUnderLoad},
}

// testKillBetweenSteps lives through the same story again and again, and dies one step later each time. Everything that was
// acknowledged must be there afterwards; what was not may be there, once.
func testKillBetweenSteps(t *trial) {
	world := t.world
	for n := 1; ; n++ {
		s := newStory(t.T, t.engine, world)
		crasher := world.(Crasher)
		crasher.CrashAt(n)
		err := s.tell()
		crashed := crasher.Crashed()
		if err != nil && !crashed {
			t.Fatalf("step %d, without a crash: %v", n, err)
		}
		s.recover(crasher, 1+n%7)
		s.verify()
		if t.Failed() {
			t.Fatalf("after a crash at step %d, which ended with: %v", n, err)
		}
		s.close()
		if !crashed {
			t.Logf("%d steps", n-1)
			return
		}
		world = t.engine.New(t.T)
	}
}

// story is what happens until the crash, and what of it was acknowledged.
type story struct {
	*trial
	mu     sync.Mutex
	acked  map[uint64]*queue.Event
	unsure []*queue.Event

	floor, advanced map[string]uint64 // cursors: at least, because an append has taken them along, and at most

	held    map[uint64]*queue.Event // items that must be there
	resent  uint64                  // item that was re-sent or may have been
	doubted *queue.Event            // the item's, when nobody knows
	dropped uint64                  // item that must not be there
}

func newStory(t *testing.T, e Engine, w World) *story {
	s := &story{trial: newTrial(t, e, w), acked: make(map[uint64]*queue.Event), held: make(map[uint64]*queue.Event)}
	s.options.ProgressInterval = time.Hour
	s.specs = []queue.OutputSpec{{Name: "a"}, {Name: "b"}}
	s.floor, s.advanced = make(map[string]uint64), make(map[string]uint64)
	return s
}

// tell lives until something fails.
func (s *story) tell() error {
	for _, step := range []func() error{
		s.begin, s.appendOne, s.appendOne, s.appendOne, s.move("a", 2), s.appendOne, s.hold, s.appendMany, s.refuseThird,
		s.resendHeld, s.hold, s.dropHeld, s.move("a", 5), s.move("b", 3), s.appendOne, s.declareMore, s.appendOne,
		s.move("b", 7), s.pause, s.begin, s.appendOne, s.move("a", 11), s.move("b", 11), s.appendOne, s.appendMany, s.pause,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) begin() error {
	q, err := s.world.Open(s.ctx(), s.options)
	if err != nil {
		return err
	}
	s.q, s.open, s.tenures = q, true, make(map[string]*queue.Tenure)
	if _, err := q.Declare(s.ctx(), s.specs); err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		if s.tenures[name], err = q.Claim(s.ctx(), name); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) pause() error {
	if err := s.q.Close(s.ctx()); err != nil {
		return err
	}
	s.open = false
	for name, at := range s.advanced {
		s.floor[name] = at
	}
	return nil
}

func (s *story) appendOne() error { return s.tryAppend(s.ctx(), s.next()) }

// next makes another event.
func (s *story) next() *queue.Event {
	return s.numbered(len(s.acked) + 1000*len(s.unsure))
}

func (s *story) tryAppend(ctx context.Context, e *queue.Event) error {
	advanced := make(map[string]uint64)
	s.mu.Lock()
	for name, at := range s.advanced {
		advanced[name] = at
	}
	s.mu.Unlock()
	r, err := s.q.Append(ctx, e, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unsure = append(s.unsure, e)
		return err
	}
	if r.Verdict != queue.Accepted || s.acked[r.Seq] != nil {
		s.Errorf("append: %+v", r)
	}
	s.acked[r.Seq] = e
	for name, at := range advanced {
		s.floor[name] = max(s.floor[name], at)
	}
	return nil
}

func (s *story) appendMany() error {
	var events []*queue.Event
	for i := range 4 {
		events = append(events, s.event("", fmt.Sprint("many", len(s.acked), "-", i)))
	}
	ctx := s.ctx()
	var wg sync.WaitGroup
	errs := make([]error, len(events))
	for i, e := range events {
		wg.Go(func() { errs[i] = s.tryAppend(ctx, e) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// move advances an output.
func (s *story) move(output string, through uint64) func() error {
	return func() error {
		s.advance(s.tenures[output], through)
		s.advanced[output] = through
		return nil
	}
}

func (s *story) hold() error {
	e := s.event("", fmt.Sprint("held", len(s.held)+int(s.resent)))
	if _, err := s.q.Append(s.ctx(), e, "stale"); err != nil {
		return err
	}
	items, err := s.q.ListDeadLetters(s.ctx(), 0, 100, false)
	if err != nil {
		return err
	}
	s.held[items[len(items)-1].ID] = e
	return nil
}

func (s *story) refuseThird() error {
	tenure := s.tenures["b"]
	return tenure.Quarantine(s.ctx(), []queue.DeadLetter{s.refusal(tenure, s.acked[3], 3)})
}

func (s *story) anyHeld() (id uint64) {
	for id = range s.held {
		return id
	}
	return 0
}

func (s *story) resendHeld() error {
	id := s.anyHeld()
	e := s.held[id]
	delete(s.held, id)
	s.resent = id
	seq, err := s.q.Resend(s.ctx(), id, nil)
	if err != nil {
		s.doubted = e
		return err
	}
	s.acked[seq] = e
	return nil
}

func (s *story) dropHeld() error {
	id := s.anyHeld()
	delete(s.held, id)
	if err := s.q.DropDeadLetter(s.ctx(), id); err != nil {
		return err
	}
	s.dropped = id
	return nil
}

func (s *story) declareMore() error {
	s.specs = append(s.specs, queue.OutputSpec{Name: "c"})
	if _, err := s.q.Declare(s.ctx(), s.specs); err != nil {
		return err
	}
	s.floor["c"] = uint64(len(s.acked))
	s.advanced["c"] = s.floor["c"]
	return nil
}

// recover kills what is there, lets one more start die, and opens the queue.
func (s *story) recover(crasher Crasher, step int) {
	if s.open {
		s.world.Kill(s.q)
		s.open = false
	}
	crasher.CrashAt(step)
	q, err := s.world.Open(s.ctx(), s.options)
	if err != nil && !crasher.Crashed() {
		s.Fatalf("open after a crash: %v", err)
	}
	if err == nil {
		s.world.Kill(q)
	}
	crasher.CrashAt(0)
	s.reopen()
}

// verify compares what is there with what was acknowledged.
func (s *story) verify() {
	last := s.q.Status().LastSeq
	if n := uint64(len(s.acked)); last < n || last > n+uint64(len(s.unsure))+1 || last == n+uint64(len(s.unsure))+1 && s.doubted == nil {
		s.Errorf("the last sequence is %d, %d were acknowledged and %d not", last, n, len(s.unsure))
	}
	s.verifyCursors()
	done := s.advanced["b"]
	byBody := make(map[string]uint64)
	events, gaps := s.read(s.claim("b"), 0, last)
	for _, e := range events {
		if byBody[string(e.Body)] != 0 {
			s.Errorf("an event is sequence %d and %d: %s", byBody[string(e.Body)], e.Seq, e.Body)
		}
		byBody[string(e.Body)] = e.Seq
	}
	for _, g := range gaps {
		if g.Last > done || g.Outcome != queue.Unknown {
			s.Errorf("gap %+v", g)
		}
	}
	s.verifyAppends(byBody, done)
	s.verifyResent(byBody)
	s.verifyItems()
}

func (s *story) verifyCursors() {
	for name, at := range s.advanced {
		if got := s.claim(name).Cursor(); got > at || got < s.floor[name] {
			s.Errorf("%s is at %d, was advanced to %d, with the last append to %d", name, got, at, s.floor[name])
		}
	}
}

// verifyAppends sends everything once more.
func (s *story) verifyAppends(byBody map[string]uint64, done uint64) {
	for seq, e := range s.acked {
		if at := byBody[string(e.Body)]; at != seq && (at != 0 || seq > done) {
			s.Errorf("acknowledged as sequence %d, is %d: %s", seq, at, e.Body)
		}
		if r := s.append(e, "", queue.Duplicate); r.Seq != seq {
			s.Errorf("duplicate of %d, was acknowledged as %d", r.Seq, seq)
		}
	}
	for _, e := range s.unsure {
		at := byBody[string(e.Body)]
		r, err := s.q.Append(s.ctx(), e, "")
		known := at != 0
		if err != nil || known != (r.Verdict == queue.Duplicate) || known && r.Seq != at {
			s.Errorf("append again what was not acknowledged and is sequence %d: %+v, %v", at, r, err)
		}
	}
}

// verifyResent re-sends once more.
func (s *story) verifyResent(byBody map[string]uint64) {
	if s.resent == 0 {
		return
	}
	seq, last := s.trial.resend(s.resent), s.q.Status().LastSeq
	if e := s.acked[seq]; s.doubted == nil && e == nil {
		s.Errorf("re-sent again as %d", seq)
	}
	if s.doubted == nil {
		return
	}
	if at := byBody[string(s.doubted.Body)]; at != 0 && seq != at || at == 0 && seq != last {
		s.Errorf("re-sent as %d of %d, was there as %d", seq, last, at)
	}
}

func (s *story) verifyItems() {
	there := make(map[uint64]string)
	for _, item := range s.items() {
		there[item.ID] = string(item.Event.Body)
	}
	for id, e := range s.held {
		if there[id] != string(e.Body) {
			s.Errorf("item %d of the quarantine is %q, want %q", id, there[id], e.Body)
		}
	}
	for _, id := range []uint64{s.dropped, s.resent} {
		if there[id] != "" {
			s.Errorf("item %d is there again: %q", id, there[id])
		}
	}
}

// testKillUnderLoad kills or closes a queue while senders append and a worker delivers. Everything that was acknowledged must
// be delivered in the end, under one number.
func testKillUnderLoad(t *trial) {
	l := &load{trial: t, acked: make(map[string]uint64), delivered: make(map[uint64]string)}
	t.specs = []queue.OutputSpec{{Name: "a"}, {Name: "lame"}}
	for round := range 8 {
		t.reopen()
		l.run(round, 15+10*round)
	}
	t.reopen()
	last := t.q.Status().LastSeq
	l.deliver(t.ctx(), t.claim("a"), last)
	for body, seq := range l.acked {
		if l.delivered[seq] != body {
			t.Errorf("acknowledged as sequence %d, and that is %q: %q", seq, l.delivered[seq], body)
		}
	}
	bySeq := make(map[string]uint64)
	for seq, body := range l.delivered {
		if other := bySeq[body]; other != 0 {
			t.Errorf("sequence %d is the same as %d: %s", seq, other, body)
		}
		bySeq[body] = seq
	}
	if uint64(len(l.delivered)) != last {
		t.Errorf("%d of %d were delivered", len(l.delivered), last)
	}
}

// load is what senders were told and a worker has got.
type load struct {
	*trial
	mu        sync.Mutex
	acked     map[string]uint64
	delivered map[uint64]string
}

// run lets senders and a worker run until there are enough acknowledged appends, and ends the queue under them.
func (l *load) run(round, enough int) {
	ctx, cancel := context.WithCancel(l.ctx())
	defer cancel()
	enoughOfThem := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	tenure := l.claim("a")
	wg.Go(func() { l.deliver(ctx, tenure, 1<<62) })
	for sender := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				e := l.event("", fmt.Sprintf("%d-%d-%d", round, sender, i))
				r, err := l.q.Append(ctx, e, "")
				if err != nil {
					return // ended
				}
				l.mu.Lock()
				l.acked[string(e.Body)] = r.Seq
				l.mu.Unlock()
				select {
				case enoughOfThem <- struct{}{}:
				default:
				}
			}
		})
	}
	for range enough {
		select {
		case <-enoughOfThem:
		case <-ctx.Done():
			l.Fatal("the senders don't get ahead")
		}
	}
	if round%3 == 0 {
		l.close()
	} else {
		l.open = false
		l.world.Kill(l.q)
	}
	cancel()
	wg.Wait()
}

// deliver is a worker, up to a sequence.
func (l *load) deliver(ctx context.Context, tenure *queue.Tenure, last uint64) {
	for at := tenure.Cursor(); at < last; {
		b, err := tenure.Read(ctx, at, 5, miB)
		if err != nil {
			return // ended
		}
		l.mu.Lock()
		for _, e := range b.Events {
			if was := l.delivered[e.Seq]; was != "" && was != string(e.Body) {
				l.Errorf("sequence %d is %s and was %s", e.Seq, e.Body, was)
			}
			l.delivered[e.Seq] = string(e.Body)
		}
		l.mu.Unlock()
		l.advance(tenure, b.Through)
		at = b.Through
	}
}
