package mapping

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// The layouts of a HEC event.
const (
	LayoutNative = "native" // LinuxGuard's own channel's names
	LayoutRaw    = "raw"    // the webhook's body as it came
	LayoutCIM    = "cim"    // names of Splunk's Common Information Model
	LayoutOCSF   = "ocsf"   // a Detection Finding of the Open Cybersecurity Schema Framework
)

// The defaults of HECOptions, and the source type of what the bridge says itself.
const (
	DefaultSource       = "linuxguard"
	DefaultSourcetype   = "linuxguard:signal"
	SyntheticSourcetype = "linuxguard:bridge"
)

// unknownHost stands for a missing server_name: every event must name its host, because receivers let one without
// inherit that of the event before it.
const unknownHost = "unknown"

// HECOptions says how events look. The zero value is valid.
type HECOptions struct {
	Layout        string // native (default), cim, raw or ocsf
	Source        string // default linuxguard
	Sourcetype    string // default linuxguard:signal; what the bridge says itself is always linuxguard:bridge
	Index         string // empty: the token's default
	Host          string // instead of the server's name
	IndexedFields bool   // delivery_id as an indexed field
}

// HEC encodes records as Splunk HEC events. It is safe for concurrent use.
type HEC struct {
	layout        string
	host          string
	indexedFields bool
	tail          []byte // source, sourcetype and index, ready to append
	syntheticTail []byte
	flat          flat
}

// NewHEC checks o. Its errors are *outputs.KeyError with the configuration's key.
func NewHEC(o HECOptions) (*HEC, error) {
	h := &HEC{layout: orDefault(o.Layout, LayoutNative), host: o.Host, indexedFields: o.IndexedFields}
	switch h.layout {
	case LayoutNative, LayoutRaw:
		h.flat.taken = takenNames()
	case LayoutCIM:
		h.flat = flat{cim: true, taken: cimTaken()}
	case LayoutOCSF:
		h.flat = flat{ocsf: true, taken: takenNames()}
	default:
		return nil, &outputs.KeyError{Key: "layout", Err: fmt.Errorf("unknown layout %q: use native, cim, raw or ocsf", o.Layout)}
	}
	source, sourcetype := orDefault(o.Source, DefaultSource), orDefault(o.Sourcetype, DefaultSourcetype)
	if sourcetype == SyntheticSourcetype {
		return nil, &outputs.KeyError{Key: "sourcetype", Err: errors.New(SyntheticSourcetype + " is kept for what the bridge says itself")}
	}
	h.tail = hecTail(source, sourcetype, o.Index)
	h.syntheticTail = hecTail(source, SyntheticSourcetype, o.Index)
	return h, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func hecTail(source, sourcetype, index string) []byte {
	tail := appendJSONString([]byte(`,"source":`), source)
	tail = appendJSONString(append(tail, `,"sourcetype":`...), sourcetype)
	if index != "" {
		tail = appendJSONString(append(tail, `,"index":`...), index)
	}
	return tail
}

// Append appends rec as one HEC event: a JSON object on one line, without a line feed at its end. All metadata is on
// every event, because receivers let one without inherit that of the event before it.
func (h *HEC) Append(dst []byte, rec *outputs.Record) []byte {
	dst = append(dst, '{')
	if t := eventTime(rec); !t.IsZero() {
		dst = append(appendEpoch(append(dst, `"time":`...), t), ',')
	}
	host := orDefault(h.host, orDefault(rec.Signal.ServerName, unknownHost))
	dst = appendJSONString(append(dst, `"host":`...), host)
	if rec.Synthetic {
		dst = append(dst, h.syntheticTail...)
	} else {
		dst = append(dst, h.tail...)
	}
	dst = h.appendFields(dst, rec)
	dst = append(dst, `,"event":`...)
	if h.layout == LayoutRaw {
		dst = appendBody(dst, rec.Body)
	} else {
		dst = h.flat.append(dst, rec, &whole)
	}
	return append(dst, '}')
}

// appendFields appends the indexed fields. The raw layout has no other place for what the bridge adds.
func (h *HEC) appendFields(dst []byte, rec *outputs.Record) []byte {
	raw := h.layout == LayoutRaw
	if !raw && (!h.indexedFields || rec.DeliveryID == "") {
		return dst
	}
	dst = append(dst, `,"fields":{`...)
	if h.indexedFields && rec.DeliveryID != "" {
		dst = appendJSONString(appendJSONKey(dst, "delivery_id"), rec.DeliveryID)
	}
	if raw {
		dst = appendRawFields(dst, rec)
	}
	return append(dst, '}')
}

func appendRawFields(dst []byte, rec *outputs.Record) []byte {
	dst = appendJSONString(appendJSONKey(dst, "bridge_id"), rec.BridgeID)
	dst = strconv.AppendUint(appendJSONKey(dst, "bridge_seq"), rec.Seq, 10)
	if rec.Endpoint != "" {
		dst = appendJSONString(appendJSONKey(dst, "endpoint"), rec.Endpoint)
	}
	if rec.ResendOf != 0 {
		dst = strconv.AppendUint(appendJSONKey(dst, "resend_of"), rec.ResendOf, 10)
	}
	if text := notes(rec, false); text != "" {
		dst = appendJSONString(appendJSONKey(dst, notesField), text)
	}
	return dst
}

// appendBody appends body, a JSON object, as it is but for what can't stand on one line of valid UTF-8.
func appendBody(dst, body []byte) []byte {
	start := len(dst)
	dst = appendRawJSON(dst, body)
	for i := start; i < len(dst); i++ {
		if dst[i] < ' ' { // white space between tokens: in strings control characters are escaped
			dst[i] = ' '
		}
	}
	return dst
}

// appendEpoch appends t as decimal seconds with three fractional digits, or six where it has them.
func appendEpoch(dst []byte, t time.Time) []byte {
	micros := t.Nanosecond() / 1000
	dst = strconv.AppendInt(dst, t.Unix(), 10)
	if micros%1000 == 0 {
		return appendPadded(append(dst, '.'), micros/1000, 3)
	}
	return appendPadded(append(dst, '.'), micros, 6)
}

func appendPadded(dst []byte, n, width int) []byte {
	for div := pow10(width - 1); div > 0; div /= 10 {
		dst = append(dst, byte('0'+n/div%10))
	}
	return dst
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}
