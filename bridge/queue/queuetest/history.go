package queuetest

import (
	"context"
	"fmt"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var historyTests = []test{
	{name: "Find", run: testFind},
	{name: "LastAccepted", run: testLastAccepted},
	{name: "Losses", run: testLosses},
	{name: "Status", run: testStatus},
	{name: "Ping", run: testPing},
	{name: "PingStalled", run: testPingStalled, needs: []need{stalling}},
}

// testFind: what is remembered is found by both of its IDs.
func testFind(t *trial) {
	t.start("a")
	e := t.event("d1", "s1")
	t.accept(e)
	t.append(e, "", queue.Duplicate)
	t.append(t.event("d1", "s1"), "", queue.Duplicate)
	t.accept(t.event("d1", "s2"))
	elsewhere := t.event("d9", "s1")
	elsewhere.Endpoint = "second"
	t.accept(elsewhere)
	t.append(t.event("d2", "s1"), "stale", queue.Quarantined)
	for _, l := range t.lifetimes() {
		l.begin()
		for id, want := range map[string]string{
			"s1": "1 d1 s1 linuxguard accepted ; 3 d9 s1 second accepted ; 0 d2 s1 linuxguard quarantined stale",
			"d1": "1 d1 s1 linuxguard accepted ; 2 d1 s2 linuxguard accepted ",
			"s2": "2 d1 s2 linuxguard accepted ",
			"d2": "0 d2 s1 linuxguard quarantined stale",
			"":   "", "typo": "",
		} {
			seen, err := t.q.Find(t.ctx(), id)
			t.must("find", err)
			var texts []string
			for _, s := range seen {
				texts = append(texts, fmt.Sprintf("%d %s %s %s %v %s", s.Seq, s.DeliveryID, s.SignalID, s.Endpoint, s.Verdict, s.Reason))
				if s.ReceivedAt.IsZero() || s.ReceivedBy != t.options.Bridge {
					t.Errorf("%s: %+v", l.name, s)
				}
				if s.Seq == 1 && s.Duplicates != 2 && l.name == "running" {
					t.Errorf("%s: %d duplicates, want 2", l.name, s.Duplicates)
				}
			}
			if got := strings.Join(texts, "; "); got != want {
				t.Errorf("%s: find %q:\ngot  %s\nwant %s", l.name, id, got, want)
			}
		}
	}
}

// testLastAccepted: when an endpoint was last heard of is known over any lifetime. What the bridge and its operator have
// made doesn't count.
func testLastAccepted(t *trial) {
	t.start("a")
	e := t.event("d1", "s1")
	t.accept(e)
	second := t.event("d2", "s2")
	second.Endpoint = "second"
	t.accept(second)
	synthetic := t.event("d3", "s3")
	synthetic.Synthetic = true
	t.accept(synthetic)
	alone := t.event("d4", "s4")
	alone.Endpoint, alone.Synthetic = "third", true
	t.accept(alone)
	t.append(t.event("d1", "s1"), "", queue.Duplicate)
	t.append(t.event("d5", "s5"), "stale", queue.Quarantined)
	t.resend(t.items()[0].ID)
	for _, l := range t.lifetimes() {
		l.begin()
		last, err := t.q.LastAccepted(t.ctx())
		if err != nil || len(last) != 2 || !last["linuxguard"].Equal(e.ReceivedAt) || !last["second"].Equal(second.ReceivedAt) {
			t.Errorf("%s: %v, %v; want %v and %v", l.name, last, err, e.ReceivedAt, second.ReceivedAt)
		}
	}
}

func testLosses(t *trial) {
	t.start("a")
	t.fill(0, 3)
	for _, l := range t.lifetimes() {
		l.begin()
		if losses, err := t.q.Losses(t.ctx()); err != nil || len(losses) > 0 {
			t.Errorf("%s: %+v, %v", l.name, losses, err)
		}
		t.want(l.name+": acknowledge a loss that isn't there", t.q.Acknowledge(t.ctx(), 1, "somebody"), queue.ErrNotFound)
		if s := t.q.Status(); s.Losses != 0 || s.LostEvents != 0 || s.LostUnknown {
			t.Errorf("%s: %+v", l.name, s)
		}
	}
}

// testStatus: the numbers agree with what was done.
func testStatus(t *trial) {
	t.start("b", "a")
	events := t.fill(0, 10)
	t.append(t.numbered(50), "stale", queue.Quarantined)
	t.advance(t.claim("a"), 6)
	t.advance(t.claim("b"), 4)
	t.append(events[9], "", queue.Duplicate)
	t.fill(10, 1)
	for _, l := range t.lifetimes() {
		l.begin()
		t.claim("a")
		t.eventually("the status is up to date", func() bool { return t.q.Status().Events == 7 })
		s := t.q.Status()
		for what, ok := range map[string]bool{
			"health":     s.Healthy && !s.Full && s.Problem == "" && !s.AsOf.IsZero() && s.BridgeID != "",
			"sequences":  s.FirstSeq == 5 && s.LastSeq == 11,
			"bytes":      s.Bytes >= 7*100 && s.Bytes < s.MaxBytes && s.MaxBytes == t.options.Limits.MaxBytes,
			"quarantine": s.DeadLetters == 1 && s.QuarantineBytes > 0 && s.QuarantineMaxBytes == t.options.Limits.QuarantineMaxBytes,
			"memory":     s.Remembered == 11 && s.Capacity == t.options.Capacity && s.Evicted == 0 && s.WindowCovered >= 0,
			"outputs":    len(s.Outputs) == 2 && s.Outputs[0].Name == "a" && s.Outputs[1].Name == "b",
		} {
			if !ok {
				t.Errorf("%s: %s: %+v", l.name, what, s)
			}
		}
		a, b := t.outputStatus("a"), t.outputStatus("b")
		if a.Cursor != 6 || a.Queued != 5 || !a.Oldest.Equal(events[6].ReceivedAt) || a.Owner != t.options.Bridge || a.Dropped != 0 {
			t.Errorf("%s: %+v", l.name, a)
		}
		if b.Cursor != 4 || b.Queued != 7 || !b.Oldest.Equal(events[4].ReceivedAt) {
			t.Errorf("%s: %+v", l.name, b)
		}
	}
	for _, name := range []string{"a", "b"} {
		t.advance(t.claim(name), 11)
	}
	t.eventually("nothing is needed", func() bool { s := t.q.Status(); return s.Events == 0 && s.Bytes == 0 })
	if a := t.outputStatus("a"); a.Queued != 0 || !a.Oldest.IsZero() {
		t.Errorf("%+v", a)
	}
}

func testPing(t *trial) {
	t.start("a")
	for range 3 {
		t.must("ping", t.q.Ping(t.ctx()))
	}
	if disk, ok := t.world.(Failer); ok {
		disk.FailWrites(true)
		_, err := t.q.Append(t.ctx(), t.numbered(0), "")
		t.want("append while writes fail", err, queue.ErrUnavailable)
		t.must("ping while writes fail", t.q.Ping(t.ctx()))
		disk.FailWrites(false)
	}
}

// testPingStalled: a queue that does not go on is not alive, and its status is there all the same.
func testPingStalled(t *trial) {
	t.start("a")
	t.fill(0, 1)
	disk := t.world.(Staller)
	disk.StallWrites(true)
	defer disk.StallWrites(false)
	_, err := t.q.Append(t.moment(), t.numbered(1), "")
	t.want("append while the disk stalls", err, context.DeadlineExceeded)
	if err := t.q.Ping(t.moment()); err == nil {
		t.Error("ping works while the disk stalls")
	}
	if s := t.q.Status(); s.LastSeq < 1 {
		t.Errorf("%+v", s)
	}
	disk.StallWrites(false)
	t.must("ping when the disk is back", t.q.Ping(t.ctx()))
}
