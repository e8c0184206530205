package outputtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

func testBatching(t *testing.T, tr *trial) {
	b := tr.out.Batching()
	if b.MaxRecords < 1 || b.MaxBytes < 1 || b.MaxInFlight < b.MaxRecords || b.Linger < 0 {
		t.Errorf("%+v is no batching: at least one record and one byte a batch, and at least one batch in flight", b)
	}
	tr.sendAll(context.Background(), Records(t, 1, 3), 1)
	if again := tr.out.Batching(); again != b {
		t.Errorf("Batching changed from %+v to %+v", b, again)
	}
}

// testIdle: an output that was never sent anything holds no connection and no goroutine, and can be closed.
func testIdle(t *testing.T, tr *trial) {
	if s := tr.out.Status(); s.State != outputs.StateIdle {
		t.Errorf("the state before the first Send is %q", s.State)
	}
	if stack := tr.goroutines(); stack != "" {
		t.Errorf("before the first Send %s", stack)
	}
	if c := tr.harness.Connections; c != nil && c() != 0 {
		t.Errorf("%d connections before the first Send", c())
	}
	tr.close(Patience())
	if n := len(tr.harness.Received()); n != 0 {
		t.Errorf("%d records arrived though none was sent", n)
	}
}

// testDelivers: many batches in flight, all delivered, in order, each once as long as nothing fails.
func testDelivers(t *testing.T, tr *trial) {
	const n = 200
	tr.sendAll(context.Background(), Records(t, 1, n), 7)
	want := make([]uint64, n)
	for i := range want {
		want[i] = uint64(i) + 1
	}
	got := tr.received(want)
	if tr.harness.Unordered {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent 1 to %d, arrived %v", n, got)
	}
	if s := tr.out.Status(); s.State == outputs.StateDown || s.State == outputs.StateConnecting {
		t.Errorf("the state after a good delivery is %q", s.State)
	}
}

// testHostile: no body can't be delivered, and none becomes two records.
func testHostile(t *testing.T, tr *trial) {
	var records []outputs.Record
	var want []uint64
	for i, body := range HostileBodies() {
		seq := uint64(i) + 1
		records = append(records, Record(t, seq, body))
		want = append(want, seq)
	}
	tr.sendAll(context.Background(), records, 3)
	got := tr.received(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("sent %v, arrived %v", want, got)
	}
}

// testCloseAfterUse: after a delivery, Close leaves nothing behind and loses nothing.
func testCloseAfterUse(t *testing.T, tr *trial) {
	b := tr.send(context.Background(), Records(t, 1, 1))
	if err := tr.wait(b); err != nil {
		t.Fatal(err)
	}
	tr.close(Patience())
	tr.received([]uint64{1})
}

func testRender(t *testing.T, tr *trial) {
	r, ok := tr.out.(outputs.Renderer)
	if !ok {
		t.Fatal("every kind is a Renderer")
	}
	for i, body := range append(HostileBodies(), Body("sig_1", "plain")) {
		out, err := r.Render(Record(t, uint64(i)+1, body))
		if err != nil {
			t.Errorf("%.80q: %v", body, err)
		}
		if line := bytes.TrimSuffix(out, []byte("\n")); !utf8.Valid(out) || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%.80q: rendered with control characters or invalid UTF-8: %.200q", body, out)
		}
		if !bytes.Contains(out, []byte(DeliveryID(uint64(i)+1))) {
			t.Errorf("%.80q: rendered without its delivery ID: %.200q", body, out)
		}
	}
}

// testRecovers: a broken receiver makes batches fail for a time, and nothing needs to be done to the output afterwards.
func testRecovers(t *testing.T, tr *trial) {
	tr.sendAll(context.Background(), Records(t, 1, 3), 3)
	tr.harness.Break()
	ctx, cancel := context.WithTimeout(context.Background(), min(2*time.Second, Patience()/2))
	defer cancel()
	err := tr.wait(tr.send(ctx, Records(t, 4, 3)))
	if err == nil {
		t.Fatal("a batch was delivered to a broken receiver")
	}
	var partial *outputs.PartialError
	if errors.As(err, &partial) && len(partial.Rejected) > 0 {
		t.Errorf("a broken receiver refuses nothing for good: %v", err)
	}
	tr.harness.Mend()
	poll(t, func() string {
		if err := tr.wait(tr.send(context.Background(), Records(t, 4, 3))); err != nil {
			return "after the receiver came back: " + err.Error()
		}
		return ""
	})
	tr.received([]uint64{1, 2, 3, 4, 5, 6})
}

// testContextEnds: when ctx ends, unfinished batches are given up with its error.
func testContextEnds(t *testing.T, tr *trial) {
	tr.harness.hang()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	returned := make(chan *batch, 1)
	go func() { returned <- tr.send(ctx, Records(t, 1, 2)) }()
	time.AfterFunc(100*time.Millisecond, cancel)
	select {
	case b := <-returned:
		if err := tr.wait(b); err == nil {
			t.Error("a batch was delivered to a receiver that hangs")
		}
	case <-time.After(Patience()):
		t.Fatal("Send did not return after its context's end")
	}
}

// testCloseEndsBatches: Close ends every unfinished batch, within its context.
func testCloseEndsBatches(t *testing.T, tr *trial) {
	tr.harness.hang()
	ctx, cancel := context.WithTimeout(context.Background(), Patience())
	defer cancel()
	returned := make(chan *batch, 1)
	go func() { returned <- tr.send(ctx, Records(t, 1, 2)) }()
	select {
	case b := <-returned:
		tr.close(500 * time.Millisecond)
		if err := tr.wait(b); err == nil {
			t.Error("a batch was delivered to a receiver that hangs")
		}
	case <-time.After(Patience()):
		t.Fatal("Send of a first batch does not return while the receiver hangs")
	}
}

// testOneRefused: what the receiver refuses for good among many is named by its index, and the others are delivered.
func testOneRefused(t *testing.T, tr *trial) {
	const refused = 17
	tr.harness.Refuse(func(seq uint64) bool { return seq == refused })
	records := Records(t, 1, 30)
	var want []uint64
	deadline := time.Now().Add(Patience())
	for part := range slices.Chunk(records, min(len(records), tr.out.Batching().MaxRecords)) {
		has := slices.ContainsFunc(part, func(r outputs.Record) bool { return r.Seq == refused })
		for attempt := 0; ; attempt++ {
			err := tr.wait(tr.send(context.Background(), slices.Clone(part)))
			var partial *outputs.PartialError
			if has && errors.As(err, &partial) {
				checkRejected(t, partial, part, refused)
				break
			}
			if err == nil && !has {
				break
			}
			if err == nil || time.Now().After(deadline) {
				t.Fatalf("after %d attempts the refused record is not named: %v", attempt+1, err)
			}
		}
	}
	for i := range records {
		if records[i].Seq != refused {
			want = append(want, records[i].Seq)
		}
	}
	tr.received(want)
	if slices.Contains(tr.harness.Received(), refused) {
		t.Error("the refused record arrived")
	}
}

// testAllRefused: a receiver that refuses everything is at fault itself. Nothing is named as refused for good, but for the first record when
// it comes alone, which then may be at fault; and all of it is delivered once the receiver accepts.
func testAllRefused(_ *testing.T, tr *trial) {
	tr.harness.Refuse(func(uint64) bool { return true })
	tr.deliversNothing("every record is refused", 1)
	tr.harness.Refuse(func(uint64) bool { return false })
	tr.deliversAtLast()
}

// testAnswersSayNothing: only what the protocol calls an acceptance is one.
func testAnswersSayNothing(_ *testing.T, tr *trial) {
	tr.harness.SayNothing(true)
	tr.deliversNothing("answers say nothing", 0)
	tr.harness.SayNothing(false)
	tr.deliversAtLast()
}

// manyRecords is how many deliversNothing and deliversAtLast send.
const manyRecords = 12

// deliversNothing sends records several times to a receiver that accepts none. alone is how many may be named when they come alone.
func (tr *trial) deliversNothing(why string, alone int) {
	tr.t.Helper()
	named := 0
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), min(400*time.Millisecond, Patience()/4))
		for part := range slices.Chunk(Records(tr.t, 1, manyRecords), min(manyRecords, tr.out.Batching().MaxRecords)) {
			err := tr.wait(tr.send(ctx, part))
			var partial *outputs.PartialError
			if err == nil {
				tr.t.Fatalf("%s: a batch was delivered", why)
			}
			if errors.As(err, &partial) {
				named += len(partial.Rejected)
			}
			if named > alone || named > 0 && len(part) > 1 {
				tr.t.Fatalf("%s: a record is named as refused for good: %v", why, partial)
			}
		}
		cancel()
	}
}

// deliversAtLast sends the same records to a receiver that accepts them again.
func (tr *trial) deliversAtLast() {
	tr.t.Helper()
	var want []uint64
	for part := range slices.Chunk(Records(tr.t, 1, manyRecords), min(manyRecords, tr.out.Batching().MaxRecords)) {
		for i := range part {
			want = append(want, part[i].Seq)
		}
		poll(tr.t, func() string {
			if err := tr.wait(tr.send(context.Background(), slices.Clone(part))); err != nil {
				return "when the receiver accepts: " + err.Error()
			}
			return ""
		})
	}
	tr.received(want)
}

func checkRejected(t *testing.T, partial *outputs.PartialError, records []outputs.Record, refused uint64) {
	t.Helper()
	if partial.Rest != nil {
		t.Errorf("the others: %v", partial.Rest)
	}
	if len(partial.Rejected) != 1 {
		t.Fatalf("%d records are named: %v", len(partial.Rejected), partial)
	}
	r := partial.Rejected[0]
	if r.Index < 0 || r.Index >= len(records) || records[r.Index].Seq != refused || r.Err == nil {
		t.Errorf("index %d (%v) is named, the refused one has bridge_seq %d", r.Index, r.Err, refused)
	}
}

// testProbe: a probe finds a good receiver good and a broken one not, and leaves nothing there.
func testProbe(t *testing.T, tr *trial) {
	p, ok := tr.out.(outputs.Prober)
	if !ok {
		return
	}
	if findings := tr.probe(p); !slices.ContainsFunc(findings, func(f outputs.Finding) bool { return f.OK }) {
		t.Errorf("a good receiver: %+v", findings)
	}
	if n := len(tr.harness.Received()); n != 0 {
		t.Errorf("the probe left %d records", n)
	}
	if tr.harness.Break == nil {
		return
	}
	tr.harness.Break()
	if findings := tr.probe(p); slices.ContainsFunc(findings, func(f outputs.Finding) bool { return f.OK }) {
		t.Errorf("a broken receiver: %+v", findings)
	}
}

func (tr *trial) probe(p outputs.Prober) []outputs.Finding {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	findings, err := p.Probe(ctx)
	if err != nil {
		tr.say(err.Error())
	}
	for _, f := range findings {
		tr.say(f.Target + " " + f.Text)
		if bytes.ContainsAny([]byte(f.Text), "\n\r") {
			tr.t.Errorf("a finding is one line: %q", f.Text)
		}
	}
	return findings
}
