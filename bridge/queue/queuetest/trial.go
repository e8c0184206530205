package queuetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// trial is one test's world, and the queue that is open in it.
type trial struct {
	*testing.T
	engine  Engine
	world   World
	clock   *clock
	options Options
	specs   []queue.OutputSpec // declared after each open
	q       queue.Queue
	open    bool
	tenures map[string]*queue.Tenure // by claim
}

// Sizes that suit an engine whose smallest units are some KiB.
const (
	kiB = 1 << 10
	miB = 1 << 20
)

func newTrial(t *testing.T, e Engine, w World) *trial {
	c := newClock()
	if e.OwnClock {
		c.at = time.Now().UTC().Add(-time.Hour) // what is received lies in the past, and well within the window
	}
	return &trial{T: t, engine: e, world: w, clock: c, options: Options{
		Bridge: "bridge-a", Window: 72 * time.Hour, Capacity: 10_000,
		Limits:           queue.Limits{MaxBytes: 16 * miB, QuarantineMaxBytes: 16 * miB, MaxEventBytes: 2 * miB},
		ProgressInterval: 10 * time.Millisecond, Now: c.now, Log: slog.New(slog.DiscardHandler),
	}}
}

// start opens the queue with outputs of these names.
func (t *trial) start(outputs ...string) {
	t.Helper()
	t.specs = nil
	for _, name := range outputs {
		t.specs = append(t.specs, queue.OutputSpec{Name: name})
	}
	t.reopen()
}

// startWith opens the queue with these outputs.
func (t *trial) startWith(specs ...queue.OutputSpec) {
	t.Helper()
	t.specs = specs
	t.reopen()
}

// reopen opens the queue and declares the outputs.
func (t *trial) reopen() {
	t.Helper()
	t.openOnly()
	t.declare(t.specs...)
}

// openOnly opens the queue. It is closed with the test.
func (t *trial) openOnly() {
	t.Helper()
	q, err := t.world.Open(t.ctx(), t.options)
	t.must("open", err)
	t.q, t.open, t.tenures = q, true, make(map[string]*queue.Tenure)
	t.Cleanup(func() {
		if t.open && t.q == q {
			t.finish()
		}
	})
}

// finish closes the queue at the end of a test. Where the test has failed there is nothing that its end could show.
func (t *trial) finish() {
	t.open = false
	if t.Failed() {
		t.world.Kill(t.q)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience())
	defer cancel()
	if err := t.q.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// close ends the queue in order.
func (t *trial) close() {
	t.Helper()
	t.open = false
	if err := t.q.Close(t.ctx()); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// restart closes the queue and opens it again.
func (t *trial) restart() {
	t.Helper()
	t.close()
	t.reopen()
}

// kill kills the queue and opens it again.
func (t *trial) kill() {
	t.Helper()
	t.open = false
	t.world.Kill(t.q)
	t.reopen()
}

// ctx ends when patience does.
func (t *trial) ctx() context.Context { return contextOf(t.T) }

func contextOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience())
	t.Cleanup(cancel)
	return ctx
}

// moment is a context that ends soon: for what must not happen.
func (t *trial) moment() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok.
func (t *trial) eventually(what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience()); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", Patience(), what)
		}
	}
}

// want complains when an error is not what it should be.
func (t *trial) want(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// must ends the test when there is an error.
func (t *trial) must(what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// event makes an event as the receiver does. more makes its body another one.
func (t *trial) event(delivery, signalID string, more ...string) *queue.Event {
	t.clock.add(time.Second)
	return t.eventAt(t.clock.now(), delivery, signalID, more...)
}

// eventAt makes an event that was signed at a time, and is received now.
func (t *trial) eventAt(sent time.Time, delivery, signalID string, more ...string) *queue.Event {
	body := fmt.Sprintf(`{"event_type":"signal_created","version":"v1","timestamp":%q,"data":{"signal_id":%q,"more":%q}}`,
		sent.Format(time.RFC3339Nano), signalID, strings.Join(more, " "))
	return t.eventOf(delivery, body)
}

// eventOf makes an event with this body.
func (t *trial) eventOf(delivery, body string) *queue.Event {
	e := &queue.Event{
		ReceivedAt: t.clock.now(), ReceivedBy: t.options.Bridge, Endpoint: "linuxguard", DeliveryID: delivery,
		Signature: "sha256=00", SecretName: "main", ClientAddr: "192.0.2.1:4711", Body: []byte(body),
	}
	e.Decode()
	return e
}

// numbered makes the nth event of a test.
func (t *trial) numbered(n int) *queue.Event {
	return t.event(fmt.Sprint("d", n), fmt.Sprint("s", n))
}

// sized makes the nth event of a test, with a body of about size bytes.
func (t *trial) sized(n, size int) *queue.Event {
	return t.event(fmt.Sprint("d", n), fmt.Sprint("s", n), strings.Repeat("x", size))
}

// append appends and wants no error.
func (t *trial) append(e *queue.Event, reason string, want queue.Verdict) queue.Receipt {
	t.Helper()
	r, err := t.q.Append(t.ctx(), e, reason)
	if err != nil {
		t.Fatalf("append %s: %v", e.DeliveryID, err)
	}
	if r.Verdict != want {
		t.Fatalf("append %s: %+v, want %v", e.DeliveryID, r, want)
	}
	return r
}

// accept appends an event that must be new, and returns its sequence.
func (t *trial) accept(e *queue.Event) uint64 {
	t.Helper()
	return t.append(e, "", queue.Accepted).Seq
}

// fill appends n new events, from number from on, and returns them.
func (t *trial) fill(from, n int) []*queue.Event {
	t.Helper()
	var events []*queue.Event
	for i := range n {
		events = append(events, t.numbered(from+i))
		t.accept(events[i])
	}
	return events
}

func (t *trial) declare(specs ...queue.OutputSpec) map[string]uint64 {
	t.Helper()
	left, err := t.q.Declare(t.ctx(), specs)
	t.must("declare", err)
	return left
}

// claim returns the tenure that this test has, or claims the output.
func (t *trial) claim(output string) *queue.Tenure {
	t.Helper()
	if tenure := t.tenures[output]; tenure != nil && tenure.Valid() {
		return tenure
	}
	tenure, err := t.q.Claim(t.ctx(), output)
	t.must("claim "+output, err)
	t.tenures[output] = tenure
	return tenure
}

// advance says that everything up to through was delivered just now.
func (t *trial) advance(tenure *queue.Tenure, through uint64) {
	tenure.Advance(t.progress(tenure.Cursor()+1, through, queue.Delivered))
}

func (t *trial) progress(first, through uint64, o queue.Outcome) queue.Progress {
	r := queue.OutcomeRange{First: first, Last: through, Outcome: o, At: t.clock.now()}
	if o == queue.Delivered {
		r.Level = "stored"
	}
	return queue.Progress{Through: through, Outcomes: []queue.OutcomeRange{r}}
}

// read reads everything above after up to last, and complains when a batch leaves something out.
func (t *trial) read(tenure *queue.Tenure, after, last uint64) (events []*queue.Event, gaps []queue.Gap) {
	t.Helper()
	for after < last {
		b, err := tenure.Read(t.ctx(), after, 7, miB)
		if err != nil {
			t.Fatalf("read after %d: %v", after, err)
		}
		if err := covers(b, after+1); err != nil {
			t.Fatalf("read after %d: %v", after, err)
		}
		events, gaps, after = append(events, b.Events...), append(gaps, b.Gaps...), b.Through
	}
	return events, gaps
}

// covers reports what a batch that begins at first leaves out or has twice.
func covers(b queue.Batch, first uint64) error {
	events, gaps := b.Events, b.Gaps
	for seq := first; seq <= b.Through; seq++ {
		switch {
		case len(events) > 0 && events[0].Seq == seq:
			events = events[1:]
		case len(gaps) > 0 && gaps[0].First == seq && gaps[0].Last >= seq:
			seq = gaps[0].Last
			gaps = gaps[1:]
		default:
			return fmt.Errorf("sequence %d is in no event and no gap up to %d: %s", seq, b.Through, describe(b))
		}
	}
	if len(events) > 0 || len(gaps) > 0 || b.Through < first {
		return fmt.Errorf("through is %d, beginning at %d: %s", b.Through, first, describe(b))
	}
	return nil
}

func describe(b queue.Batch) string {
	return fmt.Sprintf("events %v, gaps %v", sequences(b.Events), b.Gaps)
}

func sequences(events []*queue.Event) []uint64 {
	list := make([]uint64, 0, len(events))
	for _, e := range events {
		list = append(list, e.Seq)
	}
	return list
}

// readBack complains unless the events of a queue are these, from sequence 1 on.
func (t *trial) readBack(tenure *queue.Tenure, want []*queue.Event) {
	t.Helper()
	got, gaps := t.read(tenure, 0, uint64(len(want)))
	if len(gaps) > 0 || len(got) != len(want) {
		t.Fatalf("read %v and gaps %v, want %d events", sequences(got), gaps, len(want))
	}
	for i, e := range got {
		if string(e.Body) != string(want[i].Body) || e.DeliveryID != want[i].DeliveryID {
			t.Errorf("sequence %d is %s, want %s", e.Seq, e.DeliveryID, want[i].DeliveryID)
		}
	}
}

// items returns the whole quarantine.
func (t *trial) items() []queue.DeadLetter {
	t.Helper()
	items, err := t.q.ListDeadLetters(t.ctx(), 0, 10_000, false)
	t.must("list the quarantine", err)
	return items
}

// outputStatus is the status of one output.
func (t *trial) outputStatus(name string) queue.OutputStatus {
	t.Helper()
	for _, o := range t.q.Status().Outputs {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("no output %s in the status", name)
	return queue.OutputStatus{}
}

// lifetimes are the ways from one open to the next, for what must survive both.
func (t *trial) lifetimes() []lifetime {
	return []lifetime{{"running", func() {}}, {"restarted", t.restart}, {"killed", t.kill}}
}

type lifetime struct {
	name  string
	begin func()
}
