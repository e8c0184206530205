package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// newEvent makes an event whose body holds what a webhook's body does.
func newEvent(t testing.TB, delivery, signalID string, more ...string) *Event {
	t.Helper()
	body := fmt.Sprintf(`{"event_type":"signal_created","version":"v1","timestamp":%q,"tenant_id":"t","data":{"signal_id":%q,"more":%q}}`,
		time.Now().UTC().Format(time.RFC3339Nano), signalID, fmt.Sprint(more))
	return eventWithBody(t, delivery, []byte(body))
}

func eventWithBody(t testing.TB, delivery string, body []byte) *Event {
	t.Helper()
	e := &Event{
		ReceivedAt: time.Now(), Endpoint: "linuxguard", DeliveryID: delivery, Signature: "sha256=00", SecretName: "main",
		ClientAddr: "192.0.2.1:4711", Header: []Header{{"X-Team", "soc"}}, Body: body,
	}
	if json.Valid(body) {
		s, err := signal.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		e.Signal = s
	}
	return e
}

func openTest(t testing.TB, opts Options) *embedded {
	t.Helper()
	if opts.Directory == "" {
		opts.Directory = t.TempDir()
	}
	if opts.CursorInterval == 0 {
		opts.CursorInterval = 10 * time.Millisecond
	}
	q, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	e, ok := q.(*embedded)
	if !ok {
		t.Fatalf("Open returned a %T", q)
	}
	return e
}

func mustAppend(t testing.TB, q Queue, e *Event, want Outcome) Receipt {
	t.Helper()
	r, err := q.Append(t.Context(), e, "")
	if err != nil {
		t.Fatalf("append %s: %v", e.DeliveryID, err)
	}
	if r.Outcome != want {
		t.Fatalf("append %s: %v, want %v", e.DeliveryID, r.Outcome, want)
	}
	return r
}

func readAll(t testing.TB, q Queue, after, last uint64) []*Event {
	t.Helper()
	var all []*Event
	for after < last {
		events, err := q.Read(t.Context(), after, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, events...)
		after = events[len(events)-1].Seq
	}
	return all
}

func TestAppendReadRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "a"}}})
	for i := range 20 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
	}
	id := q.Status().BridgeID
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	q = openTest(t, Options{Directory: dir})
	if got := q.Status(); got.BridgeID != id || got.LastSeq != 20 || got.Events != 20 || got.Remembered != 20 {
		t.Errorf("status after a restart: %+v", got)
	}
	for i, e := range readAll(t, q, 0, 20) {
		if e.Seq != uint64(i+1) || e.Signal == nil || e.Signal.SignalID != fmt.Sprint("s", i) || e.DeliveryID != fmt.Sprint("d", i) ||
			len(e.Header) != 1 || e.ClientAddr != "192.0.2.1:4711" || e.SecretName != "main" || e.Signature != "sha256=00" {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	q.Advance("a", Progress{Through: 20, Runs: []Run{{First: 1, Last: 20, Fate: Delivered, Level: "stored", At: time.Now()}}})
	poll(t, func() bool { return q.Status().Events == 0 })
	runs, err := q.Fates(t.Context(), "a", 3, 100)
	if err != nil || len(runs) != 1 || runs[0].First != 3 || runs[0].Last != 20 || runs[0].Level != "stored" {
		t.Errorf("fates: %+v, %v", runs, err)
	}
	mustAppend(t, q, newEvent(t, "d3", "s3", "retry"), Duplicate)
	if got := mustAppend(t, q, newEvent(t, "d100", "s100"), Accepted); got.Seq != 21 {
		t.Errorf("sequence %d after a restart, want 21", got.Seq)
	}
}

func poll(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition not reached in 10 s")
		}
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}})
	first := newEvent(t, "d1", "s1")
	mustAppend(t, q, first, Accepted)
	mustAppend(t, q, eventWithBody(t, "other", first.Body), Duplicate)
	elsewhere := eventWithBody(t, "d1", first.Body)
	elsewhere.Endpoint = "second"
	mustAppend(t, q, elsewhere, Accepted)
	mustAppend(t, q, newEvent(t, "d1", "s1", "stamped anew"), Duplicate)
	if r := mustAppend(t, q, newEvent(t, "d1", "s2"), Accepted); !r.Reused {
		t.Error("another signal under a known delivery ID is not reported as reused")
	}
	if r := mustAppend(t, q, newEvent(t, "d1", "s1", "and again"), Duplicate); r.Seq != 1 {
		t.Errorf("duplicate of %d, want 1", r.Seq)
	}
	mustAppend(t, q, newEvent(t, "", "s3"), Accepted)
	mustAppend(t, q, newEvent(t, "", "s3", "no id"), Accepted)
}

func TestConcurrentDuplicatesShareOneCommit(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}}})
	var mu sync.Mutex
	outcomes := make(map[Outcome]int)
	var wg sync.WaitGroup
	body := newEvent(t, "d", "s").Body
	for i := range 50 {
		wg.Go(func() {
			r, err := q.Append(t.Context(), eventWithBody(t, fmt.Sprint(i), body), "")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			outcomes[r.Outcome]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if outcomes[Accepted] != 1 || outcomes[Duplicate] != 49 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestFullQueueAnswersDuplicatesAndRecovers(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{MaxBytes: 4096, Outputs: []OutputSpec{{Name: "a"}}})
	first := newEvent(t, "d0", "s0")
	mustAppend(t, q, first, Accepted)
	i := 0
	for {
		i++
		if _, err := q.Append(t.Context(), newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), ""); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	mustAppend(t, q, eventWithBody(t, "d0", first.Body), Duplicate)
	q.Advance("a", Progress{Through: 2})
	mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)

	q.SetLimits(1<<20, 0)
	for i := range 20 {
		mustAppend(t, q, newEvent(t, fmt.Sprint("e", i), fmt.Sprint("t", i)), Accepted)
	}
	if s := q.Status(); s.MaxBytes != 1<<20 || s.QuarantineMaxBytes != 256<<20 {
		t.Errorf("limits are %d and %d", s.MaxBytes, s.QuarantineMaxBytes)
	}
}

func TestDropOldest(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{MaxBytes: 4096, Outputs: []OutputSpec{{Name: "keen"}, {Name: "lazy", DropOldest: true}}})
	for i := range 8 {
		r := mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
		q.Advance("keen", Progress{Through: r.Seq})
	}
	for i := 8; i < 30; i++ {
		r := mustAppend(t, q, newEvent(t, fmt.Sprint("d", i), fmt.Sprint("s", i)), Accepted)
		q.Advance("keen", Progress{Through: r.Seq})
	}
	s := q.Status()
	if s.Outputs[1].Dropped == 0 || s.Outputs[0].Dropped != 0 {
		t.Fatalf("dropped: %+v", s.Outputs)
	}
	events, err := q.Read(t.Context(), 0, 1, 0)
	if err != nil || events[0].Seq != s.Outputs[1].Dropped+1 {
		t.Errorf("first kept event: %+v, %v, dropped %d", events, err, s.Outputs[1].Dropped)
	}
	runs, err := q.Fates(t.Context(), "lazy", 1, 100)
	if err != nil || len(runs) != 1 || runs[0].Fate != Dropped || runs[0].Last != s.Outputs[1].Dropped {
		t.Errorf("fates: %+v, %v", runs, err)
	}
}

func TestQuarantineAndResend(t *testing.T) {
	t.Parallel()
	q := openTest(t, Options{Outputs: []OutputSpec{{Name: "a"}, {Name: "b"}}})
	e := newEvent(t, "d1", "s1")
	for range 2 {
		r, err := q.Append(t.Context(), e, "stale")
		if err != nil || r.Outcome != Quarantined || r.Reason != "stale" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	items, err := q.ListQuarantine(t.Context(), 0, 10, false)
	if err != nil || len(items) != 1 || items[0].Reason != "stale" || items[0].Output != ReceiveQuarantine {
		t.Fatalf("%+v, %v", items, err)
	}
	seq, err := q.Resend(t.Context(), items[0].ID, []string{"b"})
	if err != nil || seq != 1 {
		t.Fatalf("%d, %v", seq, err)
	}
	events := readAll(t, q, 0, 1)
	if string(events[0].Body) != string(e.Body) || len(events[0].Only) != 1 || events[0].Only[0] != "b" {
		t.Errorf("%+v", events[0])
	}
	if s := q.Status(); s.Quarantine != 0 || s.QuarantineBytes != 0 {
		t.Errorf("%+v", s)
	}
	if r, err := q.Append(t.Context(), e, "stale"); err != nil || r.Outcome != Duplicate {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openTest(t, Options{Directory: dir})
	if _, err := Open(t.Context(), Options{Directory: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
}
