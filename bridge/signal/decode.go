package signal

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// ErrNotObject says that a body is not one JSON object.
var ErrNotObject = errors.New("not a JSON object")

// slot is one documented field's place in the decoder.
type slot int

const (
	slotEventType slot = iota
	slotVersion
	slotTimestamp
	slotTenantID
	slotConsoleURL
	slotSignalID
	slotSignalType
	slotSeverity
	slotDescription
	slotServerID
	slotServerName
	slotIdentityID
	slotIdentityName
	slotEnvironment
	slotCreatedAt
	slots

	slotData    slot = -2
	slotUnknown slot = -1
)

var slotNames = [slots]string{"event_type", "version", "timestamp", "tenant_id", "console_url", "signal_id", "signal_type",
	"severity", "description", "server_id", "server_name", "identity_id", "identity_name", "environment", "created_at"}

// envelopeSlot and dataSlot are switches, not look-ups in slotNames, because they run for every field of every webhook.
func envelopeSlot(name string) slot {
	switch name {
	case "event_type":
		return slotEventType
	case "version":
		return slotVersion
	case "timestamp":
		return slotTimestamp
	case "tenant_id":
		return slotTenantID
	case "console_url":
		return slotConsoleURL
	case "data":
		return slotData
	}
	return slotUnknown
}

func dataSlot(name string) slot {
	switch name {
	case "signal_id":
		return slotSignalID
	case "signal_type":
		return slotSignalType
	case "severity":
		return slotSeverity
	case "description":
		return slotDescription
	case "server_id":
		return slotServerID
	case "server_name":
		return slotServerName
	case "identity_id":
		return slotIdentityID
	case "identity_name":
		return slotIdentityName
	case "environment":
		return slotEnvironment
	case "created_at":
		return slotCreatedAt
	}
	return slotUnknown
}

// decoder holds one Decode's state: the signal that it fills and where the last value of every documented field lies.
type decoder struct {
	scanner
	body  []byte
	sig   *Signal
	known [slots]value
	datas int // objects called data
}

// Decode reads one webhook body. The Signal shares memory with body, which must not change any more.
func Decode(body []byte) (*Signal, error) {
	// A copy of every body would be the largest thing that a webhook costs beside the body itself.
	text := unsafe.String(unsafe.SliceData(body), len(body)) //nolint:gosec // body does not change any more
	d := decoder{scanner: scanner{text: text}, body: body, sig: &Signal{}}
	d.space()
	if !d.object(1, d.envelopeField) {
		return nil, ErrNotObject
	}
	if d.space(); d.pos != len(d.text) {
		return nil, ErrNotObject
	}
	d.finish()
	return d.sig, nil
}

func (d *decoder) envelopeField(nameAt value) bool {
	name := d.string(nameAt)
	at := envelopeSlot(name)
	if at == slotData && d.pos < len(d.text) && d.text[d.pos] == '{' {
		d.newData()
		return d.object(2, d.dataField)
	}
	v, ok := d.value(1)
	if !ok {
		return false
	}
	if at == slotData {
		d.note("data is not an object")
	}
	d.keep(at, name, v, &d.sig.EnvelopeExtra)
	return true
}

// newData begins with an object called data. The last one counts, whole, as in most JSON parsers; of one before it everything is kept as
// unknown.
func (d *decoder) newData() {
	if d.datas++; d.datas == 1 {
		return
	}
	d.note("data comes more than once, the last one counts")
	for at := slotSignalID; at < slots; at++ {
		if earlier := d.known[at]; earlier.kind != missing {
			d.sig.Extra = append(d.sig.Extra, d.field(slotNames[at], earlier))
			d.known[at] = value{}
		}
	}
}

func (d *decoder) dataField(nameAt value) bool {
	v, ok := d.value(2)
	if ok {
		name := d.string(nameAt)
		d.keep(dataSlot(name), name, v, &d.sig.Extra)
	}
	return ok
}

// keep files v under its slot, or under extra when it has none. The last value of a documented field counts, as in
// most JSON parsers; the one before it is kept as an unknown field.
func (d *decoder) keep(at slot, name string, v value, extra *[]Field) {
	if at < 0 {
		*extra = append(*extra, d.field(name, v))
		return
	}
	if earlier := d.known[at]; earlier.kind != missing {
		*extra = append(*extra, d.field(name, earlier))
		d.note(name + " comes more than once, the last one counts")
	}
	d.known[at] = v
}

// field makes the Field of an unknown value.
func (d *decoder) field(name string, v value) Field {
	f := Field{Name: name, Raw: d.body[v.start:v.end:v.end], Text: d.text[v.start:v.end]}
	switch {
	case v.kind == text:
		f.Text = d.string(v)
	case v.spaced:
		f.Raw = compact(f.Text)
		f.Text = string(f.Raw)
	}
	if v.deep {
		f.Raw, _ = json.Marshal(f.Text) // a string always has a JSON form
		d.note("a value that is nested deeper than many parsers read is kept as text")
		return f
	}
	if v.huge {
		// Most JSON parsers refuse the whole record for such a number: it travels as text.
		f.Raw, _ = json.Marshal(f.Text) // a string always has a JSON form
		d.note("a number that is too large for most parsers is kept as text")
	}
	return f
}

// string returns the text of a JSON string.
func (d *decoder) string(v value) string {
	inside := d.text[v.start+1 : v.end-1]
	if !v.escaped {
		return inside
	}
	unescaped, broken := unescape(inside)
	if broken {
		d.note("a surrogate without its partner became U+FFFD")
	}
	return unescaped
}

// finish fills the signal from the values found and notes what is odd about them.
func (d *decoder) finish() {
	s := d.sig
	s.EventType, s.Version, s.Timestamp = d.textOf(slotEventType), d.textOf(slotVersion), d.textOf(slotTimestamp)
	s.TenantID, s.ConsoleURL = d.textOf(slotTenantID), d.textOf(slotConsoleURL)
	s.SignalID, s.SignalType = d.textOf(slotSignalID), d.textOf(slotSignalType)
	s.Description = d.textOf(slotDescription)
	s.ServerID, s.ServerName = d.textOf(slotServerID), d.textOf(slotServerName)
	s.IdentityID, s.IdentityName = d.textOf(slotIdentityID), d.textOf(slotIdentityName)
	s.Environment, s.CreatedAt = d.textOf(slotEnvironment), d.textOf(slotCreatedAt)
	d.severity()
	d.times()
	if s.Description == "" {
		d.note("description is missing")
	}
	if s.ServerName == "" {
		d.note("server_name is missing")
	}
	if !utf8.ValidString(d.text) {
		d.note("invalid UTF-8")
	}
	countRepeats(s.Extra, s.EnvelopeExtra)
}

// textOf returns a documented field's text: numbers, booleans, objects and arrays keep their JSON text, null is empty.
func (d *decoder) textOf(at slot) string {
	v := d.known[at]
	switch v.kind {
	case missing, null:
		return ""
	case text:
		t := d.string(v)
		if v.escaped && strings.ContainsFunc(t, isControl) {
			d.note(slotNames[at] + " holds control characters")
		}
		return t
	case number:
		return d.text[v.start:v.end]
	default:
		d.note(slotNames[at] + " is not a string")
		return d.field("", v).Text
	}
}

func isControl(r rune) bool {
	return r < 0x20 || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

func (d *decoder) times() {
	s := d.sig
	s.sent, _ = ParseTime(s.Timestamp)
	if s.CreatedAt == "" {
		d.note("created_at is missing")
		return
	}
	t, ok := ParseTime(s.CreatedAt)
	if !ok {
		d.note("created_at is not a time")
		return
	}
	if t.Unix() <= 0 {
		d.note("created_at is before 1970")
	}
	s.created = t
}

// maxNotes bounds the notes of one body: one that repeats a field a hundred thousand times says it often enough.
const maxNotes = 20

func (d *decoder) note(text string) {
	if len(d.sig.Notes) < maxNotes && !slices.Contains(d.sig.Notes, text) {
		d.sig.Notes = append(d.sig.Notes, text)
	}
}
