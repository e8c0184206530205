package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local"
)

// moving is a queue of one host on its way to a schema.
type moving struct {
	t   *testing.T
	rig *rig
	dir string
	now time.Time // when it was filled
}

func (m *moving) openLocal() queue.Queue {
	m.t.Helper()
	q, err := local.Open(m.t.Context(), m.localOptions())
	if err != nil {
		m.t.Fatal(err)
	}
	return q
}

func (m *moving) localOptions() local.Options {
	return local.Options{Directory: m.dir, Bridge: "old", Capacity: 60, Window: time.Hour, Limits: queue.Limits{MaxEventBytes: 64 << 10}}
}

// content is what users can see of a queue.
type content struct {
	status   string
	outcomes map[string]string
	seen     map[string]string
	letters  []string
	rest     map[string][]string
	resent   uint64
}

// contentOf looks at a queue. It claims both outputs.
func (m *moving) contentOf(q queue.Queue) content {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	s := q.Status()
	c := content{outcomes: map[string]string{}, seen: map[string]string{}, rest: map[string][]string{}}
	c.status = fmt.Sprint(s.BridgeID, s.LastSeq, s.FirstSeq, s.Events, s.DeadLetters, s.Remembered, s.Losses)
	_, err := q.Declare(ctx, []queue.OutputSpec{{Name: "fast"}, {Name: "slow", DropOldest: true}})
	must(err)
	for _, name := range []string{"fast", "slow"} {
		ranges, err := q.Outcomes(ctx, name, 1, 1000)
		must(err)
		for _, r := range ranges { // ranges may be cut elsewhere
			for seq := r.First; seq <= r.Last; seq++ {
				c.outcomes[name] += fmt.Sprint(seq, r.Outcome, r.Level, r.At.UnixMilli(), ";")
			}
		}
		tenure, err := q.Claim(ctx, name)
		must(err)
		for at := tenure.Cursor(); at < s.LastSeq; {
			b, err := tenure.Read(ctx, at, 7, 1<<20)
			must(err)
			for _, e := range b.Events {
				c.rest[name] = append(c.rest[name], fmt.Sprintf("%d %s %v %q %v %d %v %v %s", e.Seq, e.DeliveryID, e.ReceivedAt, e.Header, e.Notes, e.ResendOf, e.Only, e.Synthetic, e.Body))
			}
			for _, g := range b.Gaps {
				c.rest[name] = append(c.rest[name], fmt.Sprint(g))
			}
			at = b.Through
		}
		tenure.Lease.Release()
	}
	for i := range 100 {
		found, err := q.Find(ctx, fmt.Sprint("d", i))
		must(err)
		for _, f := range found {
			f.Duplicates = 0 // since the start of the process
			c.seen[fmt.Sprint("d", i)] += fmt.Sprint(f)
		}
	}
	items, err := q.ListDeadLetters(ctx, 0, 100, false)
	must(err)
	for _, item := range items {
		c.letters = append(c.letters, fmt.Sprint(item.ID, item.Output, item.Reason, item.At, item.Event.Seq, item.Event.DeliveryID, string(item.Event.Body)))
	}
	c.resent, err = q.Resend(ctx, 1, nil) // it was re-sent before
	must(err)
	return c
}

func (m *moving) same(got, want content) {
	m.t.Helper()
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		m.t.Errorf("after the move:\ngot  %s\nwant %s", g, w)
	}
}

// event makes a delivery. Those from 90 on are older than the others.
func (m *moving) event(i int) *queue.Event {
	sent := i
	if i >= 90 {
		sent -= 100
	}
	e := &queue.Event{
		Endpoint: "linuxguard", DeliveryID: fmt.Sprint("d", i), ReceivedAt: m.now.Add(-time.Minute), ReceivedBy: "old", Signature: "t=1", SecretName: "s",
		Header: []queue.Header{{Name: "Content-Type", Value: "application/json\xff"}}, Notes: []string{"odd"},
		Body: fmt.Appendf(nil, `{"timestamp":%q,"data":{"signal_id":"s%d","description":"%s"}}`,
			m.now.Add(time.Duration(sent)*time.Second-10*time.Minute).UTC().Format(time.RFC3339), i, strings.Repeat("x", 500)),
	}
	e.Decode()
	return e
}

// fill makes a queue that has something of everything.
func (m *moving) fill() {
	q := m.openLocal()
	ctx := m.t.Context()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	_, err := q.Declare(ctx, []queue.OutputSpec{{Name: "fast"}, {Name: "slow", DropOldest: true}})
	must(err)
	fast, err := q.Claim(ctx, "fast")
	must(err)
	slow, err := q.Claim(ctx, "slow")
	must(err)
	_, err = q.Append(ctx, m.event(90), "stale")
	must(err)
	_, err = q.Resend(ctx, 1, nil)
	must(err)
	for i := range 79 { // more than are remembered
		_, err := q.Append(ctx, m.event(i), "")
		must(err)
	}
	_, err = q.Append(ctx, m.event(91), "stale")
	must(err)
	b, err := fast.Read(ctx, 29, 1, 1<<20)
	must(err)
	must(fast.Quarantine(ctx, []queue.DeadLetter{{Reason: "refused", At: time.Now(), Event: *b.Events[0]}}))
	now := time.Now()
	fast.Advance(queue.Progress{Through: 60, Outcomes: []queue.OutcomeRange{
		{First: 1, Last: 29, Outcome: queue.Delivered, Level: "stored", At: now}, {First: 30, Last: 30, Outcome: queue.Refused, At: now},
		{First: 31, Last: 60, Outcome: queue.Delivered, Level: "kernel-acknowledged", At: now}}})
	slow.Advance(queue.Progress{Through: 5, Outcomes: []queue.OutcomeRange{{First: 1, Last: 5, Outcome: queue.Filtered, At: now}}})
	must(q.Close(ctx))
}

// move moves the queue; fail makes the nth transaction fail, before or after it was committed.
func (m *moving) move(o Options) (Moved, error) {
	m.t.Helper()
	src, err := local.OpenSource(m.t.Context(), m.localOptions())
	if err != nil {
		m.t.Fatal(err)
	}
	moved, err := Move(m.t.Context(), o, src, func(on bool) error {
		if on {
			return src.Mark("the test")
		}
		return src.Unmark()
	})
	if closeErr := src.Close(m.t.Context()); closeErr != nil {
		m.t.Fatal(closeErr)
	}
	return moved, err
}

func (m *moving) options() Options {
	return Options{Connect: connectAs(m.t, m.rig.server, role), Schema: m.rig.schema, ReplicatedBy: ByNothing}
}

// TestMove: a shared queue goes on where the local one has stopped, with its numbers, and the folder is refused from then on.
func TestMove(t *testing.T) {
	t.Parallel()
	m := &moving{t: t, rig: newRig(t, server), dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	m.fill()
	q := m.openLocal()
	before := m.contentOf(q)
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	moved, err := m.move(m.options())
	if want := (Moved{Events: 80, Deliveries: 60, DeadLetters: 2, Outputs: 2}); err != nil || moved != want {
		t.Fatalf("%+v, %v; want %+v", moved, err, want)
	}
	if _, err := local.Open(t.Context(), m.localOptions()); !errors.Is(err, local.ErrMoved) {
		t.Errorf("the folder is opened again: %v", err)
	}
	shared := m.rig.open("new", nil)
	m.same(m.contentOf(shared), before)
	for i, want := range map[int]queue.Verdict{78: queue.Duplicate, 30: queue.Duplicate, 91: queue.Quarantined, 3: queue.Quarantined, 85: queue.Accepted} {
		reason := ""
		if i == 91 {
			reason = "stale"
		}
		r, err := shared.Append(t.Context(), m.event(i), reason)
		if err != nil || r.Verdict != want || want == queue.Accepted && r.Seq != 81 {
			t.Errorf("delivery %d after the move: %+v, %v; want %v", i, r, err, want)
		}
	}
	if items, err := shared.ListDeadLetters(t.Context(), 0, 100, true); err != nil || len(items) != 3 { // delivery 91 was there, delivery 3 is new
		t.Errorf("%d items in the quarantine, %v", len(items), err)
	}
	if moved, err := m.move(m.options()); err != nil || !moved.Already {
		t.Errorf("again: %+v, %v", moved, err)
	}
	other := &moving{t: t, rig: m.rig, dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	other.fill()
	if _, err := other.move(other.options()); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a second queue into the same schema: %v", err)
	}
	q = other.openLocal()
	_ = q.Close(t.Context())
}

// TestMoveFails: whatever transaction fails, and however, either the folder can be used as before or the schema can, and another try
// ends well.
func TestMoveFails(t *testing.T) {
	t.Parallel()
	m := &moving{t: t, rig: newRig(t, server), dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	m.fill()
	q := m.openLocal()
	before := m.contentOf(q)
	_ = q.Close(t.Context())
	broken := errors.New("broken off")
	done := false
	for n := 1; !done; n++ {
		o := m.options()
		calls := 0
		o.wrap = func(context.Context) error {
			if calls++; calls == n {
				return refusal{broken}
			}
			return nil
		}
		switch _, err := m.move(o); {
		case err == nil:
			done = true
		case !errors.Is(err, broken):
			t.Fatalf("transaction %d: %v", n, err)
		default:
			q := m.openLocal()
			m.same(m.contentOf(q), before)
			_ = q.Close(t.Context())
			if n == 1 { // nothing was begun
				continue
			}
			if _, err := Open(t.Context(), m.bridgeOptions()); err == nil || !strings.Contains(err.Error(), "queue move") {
				t.Fatalf("transaction %d failed, and a bridge starts on the schema: %v", n, err)
			}
		}
	}
	m.same(m.contentOf(m.rig.open("new", nil)), before)
}

func (m *moving) bridgeOptions() Options {
	o := m.options()
	o.Takeover, o.Bridge, o.Capacity, o.Window = 2*time.Second, "new", 60, time.Hour
	return o
}

// TestMoveRefuses: a schema that a bridge uses, and one that another queue is on its way to.
func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	m := &moving{t: t, rig: newRig(t, server), dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	m.fill()
	q := m.rig.open("running", nil)
	if _, err := m.move(m.options()); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("beside a running bridge: %v", err)
	}
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := m.options()
	calls := 0
	o.wrap = func(context.Context) error {
		if calls++; calls == 3 {
			return refusal{errors.New("broken off")}
		}
		return nil
	}
	if _, err := m.move(o); err == nil {
		t.Error("it was not broken off")
	}
	other := &moving{t: t, rig: m.rig, dir: t.TempDir(), now: time.Now().Truncate(time.Second)}
	other.fill()
	if _, err := other.move(other.options()); err == nil || !strings.Contains(err.Error(), "another queue") {
		t.Errorf("another queue: %v", err)
	}
	if _, err := m.move(m.options()); err != nil {
		t.Errorf("the same queue again: %v", err)
	}
	if slices.Contains([]string{"", "0"}, fmt.Sprint(m.rig.open("new", nil).Status().LastSeq)) {
		t.Error("nothing was moved")
	}
}
