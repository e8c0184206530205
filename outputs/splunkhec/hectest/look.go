package hectest

import "slices"

// Set changes s between requests.
func (s *Splunk) Set(change func(*Splunk)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// Restart forgets all acknowledgements, as a restarted Splunk does.
func (s *Splunk) Restart() { s.Set(func(s *Splunk) { s.channels = nil }) }

// Events returns what was indexed, in order, repeated events too.
func (s *Splunk) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Sequences returns the bridge_seqs of what was indexed, in order, repeated ones too.
func (s *Splunk) Sequences() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seqs)
}

// Requests returns what was asked so far.
func (s *Splunk) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}
