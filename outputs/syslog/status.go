package syslog

import (
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// Status implements outputs.Output.
func (o *Output) Status() outputs.Status {
	o.mu.Lock()
	s, live := o.status, o.live
	o.mu.Unlock()
	s.Level = o.addresses[0].level()
	if live != nil {
		s.Level = live.level()
		s.State = live.state()
	}
	o.expiry.Tell(&s)
	return s
}

func (o *Output) setState(state outputs.State, peer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status.State = state
	if peer != "" {
		o.status.Peer = peer
	}
}

func (o *Output) setLive(l link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live = l
}
