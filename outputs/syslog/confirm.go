package syslog

import (
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The polling for acknowledgements, which raise no event. A busy line is asked every pollFast, an idle one with
// something open more and more seldom (a delayed ACK takes up to 40 ms), a line with nothing open never.
const (
	pollFast = 2 * time.Millisecond
	pollSlow = 50 * time.Millisecond
)

// acceptanceGrace is how long a peer gets to refuse this side's certificate. With TLS 1.3 a client is done with the
// handshake before the server has looked at the client's certificate (RFC 8446 section 4.6.2), so that the first
// records can be acknowledged by the kernel of a server that is about to refuse them. Nothing is confirmed before the
// server's first session ticket, or so long without a refusal.
const acceptanceGrace = time.Second

// keep confirms what the peer's kernel has acknowledged, until the connection ends. It is the only one that calls done.
func (s *stream) keep() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	polling := false
	interval := pollFast
	var progress time.Time // the last time that the peer took anything, or that something was written to an idle line
	for {
		select {
		case <-s.failed:
			s.end()
			return
		case <-s.wake:
			if polling {
				continue // the line goes on, and so do the polls
			}
			polling, interval, progress = true, pollFast, time.Now()
		case <-timer.C:
			open, moved := s.confirm(s.grace)
			polling = open > 0
			switch {
			case !polling:
				continue // the next write wakes us
			case moved:
				interval, progress = pollFast, time.Now()
			case time.Since(progress) > s.limit:
				s.fail(errAckTimeout)
			default:
				interval = min(2*interval, pollSlow)
			}
		}
		timer.Reset(interval)
	}
}

// waiting counts the batches.
func (s *stream) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches.len()
}

// confirm completes the batches whose last byte is acknowledged, and has been for the reset grace. It returns how many
// remain and whether the peer took anything since the last time.
func (s *stream) confirm(grace time.Duration) (open int, moved bool) {
	h, err := s.meter.health()
	if err != nil || h.reset {
		return s.waiting(), false // the reader learns of the reset and ends the connection
	}
	if !s.accepted() {
		return s.waiting(), true // ack_timeout is about the time after
	}
	moved = h.acknowledged > s.acknowledged
	s.acknowledged = max(s.acknowledged, h.acknowledged)
	now := time.Now()
	window := uint64(0)
	if moved && s.unread != nil {
		window = s.meter.receiveWindow()
	}
	s.mu.Lock()
	if s.unread != nil {
		s.unread.trim(h.acknowledged, window)
	}
	for i := range s.batches.len() {
		f := s.batches.at(i)
		if f.end > h.acknowledged {
			break
		}
		if f.acked.IsZero() {
			f.acked = now
		}
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		open = s.batches.len()
		if open == 0 || s.batches.at(0).acked.IsZero() || now.Sub(s.batches.at(0).acked) < grace {
			s.mu.Unlock()
			return open, moved
		}
		f := s.batches.pop()
		s.records -= f.n
		s.proven = true
		if s.unread != nil {
			s.unread.confirm()
		}
		s.mu.Unlock()
		s.counts.confirmed(outputs.KernelAcknowledged, f.n)
		f.complete(nil)
		wakeUp(s.settled)
	}
}

// accepted reports whether what the kernel acknowledges may be believed.
func (s *stream) accepted() bool {
	if s.trusted == nil {
		return true
	}
	select {
	case <-s.trusted:
	default:
		if time.Now().Before(s.acceptBy) {
			return false
		}
	}
	s.trusted = nil
	return true
}
