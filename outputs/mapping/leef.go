package mapping

import (
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// leefDelimiter separates LEEF 2.0's attributes. A tab, the default, would come out of rsyslog as #011.
const leefDelimiter = '^'

// appendLEEF appends "LEEF:2.0|LinuxGuard|LinuxGuard|v1|signal_type|^|key=value^key=value...".
func (s *Syslog) appendLEEF(dst []byte, rec *outputs.Record, lim *limits) []byte {
	dst = append(dst, "LEEF:2.0|LinuxGuard|LinuxGuard|"...)
	dst = append(lim.append(dst, rec.Signal.Version, lim.value, escapeLEEFHeader), '|')
	dst = append(lim.append(dst, msgID(rec), lim.value, escapeLEEFHeader), '|')
	dst = append(dst, leefDelimiter, '|')
	dst = strconv.AppendInt(append(dst, "devTime="...), eventTime(rec).UnixMilli(), 10)
	dst = append(dst, leefDelimiter)
	dst = append(append(dst, "sev="...), siemSeverity[rec.Signal.EffectiveSeverity()-1]...)
	for i := range columns {
		dst = appendLEEFColumn(dst, &columns[i], rec, lim)
	}
	if text := notes(rec, true); text != "" && lim.value != noValues {
		dst = append(append(dst, leefDelimiter), "lgBridgeNotes="...)
		dst = lim.append(dst, text, lim.value, escapeLEEFValue)
	}
	if lim.cut != "" {
		dst = append(append(dst, leefDelimiter), "lgBridgeCut="...)
		dst = append(dst, lim.cut...)
	}
	return s.appendUnknownKeys(dst, rec, lim, leefDelimiter, escapeLEEFValue)
}

func appendLEEFColumn(dst []byte, c *column, rec *outputs.Record, lim *limits) []byte {
	start := len(dst)
	if c.leef == "" || lim.drops(c) {
		return dst
	}
	dst = append(append(dst, leefDelimiter), c.leef...)
	dst = append(dst, '=')
	value := len(dst)
	dst = appendColumnValue(dst, c, rec, lim, escapeLEEFValue)
	if len(dst) == value {
		return dst[:start]
	}
	return dst
}

// escapeLEEFHeader writes "|" in octal: LEEF documents no escape for it.
func escapeLEEFHeader(dst []byte, text string) []byte { return escapeOctal(dst, text, '|') }

// escapeLEEFValue writes the delimiter in octal, likewise.
func escapeLEEFValue(dst []byte, text string) []byte { return escapeOctal(dst, text, leefDelimiter) }

func escapeOctal(dst []byte, text string, special byte) []byte {
	for i := strings.IndexByte(text, special); i >= 0; i = strings.IndexByte(text, special) {
		dst = rfc5424.AppendText(dst, text[:i])
		dst = rfc5424.AppendOctal(dst, text[i:i+1])
		text = text[i+1:]
	}
	return rfc5424.AppendText(dst, text)
}
