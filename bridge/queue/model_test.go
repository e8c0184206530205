package queue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"pgregory.net/rapid"
)

// model is what the queue should be, without a disk: plain slices and maps.
type model struct {
	t     *rapid.T
	q     Queue
	opts  Options
	clock *fakeClock

	events     []*Event // all that were ever accepted; the index is the sequence less one
	remembered []*Event // by age
	horizons   map[string]time.Time
	held       []*Event
	cursors    map[string]uint64
}

// fakeClock is a clock that tests move.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// TestModel drives the queue and a plain model of it with the same random actions and compares them.
func TestModel(t *testing.T) {
	if long() && flag.Lookup("rapid.checks").Value.String() == "100" {
		if err := flag.Set("rapid.checks", "3000"); err != nil {
			t.Fatal(err)
		}
	}
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "queue")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		m := &model{t: t, clock: &fakeClock{at: time.Unix(1_800_000_000, 0).UTC()}, horizons: make(map[string]time.Time), cursors: map[string]uint64{"a": 0}}
		m.opts = Options{
			Directory: dir, Capacity: 6, Window: time.Hour, MaxBytes: 6000, CursorInterval: time.Millisecond,
			Outputs: []OutputSpec{{Name: "a"}}, Now: m.clock.now,
		}
		m.open()
		defer func() { _ = m.q.Close(context.Background()) }()
		t.Repeat(map[string]func(*rapid.T){
			"append":       m.append,
			"append again": m.append,
			"hold":         m.hold,
			"advance":      m.advance,
			"restart":      m.restart,
			"wait":         m.wait,
			"add":          m.addOutput,
			"remove":       m.removeOutput,
			"resend":       m.resend,
			"":             m.check,
		})
	})
}

func (m *model) open() {
	q, err := Open(context.Background(), m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.q = q
}

// draw makes an event of a small world, so that everything repeats soon.
func (m *model) draw(t *rapid.T) *Event {
	m.clock.add(time.Second) // so that no two moments are the same
	sent := m.clock.now().Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second)
	id := rapid.SampledFrom([]string{"s1", "s2", "s3", "s4", ""}).Draw(t, "signal")
	body := fmt.Sprintf(`{"timestamp":%q,"data":{"signal_id":%q},"pad":%q}`, sent.Format(time.RFC3339), id,
		strings.Repeat("x", rapid.IntRange(0, 2).Draw(t, "pad")*300))
	if n := len(m.events); n > 0 && rapid.IntRange(0, 3).Draw(t, "replay") == 0 {
		body = string(m.events[rapid.IntRange(max(0, n-12), n-1).Draw(t, "which")].Body)
	}
	s, err := signal.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &Event{
		ReceivedAt: m.clock.now(), Body: []byte(body), Signal: s,
		Endpoint:   rapid.SampledFrom([]string{"e1", "e2"}).Draw(t, "endpoint"),
		DeliveryID: rapid.SampledFrom([]string{"d1", "d2", "d3", "d4", ""}).Draw(t, "delivery"),
	}
}

func (m *model) append(t *rapid.T) { m.appendAs(t, "") }

func (m *model) hold(t *rapid.T) { m.appendAs(t, "stale") }

func (m *model) appendAs(t *rapid.T, hold string) {
	e := m.draw(t)
	want, wantErr := m.judge(e, hold)
	got, err := m.q.Append(context.Background(), e, hold)
	if got != want || !errors.Is(err, wantErr) {
		t.Fatalf("append %s %s %s: %+v, %v; want %+v, %v", e.Endpoint, e.DeliveryID, e.Body, got, err, want, wantErr)
	}
}

// judge is Append without a disk.
func (m *model) judge(e *Event, hold string) (Receipt, error) {
	var previous bool
	for _, r := range slices.Backward(m.remembered) {
		if r.Endpoint == e.Endpoint && string(r.Body) == string(e.Body) && m.clock.now().Sub(r.ReceivedAt) <= m.opts.Window {
			return Receipt{Outcome: Duplicate, Seq: r.Seq}, nil
		}
	}
	for _, r := range slices.Backward(m.remembered) {
		if r.Endpoint != e.Endpoint || e.DeliveryID == "" || r.DeliveryID != e.DeliveryID || m.clock.now().Sub(r.ReceivedAt) > m.opts.Window {
			continue
		}
		if e.Signal.SignalID != "" && r.Signal.SignalID == e.Signal.SignalID {
			return Receipt{Outcome: Duplicate, Seq: r.Seq}, nil
		}
		previous = true
	}
	if horizon, ok := m.horizons[e.Endpoint]; ok && hold == "" && m.clock.now().Sub(horizon) <= m.opts.Window {
		if sent, _ := e.Signal.SentAt(); !sent.After(horizon) {
			hold = ReasonEvicted
		}
	}
	if hold != "" {
		if !slices.ContainsFunc(m.held, func(h *Event) bool { return h.Endpoint == e.Endpoint && string(h.Body) == string(e.Body) }) {
			m.held = append(m.held, e)
		}
		return Receipt{Outcome: Quarantined, Reason: hold}, nil
	}
	if m.liveBytes()+sizeOf(e) > m.opts.MaxBytes {
		return Receipt{}, ErrFull
	}
	return Receipt{Outcome: Accepted, Seq: m.accept(e), Reused: previous}, nil
}

func (m *model) accept(e *Event) uint64 {
	kept := *e
	kept.Seq = uint64(len(m.events)) + 1
	m.events = append(m.events, &kept)
	m.remembered = append(m.remembered, &kept)
	for len(m.remembered) > m.opts.Capacity {
		oldest := m.remembered[0]
		m.remembered = m.remembered[1:]
		sent, _ := oldest.Signal.SentAt()
		if m.clock.now().Sub(oldest.ReceivedAt) <= m.opts.Window && sent.After(m.horizons[oldest.Endpoint]) {
			m.horizons[oldest.Endpoint] = sent
		}
	}
	return kept.Seq
}

func sizeOf(e *Event) int64 { return int64(len(appendEvent(newValue(nil, kindEvent), e))) }

func (m *model) done() uint64 {
	low := uint64(len(m.events))
	for _, c := range m.cursors {
		low = min(low, c)
	}
	return low
}

func (m *model) liveBytes() int64 {
	total := int64(0)
	for _, e := range m.events[m.done():] {
		total += sizeOf(e)
	}
	return total
}

func (m *model) output(t *rapid.T) string {
	names := make([]string, 0, len(m.cursors))
	for name := range m.cursors {
		names = append(names, name)
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(t, "output")
}

func (m *model) advance(t *rapid.T) {
	name := m.output(t)
	if m.cursors[name] == uint64(len(m.events)) {
		return
	}
	through := rapid.Uint64Range(m.cursors[name]+1, uint64(len(m.events))).Draw(t, "through")
	m.q.Advance(name, Progress{Through: through, Runs: []Run{{First: m.cursors[name] + 1, Last: through, Fate: Delivered, At: m.clock.now()}}})
	m.cursors[name] = through
}

func (m *model) restart(t *rapid.T) {
	if err := m.q.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.opts.Outputs = nil // those of before
	m.open()
}

func (m *model) wait(*rapid.T) { m.clock.add(25 * time.Minute) }

func (m *model) addOutput(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	if _, ok := m.cursors[name]; ok {
		return
	}
	oldest := rapid.Bool().Draw(t, "oldest")
	m.setOutputs(t, OutputSpec{Name: name, StartAtOldest: oldest})
	at, err := m.q.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	if at > uint64(len(m.events)) || (!oldest && at != uint64(len(m.events))) || (oldest && at > m.done()) {
		t.Fatalf("%s begins after %d of %d", name, at, len(m.events))
	}
	m.cursors[name] = at
}

func (m *model) removeOutput(t *rapid.T) {
	if len(m.cursors) == 1 {
		return
	}
	name := m.output(t)
	want := uint64(len(m.events)) - m.cursors[name]
	delete(m.cursors, name)
	if left := m.setOutputs(t); left[name] != want {
		t.Fatalf("%s had %d left, not %d", name, want, left[name])
	}
}

func (m *model) setOutputs(t *rapid.T, more ...OutputSpec) map[string]uint64 {
	specs := more
	for name := range m.cursors {
		specs = append(specs, OutputSpec{Name: name})
	}
	left, err := m.q.SetOutputs(context.Background(), specs)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func (m *model) resend(t *rapid.T) {
	items, err := m.q.ListQuarantine(context.Background(), 0, 100, false)
	if err != nil || len(items) != len(m.held) {
		t.Fatalf("%d items in the quarantine, want %d; %v", len(items), len(m.held), err)
	}
	if len(items) == 0 {
		return
	}
	i := rapid.IntRange(0, len(items)-1).Draw(t, "item")
	e := m.held[i]
	if string(items[i].Event.Body) != string(e.Body) {
		t.Fatalf("item %d is %s, want %s", i, items[i].Event.Body, e.Body)
	}
	_, err = m.q.Resend(context.Background(), items[i].ID, nil)
	if m.liveBytes()+sizeOf(e) > m.opts.MaxBytes {
		if !errors.Is(err, ErrFull) {
			t.Fatalf("re-send to a full queue: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	resent := *e
	resent.ReceivedAt = m.clock.now()
	m.accept(&resent)
	m.held = slices.Delete(m.held, i, i+1)
}

// check compares what can be seen.
func (m *model) check(t *rapid.T) {
	for name, cursor := range m.cursors {
		if at, err := m.q.Cursor(name); err != nil || at != cursor {
			t.Fatalf("cursor of %s: %d, %v; want %d", name, at, err, cursor)
		}
	}
	if last := m.q.Status().LastSeq; last != uint64(len(m.events)) {
		t.Fatalf("last sequence %d, want %d", last, len(m.events))
	}
	for after := m.done(); after < uint64(len(m.events)); {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		events, err := m.q.Read(ctx, after, 3, 1<<20)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			after++
			if want := m.events[after-1]; e.Seq != after || string(e.Body) != string(want.Body) || e.DeliveryID != want.DeliveryID {
				t.Fatalf("sequence %d: %+v, want %+v", after, e, want)
			}
		}
	}
}
