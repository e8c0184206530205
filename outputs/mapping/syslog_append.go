package mapping

import (
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// Append appends rec as one message of at most MaxMessageBytes octets, without framing and free of control characters. cut
// reports that something was cut or left out to fit; the message says what in bridge_cut.
func (s *Syslog) Append(dst []byte, rec *outputs.Record) (out []byte, cut bool) {
	sequence := s.nextSequence()
	start := len(dst)
	if s.tooLong(rec) {
		return s.fit(dst, rec, sequence), true
	}
	out = s.encode(dst, rec, &whole, sequence)
	if len(out)-start <= s.max {
		return out, false
	}
	return s.fit(out[:start], rec, sequence), true
}

// tooLong reports whether a record can't fit whatever else is in it: no text becomes shorter by being escaped.
func (s *Syslog) tooLong(rec *outputs.Record) bool { return len(rec.Signal.Description) > s.max }

// nextSequence returns the next sequenceId (RFC 5424, section 7.3.1): 1 to 2147483647 and around; 0 when it is off.
func (s *Syslog) nextSequence() uint64 {
	if s.sequence == nil {
		return 0
	}
	return (s.sequence.Add(1)-1)%(1<<31-1) + 1
}

func (s *Syslog) encode(dst []byte, rec *outputs.Record, lim *limits, sequence uint64) []byte {
	if s.format == FormatRFC3164 {
		return s.encode3164(dst, rec, lim)
	}
	dst = rfc5424.AppendHeader(dst, &rfc5424.Header{
		Facility: s.facility, Severity: severity(rec), Time: eventTime(rec),
		Hostname: lim.host(rec.Signal.ServerName), AppName: s.appName, MsgID: msgID(rec),
	})
	start := len(dst)
	switch s.data {
	case StructuredFull:
		dst = s.appendElement(dst, rec, lim)
	case StructuredIDs:
		dst = s.appendIDs(dst, rec, lim)
	}
	dst = append(dst, s.origin...)
	dst = appendMeta(dst, sequence)
	if s.quality {
		dst = appendTimeQuality(dst, rec)
	}
	if len(dst) == start {
		dst = append(dst, '-') // RFC 5424, section 6.3: NILVALUE
	}
	dst = append(dst, ' ')
	if s.bom {
		dst = append(dst, rfc5424.BOM...)
	}
	return s.appendMessage(dst, rec, lim)
}

// severity maps LinuxGuard's 1..5 to informational, notice, warning, error and critical.
func severity(rec *outputs.Record) rfc5424.Severity {
	return rfc5424.Informational + 1 - rfc5424.Severity(rec.Signal.EffectiveSeverity()) //nolint:gosec // 1 to 5
}

func msgID(rec *outputs.Record) string {
	if rec.Synthetic {
		return SyntheticMsgID
	}
	return rec.Signal.SignalType
}

// appendElement appends the element with our fields and the unknown ones.
func (s *Syslog) appendElement(dst []byte, rec *outputs.Record, lim *limits) []byte {
	dst = rfc5424.OpenElement(dst, s.sdID)
	for i := range columns {
		if c := &columns[i]; !lim.drops(c) {
			dst = appendColumnParam(dst, c, rec, lim)
		}
	}
	if text := notes(rec, true); text != "" && lim.value != noValues {
		dst = rfc5424.OpenParam(dst, notesField)
		dst = append(lim.append(dst, text, lim.value, rfc5424.AppendValue), '"')
	}
	if lim.cut != "" {
		dst = rfc5424.AppendParam(dst, cutField, lim.cut)
	}
	fields := unknownFields(rec, lim)
	for f, i := fields.next(); f != nil; f, i = fields.next() {
		dst = s.appendUnknownParam(dst, f, i)
	}
	return rfc5424.CloseElement(dst)
}

// appendIDs appends the element with the IDs alone, bridge_seq among them: MSG has the rest.
func (s *Syslog) appendIDs(dst []byte, rec *outputs.Record, lim *limits) []byte {
	dst = rfc5424.OpenElement(dst, s.sdID)
	for i := range columns {
		if c := &columns[i]; c.id {
			dst = appendColumnParam(dst, c, rec, lim)
		}
	}
	return rfc5424.CloseElement(dst)
}

func (s *Syslog) appendUnknownParam(dst []byte, f *signal.Field, number int) []byte {
	dst = append(dst, ' ')
	dst = appendWord(dst, s.flat.taken, f, number)
	dst = append(dst, '=', '"')
	dst = rfc5424.AppendValue(dst, f.Text)
	return append(dst, '"')
}

func appendColumnParam(dst []byte, c *column, rec *outputs.Record, lim *limits) []byte {
	switch {
	case c.text != nil:
		if text := c.text(rec); text != "" {
			dst = rfc5424.OpenParam(dst, c.name)
			return append(lim.append(dst, text, lim.inElement(c), rfc5424.AppendValue), '"')
		}
	case c.number != nil:
		if n := c.number(rec); n != 0 {
			return append(strconv.AppendUint(rfc5424.OpenParam(dst, c.name), n, 10), '"')
		}
	default:
		if t := c.instant(rec); !t.IsZero() {
			return append(appendInstant(rfc5424.OpenParam(dst, c.name), t), '"')
		}
	}
	return dst
}

// appendMeta appends the element of section 7.3.
func appendMeta(dst []byte, sequence uint64) []byte {
	if sequence == 0 {
		return dst
	}
	dst = rfc5424.OpenParam(rfc5424.OpenElement(dst, "meta"), "sequenceId")
	dst = append(strconv.AppendUint(dst, sequence, 10), '"')
	return rfc5424.CloseElement(dst)
}

// appendTimeQuality appends the element of section 7.1. Whether the clock of the server that made created_at is
// synchronised can't be known here, so only tzKnown is said.
func appendTimeQuality(dst []byte, rec *outputs.Record) []byte {
	known := "0"
	if at := rec.Signal.CreatedAt; at == "" || hasZone(at) {
		known = "1"
	}
	dst = rfc5424.AppendParam(rfc5424.OpenElement(dst, "timeQuality"), "tzKnown", known)
	return rfc5424.CloseElement(dst)
}

// hasZone reports whether an ISO 8601 time names its zone; an epoch needs none.
func hasZone(at string) bool {
	if len(at) <= len(time.DateTime) {
		return len(at) < len(time.DateOnly) || at[4] != '-'
	}
	for i := len(time.DateTime); i < len(at); i++ {
		if c := at[i]; c == 'Z' || c == 'z' || c == '+' || c == '-' {
			return true
		}
	}
	return false
}

// appendMessage appends MSG.
func (s *Syslog) appendMessage(dst []byte, rec *outputs.Record, lim *limits) []byte {
	switch s.message {
	case MessageJSON, MessageOCSF:
		return s.flat.append(dst, rec, lim)
	case MessageCEF:
		return s.appendCEF(dst, rec, lim)
	case MessageLEEF:
		return s.appendLEEF(dst, rec, lim)
	default:
		return lim.append(dst, message(rec), lim.description, rfc5424.AppendText)
	}
}
