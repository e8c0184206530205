package admin

import (
	"fmt"
	"strings"
)

// StatusLine is the living line of `systemctl status`: what came, what waits, and each output with its lag.
func (s *Server) StatusLine() string { return s.status().Line() }

// Line is the status in one line of at most about 60 characters an output.
func (st Status) Line() string {
	var received uint64
	for _, e := range st.Receiver.Endpoints {
		received += e.Accepted
	}
	parts := []string{fmt.Sprintf("received %s, queued %s", groupDigits(received), groupDigits(st.Queue.Events))}
	if n := st.Queue.Quarantine; n > 0 {
		parts = append(parts, fmt.Sprintf("quarantined %s", groupDigits(n)))
	}
	for _, p := range st.Problems() {
		parts = append(parts, "NOT READY: "+p)
	}
	for _, o := range st.Outputs {
		parts = append(parts, o.Name+" "+o.condition(st))
	}
	if text := st.Config.LastReloadError; text != "" {
		parts = append(parts, "the last reload failed: "+text)
	}
	return strings.Join(parts, "; ")
}

// condition is an output's state in a word or two, with what waits for it.
func (o OutputReport) condition(st Status) string {
	text := o.State
	if o.Held {
		text = "HELD"
	}
	if o.Queued.Events > 0 {
		text += fmt.Sprintf(" (%s wait, oldest %s)", groupDigits(o.Queued.Events), FormatDuration(st.At.Sub(o.Queued.Oldest)))
	}
	return text
}
