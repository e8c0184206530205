package bridge

import (
	"fmt"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// statusLine is the living line of `systemctl status`: what is wrong, what came, what waits, each output with its lag.
func (b *Bridge) statusLine() string {
	r, q := b.Report(), b.queue.Status()
	return statusLine(r, q, b.opts.Loader.Now())
}

func statusLine(r admin.Report, q queue.Status, now time.Time) string {
	var received uint64
	for _, e := range r.Receiver.Endpoints {
		received += e.Accepted
	}
	parts := admin.Judge(r, q).Problems()
	parts = append(parts, fmt.Sprintf("received %d, queued %d", received, q.Events))
	if q.DeadLetters > 0 {
		parts = append(parts, fmt.Sprintf("quarantined %d", q.DeadLetters))
	}
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
	if o.Blocked {
		text = "BLOCKED"
	}
	for _, p := range places {
		if p.Name != o.Name || p.Queued == 0 {
			continue
		}
		text += fmt.Sprintf(" (%d wait", p.Queued)
		if !p.Oldest.IsZero() { // else it isn't known
			text += ", oldest " + display.Duration(now.Sub(p.Oldest))
		}
		text += ")"
	}
	return text
}
