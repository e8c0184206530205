package admin

import (
	"fmt"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Judgment says whether the bridge does its work and what is wrong, a sentence each with what to do about it. /healthz and
// /readyz, the metric linuxguard_bridge_ready, the command status, the page and systemd's status line all show this one.
type Judgment struct {
	Ready bool `json:"ready"`
	// Lost tells of losses that nobody has acknowledged. The bridge works all the same.
	Lost string `json:"lost,omitempty"`
	// Unhealthy holds the reasons why /healthz answers 503; a restart may help against these.
	Unhealthy []string `json:"unhealthy,omitempty"`
	// NotReady holds the reasons why /readyz answers 503, those of Unhealthy first.
	NotReady []string `json:"not_ready,omitempty"`

	found []Finding // all of these
}

func (j *Judgment) add(key, runbook string, since time.Time, text string) {
	j.found = append(j.found, Finding{Severity: SeverityProblem, Text: text, Since: since, Runbook: runbook, key: key})
}

func (j *Judgment) unhealthy(key, runbook, text string) {
	j.add(key, runbook, time.Time{}, text)
	j.Unhealthy, j.NotReady = append(j.Unhealthy, text), append(j.NotReady, text)
}

func (j *Judgment) notReady(key, runbook string, since time.Time, text string) {
	j.add(key, runbook, since, text)
	j.NotReady = append(j.NotReady, text)
}

// Judge judges a bridge by what it and its queue say.
func Judge(r Report, q queue.Status) Judgment {
	j := Judgment{Lost: lostText(q)}
	if j.Lost != "" {
		j.add("lost", "linuxguardsignalslost", time.Time{}, j.Lost)
	}
	if !q.Healthy {
		j.unhealthy("queue", "linuxguardqueueunhealthy", "the queue can't take events, webhooks get 503: "+orElse(q.Problem, "it can't write"))
	}
	for _, o := range r.Outputs {
		if o.Stuck {
			j.unhealthy("stuck "+o.Name, "linuxguardbridgenotready", fmt.Sprintf("the worker of output %s makes no progress; a restart may help", o.Name))
		}
	}
	if q.Healthy && q.Full {
		j.notReady("full", "linuxguardqueuenearlyfull", time.Time{}, "the queue is full, webhooks get 503: "+orElse(q.Problem, "an output does not take its events")+
			"; get the outputs going, or raise queue.max_bytes")
	}
	for _, o := range r.Outputs {
		if o.Blocked {
			j.notReady("blocked "+o.Name, "linuxguardoutputblocked", o.FailingSince,
				fmt.Sprintf("output %s is blocked until an operator acts: %s", o.Name, o.BlockedReason))
		}
	}
	for _, o := range q.Outputs {
		if o.QuarantineFull {
			j.notReady("quarantine "+o.Name, "linuxguardquarantinenearlyfull", time.Time{}, fmt.Sprintf("output %s stands still, its share of the quarantine is full: "+
				"resend or drop its items (linuxguard-bridge quarantine list --output %s), or raise queue.quarantine_max_bytes", o.Name, o.Name))
		}
	}
	if r.Stopping {
		j.notReady("stopping", "", time.Time{}, "the bridge is stopping")
	}
	j.Ready = len(j.NotReady) == 0
	return j
}

// lostText tells of the losses that nobody has acknowledged, or is empty.
func lostText(q queue.Status) string {
	if q.Losses == 0 {
		return ""
	}
	what := display.Count(q.LostEvents, "event")
	if q.LostUnknown {
		what = "at least " + what
		if q.LostEvents == 0 {
			what = "an unknown number of events"
		}
	}
	return fmt.Sprintf("LOST %s in %s: see linuxguard-bridge losses list, then take note with losses acknowledge",
		what, display.Count(uint64(q.Losses), "loss")) //nolint:gosec // a count
}

// Problems returns all that is wrong, the worst first.
func (j Judgment) Problems() []string {
	if j.Lost == "" {
		return j.NotReady
	}
	return append([]string{j.Lost}, j.NotReady...)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
