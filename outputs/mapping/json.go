package mapping

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// What appendJSONString does with a byte.
const (
	jsonPlain = iota
	jsonEscape
	jsonWide // the start of a multi-byte character, or no UTF-8
)

var jsonClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ' || c == '"' || c == '\\' || c == 0x7f:
			t[c] = jsonEscape
		case c >= utf8.RuneSelf:
			t[c] = jsonWide
		}
	}
	return t
}()

// appendJSONString appends s as a JSON string, quotes included.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendJSONText(dst, s)
	return append(dst, '"')
}

// appendJSONText appends s as the inside of a JSON string: valid UTF-8 whatever s holds (U+FFFD for each invalid byte),
// and free of control characters, DEL, C1 and line separators included, so that it can stand in a syslog line.
func appendJSONText(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		class := jsonClass[s[i]]
		if class == jsonPlain {
			i++
			continue
		}
		r, size := rune(s[i]), 1
		if class == jsonWide {
			if r, size = utf8.DecodeRuneInString(s[i:]); !escapeRune(r, size) {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendJSONEscape(dst, r)
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}

// escapeRune reports whether the multi-byte character r, or the invalid byte in its place, must be escaped.
func escapeRune(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || r < 0xa0 || r == '\u2028' || r == '\u2029'
}

func appendJSONEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// appendRawJSON appends raw, valid JSON, so that its strings keep what appendJSONText promises. Outside of strings it
// is copied as it is.
func appendRawJSON(dst, raw []byte) []byte {
	start := 0
	for i := 0; i < len(raw); {
		class := jsonClass[raw[i]]
		if class == jsonPlain || raw[i] < ' ' || raw[i] == '"' {
			i++
			continue
		}
		r, size, escape := rune(raw[i]), 1, true
		switch {
		case r == '\\':
			size, escape = escapeSize(raw[i:])
			r = utf8.RuneError
		case class == jsonWide:
			r, size = utf8.DecodeRune(raw[i:])
			escape = escapeRune(r, size)
		}
		if escape {
			dst = append(dst, raw[start:i]...)
			dst = appendJSONEscape(dst, r)
			start = i + size
		}
		i += size
	}
	return append(dst, raw[start:]...)
}

// escapeSize returns the length of the escape sequence (a surrogate pair is one) at the start of raw, and whether it is a
// surrogate without its partner, which some receivers refuse.
func escapeSize(raw []byte) (size int, lone bool) {
	if raw[1] != 'u' {
		return 2, false
	}
	switch r := hexRune(raw[2:6]); {
	case r < 0xd800 || r > 0xdfff:
		return 6, false
	case r < 0xdc00 && len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u':
		if low := hexRune(raw[8:12]); 0xdc00 <= low && low <= 0xdfff {
			return 12, false
		}
	}
	return 6, true
}

func hexRune(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits), 16, 16)
	return rune(n)
}

// flat is how the JSON object of a record is made: flat, in the native layout or the CIM one, or as OCSF has it.
type flat struct {
	cim   bool
	ocsf  bool
	taken map[string]bool
}

// append appends rec as one JSON object within lim.
func (f *flat) append(dst []byte, rec *outputs.Record, lim *limits) []byte {
	if f.ocsf {
		return f.appendOCSF(dst, rec, lim)
	}
	dst = append(dst, '{')
	if f.cim {
		dst = appendCIM(dst, rec)
	}
	for i := range columns {
		dst = f.appendColumn(dst, &columns[i], rec, lim)
	}
	dst = f.appendNotes(dst, rec, lim)
	dst = f.appendUnknown(dst, rec, lim)
	return append(dst, '}')
}

// appendNotes appends what the bridge has to say of a record.
func (f *flat) appendNotes(dst []byte, rec *outputs.Record, lim *limits) []byte {
	if text := notes(rec, false); text != "" && lim.value != noValues {
		dst = appendJSONKey(dst, notesField)
		dst = append(lim.append(append(dst, '"'), text, lim.value, appendJSONText), '"')
	}
	if lim.cut != "" {
		dst = append(appendJSONKey(dst, cutField), '"')
		dst = append(append(dst, lim.cut...), '"')
	}
	return dst
}

func (f *flat) appendColumn(dst []byte, c *column, rec *outputs.Record, lim *limits) []byte {
	name := c.name
	if f.cim && c.cim != "" {
		name = c.cim
	}
	return appendColumnAs(dst, c, name, rec, lim)
}

// appendColumnAs appends c under name.
func appendColumnAs(dst []byte, c *column, name string, rec *outputs.Record, lim *limits) []byte {
	if lim.drops(c) {
		return dst
	}
	switch {
	case c.text != nil:
		text := c.text(rec)
		if text == "" {
			return dst
		}
		dst = append(appendJSONKey(dst, name), '"')
		return append(lim.append(dst, text, lim.of(c), appendJSONText), '"')
	case c.number != nil:
		if n := c.number(rec); n != 0 {
			return strconv.AppendUint(appendJSONKey(dst, name), n, 10)
		}
	default:
		if t := c.instant(rec); !t.IsZero() {
			return append(appendInstant(append(appendJSONKey(dst, name), '"'), t), '"')
		}
	}
	return dst
}

func (f *flat) appendUnknown(dst []byte, rec *outputs.Record, lim *limits) []byte {
	fields := unknownFields(rec, lim)
	for field, _ := fields.next(); field != nil; field, _ = fields.next() {
		dst = appendComma(dst)
		dst = append(dst, '"')
		dst = appendPrefix(dst, f.taken, field)
		dst = appendJSONText(dst, field.Name)
		dst = append(dst, '"', ':')
		dst = appendRawJSON(dst, field.Raw)
	}
	return dst
}

// appendJSONKey appends `,"name":`, without the comma at the start of an object. name needs no escaping.
func appendJSONKey(dst []byte, name string) []byte {
	dst = append(appendComma(dst), '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendComma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// appendInstant appends t in UTC with microseconds.
func appendInstant(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}
