package bridge

import (
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// TestStatusLine: what is wrong comes first, in the words of every other view.
func TestStatusLine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	healthy := admin.Report{
		Receiver: admin.ReceiverReport{Endpoints: []admin.EndpointReport{{Accepted: 40}, {Accepted: 2}}},
		Outputs:  []admin.OutputReport{{Name: "siem", State: "up"}},
	}
	troubled := healthy
	troubled.Outputs = []admin.OutputReport{{Name: "siem", State: "up", Blocked: true, BlockedReason: "the token is disabled"}}
	troubled.Config.LastReloadError = "line 3"
	for want, c := range map[string]struct {
		r admin.Report
		q queue.Status
	}{
		"received 42, queued 0; siem up": {healthy, queue.Status{Healthy: true}},
		"LOST 3 events in 1 loss: see linuxguard-bridge losses list, then take note with losses acknowledge; " +
			"the queue can't take events, webhooks get 503: no space left; received 42, queued 7; quarantined 2; siem up (7 wait, oldest 1m30s)": {
			healthy, queue.Status{
				Problem: "no space left", Losses: 1, LostEvents: 3, Events: 7, DeadLetters: 2,
				Outputs: []queue.OutputStatus{{Name: "siem", Queued: 7, Oldest: now.Add(-90 * time.Second)}},
			},
		},
		"output siem is blocked until an operator acts: the token is disabled; received 42, queued 0; siem BLOCKED; the last reload failed: line 3": {
			troubled, queue.Status{Healthy: true},
		},
	} {
		if got := statusLine(c.r, c.q, now); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
