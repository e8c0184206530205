package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/outputs/splunkhec/hectest"
)

// moody is a Splunk that is down at times, and refuses events that are marked while it is in a mood to.
type moody struct {
	*hectest.Splunk
	down, refuses atomic.Bool
}

const (
	refusedMark = "nobody wants this"
	invalidData = 6 // HEC's code for an event that is refused for good
)

func newMoody() *moody {
	m := &moody{Splunk: &hectest.Splunk{Token: "token"}}
	m.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		if m.down.Load() {
			hectest.Answer(w, http.StatusServiceUnavailable, 9, "Server is busy")
		}
		return m.down.Load()
	}
	m.Refuse = func(e *hectest.Event) int {
		if m.refuses.Load() && strings.Contains(string(e.Event), refusedMark) {
			return invalidData
		}
		return 0
	}
	return m
}

// got counts what was indexed, by bridge_seq.
func (m *moody) got() map[uint64]int {
	counts := map[uint64]int{}
	for _, seq := range m.Sequences() {
		counts[seq]++
	}
	return counts
}

// TestAuditTellsTheTruth mixes an outage, dropped events, refusals, kills and re-sends, and holds the audit's account of every single
// event against what the receiver has counted.
func TestAuditTellsTheTruth(t *testing.T) {
	t.Parallel()
	splunk := newMoody()
	splunk.refuses.Store(true)
	receiver := httptest.NewServer(splunk)
	t.Cleanup(receiver.Close)
	b := bridgetest.Start(t, bridgetest.Options{
		Queue: `max_bytes = "16MiB"`, Server: `max_body_bytes = "1MiB"`, Env: []string{"LINUXGUARD_TEST_TOKEN=token"},
		Outputs: fmt.Sprintf("[output.splunk]\ntype = \"splunk_hec\"\nurls = [%q]\ntoken = \"env:LINUXGUARD_TEST_TOKEN\"\nwhen_full = \"drop_oldest\"\n", receiver.URL),
	})
	var ids []string
	post := func(n int, text string) {
		t.Helper()
		client := b.Client(sender.ClientOptions{})
		defer client.Close()
		for range n {
			e := sender.Sample(3, time.Now(), nil)
			e.Data.Description = text
			ids = append(ids, e.Data.SignalID)
			b.MustPost(client, e.JSON(), "accepted")
		}
	}
	drained := func() {
		t.Helper()
		bridgetest.Eventually(t, arrive, "an empty queue", func() bool {
			o := b.Status().Outputs[0]
			return o.Queued.Events == 0 && o.InFlight == 0
		})
	}
	post(10, "first")
	post(2, refusedMark)
	post(10, "more")
	drained()
	splunk.down.Store(true)
	for range bridgetest.Count(2, 20) {
		post(70, strings.Repeat("x", 300_000)) // some 20 MiB: the oldest have to go
		b.Kill()
		b.Start()
		splunk.down.Store(false)
		post(5, "between")
		b.Kill() // in the middle of the backlog
		b.Start()
		drained()
		splunk.down.Store(true)
	}
	splunk.down.Store(false)
	post(3, refusedMark) // one after the other: the collector might be at fault
	post(1, "behind")    // it is not
	drained()
	items := b.Quarantine()
	if len(items) != 5 {
		t.Fatalf("%d items in the quarantine, want 5", len(items))
	}
	splunk.refuses.Store(false)
	for _, item := range items[:4] {
		if _, stderr, code := b.Command(nil, "quarantine", "resend", fmt.Sprint(item.ID), "--config", b.ConfigPath); code != 0 {
			t.Fatalf("resend %d: exit code %d: %s", item.ID, code, stderr)
		}
	}
	drained()
	holdAgainst(t, b, splunk.got())
	checkTimes(t, b, ids)
}

// checkTimes: nothing was delivered before it was received.
func checkTimes(t *testing.T, b *bridgetest.Bridge, ids []string) {
	t.Helper()
	delivered := 0
	for _, id := range ids {
		for _, e := range b.Trace(id).Events {
			for _, o := range e.Outputs {
				if o.Outcome != "delivered" {
					continue
				}
				if delivered++; o.At.Before(e.ReceivedAt) {
					t.Errorf("%s was received at %v and delivered at %v", id, e.ReceivedAt, o.At)
				}
			}
		}
	}
	if delivered < 100 {
		t.Errorf("only %d deliveries were looked at", delivered)
	}
}

// holdAgainst compares the audit with a receiver's count, for every sequence and in sum.
func holdAgainst(t *testing.T, b *bridgetest.Bridge, got map[uint64]int) {
	t.Helper()
	whole := b.Audit().Outputs[0]
	sum := admin.OutputAudit{}
	for seq := whole.First; seq <= whole.Last; seq++ {
		one := b.AuditRange(seq, seq).Outputs[0]
		sum.Delivered, sum.Dropped, sum.Quarantined = sum.Delivered+one.Delivered, sum.Dropped+one.Dropped, sum.Quarantined+one.Quarantined
		if delivered := one.Delivered == 1; delivered != (got[seq] > 0) || one.Received != 1 || one.Delivered+one.Dropped+one.Quarantined != 1 {
			t.Errorf("bridge_seq %d came %d times, and the audit says %+v", seq, got[seq], one)
		}
	}
	if whole.Delivered != uint64(len(got)) || whole.Delivered != sum.Delivered || whole.Dropped != sum.Dropped || whole.Quarantined != sum.Quarantined {
		t.Errorf("the receiver has %d events; the whole audit says %+v, the single ones add up to %+v", len(got), whole, sum)
	}
	if whole.Received != whole.Last || whole.Quarantined != 5 || whole.Dropped == 0 || whole.Queued+whole.Lost+whole.Unknown != 0 || !whole.AccountedFor {
		t.Errorf("the audit says %+v", whole)
	}
	repeats := 0
	for _, n := range got {
		repeats += n - 1
	}
	t.Logf("%d received, %d delivered, %d dropped, %d refused; %d came again after kills", whole.Received, whole.Delivered, whole.Dropped, whole.Quarantined, repeats)
}
