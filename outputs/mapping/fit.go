package mapping

import (
	"slices"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// fit encodes a record that is too long so that it fits: with a shorter description, else without the largest unknown
// fields too, else with long values cut. Each stage gives what it leaves over back to the description.
func (s *Syslog) fit(dst []byte, rec *outputs.Record, sequence uint64) []byte {
	lim := whole
	lim.description = 0
	lim.cut = s.cutText(rec, false, false)
	if out, ok := s.try(dst, rec, &lim, sequence); ok {
		return out
	}
	lim.cut = s.cutText(rec, true, false)
	if out, ok := s.dropFields(dst, rec, lim, sequence); ok {
		return out
	}
	lim.cut = s.cutText(rec, true, true)
	lim.field = -1
	for _, lim.value = range [...]int{512, 128, 32, 0} {
		if out, ok := s.try(dst, rec, &lim, sequence); ok {
			return out
		}
	}
	// An ID of more than 100 octets is none that LinuxGuard makes. It is cut rather than let the message grow over a
	// limit beyond which a receiver takes the rest for a message of its own.
	for _, lim.id = range [...]int{256, 100, 48} {
		if out, ok := s.try(dst, rec, &lim, sequence); ok {
			return out
		}
	}
	return s.encode(dst, rec, &lim, sequence)
}

// try encodes within lim and with as much of the description as the room allows.
func (s *Syslog) try(dst []byte, rec *outputs.Record, lim *limits, sequence uint64) ([]byte, bool) {
	start := len(dst)
	lim.description = 0
	out := s.encode(dst, rec, lim, sequence)
	room := s.max - (len(out) - start)
	if room < 0 {
		return out[:start], false
	}
	lim.description = room
	return s.encode(out[:start], rec, lim, sequence), true
}

// dropFields leaves out the largest unknown fields, as few sizes of them as it takes.
func (s *Syslog) dropFields(dst []byte, rec *outputs.Record, lim limits, sequence uint64) ([]byte, bool) {
	sizes := []int{-1}
	fields := unknown{signal: rec.Signal}
	for f, _ := fields.next(); f != nil; f, _ = fields.next() {
		sizes = append(sizes, len(f.Raw))
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	// Find the largest size that still fits; -1, no unknown field at all, comes first.
	n, _ := slices.BinarySearchFunc(sizes, s.max, func(size, limit int) int {
		lim.field, lim.description = size, 0
		if size >= 0 && len(s.encode(dst, rec, &lim, sequence))-len(dst) > limit {
			return 1
		}
		return -1
	})
	lim.field = sizes[max(n, 1)-1]
	return s.try(dst, rec, &lim, sequence)
}

// cutText says what was cut, for bridge_cut.
func (s *Syslog) cutText(rec *outputs.Record, fields, values bool) string {
	fields = fields && len(rec.Signal.Extra)+len(rec.Signal.EnvelopeExtra) > 0
	text := ""
	if rec.Signal.Description != "" {
		text = " description"
	}
	if fields {
		text += " fields"
	}
	if values {
		text += " values"
	}
	if text == "" {
		return "values"
	}
	return text[1:]
}
