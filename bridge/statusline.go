package bridge

import (
	"fmt"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// statusLine is the living line of `systemctl status`: what came, what waits, each output with its lag, and what needs
// an operator.
func (b *Bridge) statusLine() string {
	r, q := b.Report(), b.queue.Status()
	var received uint64
	for _, e := range r.Receiver.Endpoints {
		received += e.Accepted
	}
	parts := []string{fmt.Sprintf("received %d, queued %d", received, q.Events)}
	if q.Quarantine > 0 {
		parts = append(parts, fmt.Sprintf("quarantined %d", q.Quarantine))
	}
	if !q.Healthy {
		parts = append(parts, "QUEUE: "+q.Problem)
	}
	now := b.opts.Loader.Now()
	for _, o := range r.Outputs {
		parts = append(parts, o.Name+" "+condition(o, q.Outputs, now))
	}
	if text := r.Config.LastReloadError; text != "" {
		parts = append(parts, "the last reload failed: "+text)
	}
	return strings.Join(parts, "; ")
}

// condition is an output's state in a word or two, with what waits for it.
func condition(o admin.OutputReport, places []queue.OutputStatus, now time.Time) string {
	text := o.State
	if o.Held {
		text = "HELD"
	}
	for _, p := range places {
		if p.Name == o.Name && p.Queued > 0 {
			text += fmt.Sprintf(" (%d wait, oldest %s)", p.Queued, admin.FormatDuration(now.Sub(p.Oldest)))
		}
	}
	return text
}
