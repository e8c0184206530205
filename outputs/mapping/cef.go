package mapping

import (
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

// unknownKey leads the keys of unknown fields in CEF and LEEF, so that none can be one of the dictionary's. Keys of our
// own begin with "lg" and a capital letter.
const unknownKey = "lg_"

// siemSeverity maps LinuxGuard's 1..5 to the 0..10 of CEF and LEEF: Low, Low, Medium, High, Very-High.
var siemSeverity = [...]string{"1", "3", "5", "8", "10"}

// appendCEF appends "CEF:0|LinuxGuard|LinuxGuard|v1|signal_type|signal type|severity|key=value ...".
func (s *Syslog) appendCEF(dst []byte, rec *outputs.Record, lim *limits) []byte {
	dst = append(dst, "CEF:0|LinuxGuard|LinuxGuard|"...)
	dst = append(lim.append(dst, rec.Signal.Version, lim.value, escapeCEFHeader), '|')
	dst = append(lim.append(dst, msgID(rec), lim.value, escapeCEFHeader), '|')
	dst = append(lim.append(dst, msgID(rec), lim.value, escapeCEFName), '|')
	dst = append(append(dst, siemSeverity[rec.Signal.EffectiveSeverity()-1]...), '|')
	dst = append(dst, "rt="...)
	dst = strconv.AppendInt(dst, eventTime(rec).UnixMilli(), 10)
	for i := range columns {
		dst = appendCEFColumn(dst, &columns[i], rec, lim)
	}
	if text := notes(rec, true); text != "" && lim.value != noValues {
		dst = append(dst, " lgBridgeNotes="...)
		dst = lim.append(dst, text, lim.value, escapeCEFValue)
	}
	if lim.cut != "" {
		dst = append(append(dst, " lgBridgeCut="...), lim.cut...)
	}
	return s.appendUnknownKeys(dst, rec, lim, ' ', escapeCEFValue)
}

func appendCEFColumn(dst []byte, c *column, rec *outputs.Record, lim *limits) []byte {
	start := len(dst)
	if c.cef == "" || lim.drops(c) {
		return dst
	}
	dst = append(append(dst, ' '), c.cef...)
	dst = append(dst, '=')
	value := len(dst)
	dst = appendColumnValue(dst, c, rec, lim, escapeCEFValue)
	if len(dst) == value {
		return dst[:start]
	}
	if c.cefLabel == "" {
		return dst
	}
	dst = append(append(dst, ' '), c.cef...)
	dst = append(dst, "Label="...)
	return append(dst, c.cefLabel...)
}

// appendColumnValue appends c's value, nothing when it is empty.
func appendColumnValue(dst []byte, c *column, rec *outputs.Record, lim *limits, escape escaper) []byte {
	switch {
	case c.text != nil:
		return lim.append(dst, c.text(rec), lim.of(c), escape)
	case c.number != nil:
		if n := c.number(rec); n != 0 {
			return strconv.AppendUint(dst, n, 10)
		}
	default:
		if t := c.instant(rec); !t.IsZero() {
			return appendInstant(dst, t)
		}
	}
	return dst
}

// appendUnknownKeys appends the unknown fields of CEF and LEEF. A category goes under the key that both have for it.
func (s *Syslog) appendUnknownKeys(dst []byte, rec *outputs.Record, lim *limits, separator byte, escape escaper) []byte {
	fields := unknownFields(rec, lim)
	for f, i := fields.next(); f != nil; f, i = fields.next() {
		if f.Text == "" {
			continue
		}
		dst = s.appendUnknownKey(append(dst, separator), f, i)
		dst = escape(append(dst, '='), f.Text)
	}
	return dst
}

func (s *Syslog) appendUnknownKey(dst []byte, f *signal.Field, number int) []byte {
	if f.Name == "category" && f.Nth == 0 {
		return append(dst, "cat"...)
	}
	return appendWord(append(dst, unknownKey...), s.flat.taken, f, number)
}

// escapeCEFHeader escapes "\" and "|".
func escapeCEFHeader(dst []byte, text string) []byte {
	return escapeWith(dst, text, '|', "\\|")
}

// escapeCEFValue escapes "\" and "=", and line breaks as CEF has them in multi-line fields: \n and \r.
func escapeCEFValue(dst []byte, text string) []byte {
	for {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 {
			return escapeWith(dst, text, '=', "\\=")
		}
		dst = escapeWith(dst, text[:i], '=', "\\=")
		if text[i] == '\n' {
			dst = append(dst, `\n`...)
		} else {
			dst = append(dst, `\r`...)
		}
		text = text[i+1:]
	}
}

// escapeWith appends text with "\" doubled and special replaced.
func escapeWith(dst []byte, text string, special byte, replacement string) []byte {
	if strings.IndexByte(text, special) < 0 && strings.IndexByte(text, '\\') < 0 {
		return rfc5424.AppendText(dst, text)
	}
	start := 0
	for i := range len(text) {
		switch text[i] {
		case '\\':
			dst = append(rfc5424.AppendText(dst, text[start:i]), '\\', '\\')
		case special:
			dst = append(rfc5424.AppendText(dst, text[start:i]), replacement...)
		default:
			continue
		}
		start = i + 1
	}
	return rfc5424.AppendText(dst, text[start:])
}

// escapeCEFName makes a signal's type readable: "sudo_command_executed" is named "sudo command executed".
func escapeCEFName(dst []byte, text string) []byte {
	start := len(dst)
	dst = escapeCEFHeader(dst, text)
	for i := start; i < len(dst); i++ {
		if dst[i] == '_' {
			dst[i] = ' '
		}
	}
	return dst
}
