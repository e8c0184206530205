package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

// Finding is one thing that an operator should know of, in a line that says what to do.
type Finding struct {
	// Severity is "problem" for what keeps the bridge from its work or has cost signals, "warning" for the rest.
	Severity string `json:"severity"`
	Text     string `json:"text"`
	// Since is when it began, as far as this process has seen; zero: just now.
	Since time.Time `json:"since,omitzero"`
	// Runbook is the entry of the guide "what to do when", as the fragment of its address; empty: there is none.
	Runbook string `json:"runbook,omitempty"`

	key string // what it is about: the text may change while it goes on
}

// The severities of a Finding.
const (
	SeverityProblem = "problem"
	SeverityWarning = "warning"
)

// runbookURL is where the entries of findings are.
const runbookURL = "https://github.com/linuxguard/linuxguard-bridge/blob/main/contrib/guides/what-to-do-when.md#"

// RunbookURL is the address of the runbook's entry.
func (f Finding) RunbookURL() string {
	if f.Runbook == "" {
		return ""
	}
	return runbookURL + f.Runbook
}

// IsProblem reports whether it is more than a warning.
func (f Finding) IsProblem() bool { return f.Severity == SeverityProblem }

// findings are all that is to be said of a status, the worst first.
func findings(st *Status) []Finding {
	all := append([]Finding(nil), st.found...)
	add := func(f Finding) { all = append(all, f) }
	if c := st.Config; c.LastReloadError != "" {
		add(Finding{Severity: SeverityProblem, Text: "the last reload was refused, the old configuration is in force: " + c.LastReloadError,
			Since: c.LastReload, Runbook: "linuxguardreloadfailed", key: "reload"})
	}
	for _, e := range st.Receiver.Endpoints {
		if e.Overdue {
			add(Finding{Severity: SeverityProblem, Runbook: "linuxguardendpointoverdue", key: "overdue " + e.Name, Since: overdueSince(e),
				Text: fmt.Sprintf("endpoint %s is overdue: nothing that is signed came for longer than expect_every (%s)", e.Name, display.Duration(e.ExpectEvery))})
		}
	}
	for i := range st.Outputs {
		if o := &st.Outputs[i]; o.Failing && !o.Blocked {
			add(failing(o))
		}
	}
	for _, c := range st.Certificates {
		if left := c.NotAfter.Sub(st.At); left < pemfile.ExpiryNotice {
			add(Finding{Severity: SeverityWarning, Runbook: "linuxguardcertificateexpiring", key: "certificate " + c.Name,
				Text: fmt.Sprintf("certificate %s ends in %s, %s", c.Name, display.Duration(left), display.Time(c.NotAfter))})
		}
	}
	if r := st.Config.RestartNeeded; len(r) > 0 {
		add(Finding{Severity: SeverityWarning, Since: st.Config.LastReload, key: "restart", Text: "a restart is needed for: " + strings.Join(r, ", ")})
	}
	for _, text := range st.Warnings {
		add(Finding{Severity: SeverityWarning, Text: text, key: text})
	}
	all = append(all, certificatesOfOutputs(st.Outputs)...)
	for _, o := range st.Outputs {
		for _, text := range o.Warnings {
			if isSaid(st.Warnings, text) {
				continue
			}
			add(Finding{Severity: SeverityWarning, Text: "output " + o.Name + ": " + text, key: o.Name + text})
		}
	}
	if st.Queue.Evicted > 0 {
		add(Finding{Severity: SeverityWarning, Runbook: "linuxguarddedupetoosmall", key: "evicted",
			Text: display.Count(st.Queue.Evicted, "seen delivery") + " forgotten too early since the start: raise dedupe.capacity"})
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(a.Severity, b.Severity) })
	return all
}

// certificatesOfOutputs has one finding a certificate, however many outputs and addresses have it.
func certificatesOfOutputs(list []OutputReport) []Finding {
	var ids []string
	text, where := map[string]string{}, map[string][]string{}
	for _, o := range list {
		for _, c := range o.Certificates {
			if text[c.ID] == "" {
				ids, text[c.ID] = append(ids, c.ID), c.Text
			}
			where[c.ID] = append(where[c.ID], "output "+o.Name+" at "+c.Where)
		}
	}
	var all []Finding
	for _, id := range ids {
		all = append(all, Finding{Severity: SeverityWarning, Runbook: "linuxguardcertificateexpiring", key: "certificate " + id,
			Text: text[id] + " (" + strings.Join(where[id], ", ") + ")"})
	}
	return all
}

// isSaid reports whether the configuration's warnings have said the same: they name the key and the line.
func isSaid(warnings []string, text string) bool {
	_, what, found := strings.Cut(text, ": ")
	return found && slices.ContainsFunc(warnings, func(w string) bool { return strings.HasSuffix(w, what) })
}

func overdueSince(e EndpointReport) time.Time {
	if heard := e.LastHeard(); !heard.IsZero() {
		return heard.Add(e.ExpectEvery)
	}
	return time.Time{}
}

// failing tells of an output that retries: what failed first, and what failed last where that is something else.
func failing(o *OutputReport) Finding {
	text := fmt.Sprintf("output %s fails and is retried, nothing is lost: %s", o.Name, o.FirstError)
	if o.LastError != o.FirstError {
		text += "; now: " + o.LastError
	}
	return Finding{Severity: SeverityWarning, Text: text, Since: o.FailingSince, Runbook: "linuxguardoutputlagging", key: "failing " + o.Name}
}
