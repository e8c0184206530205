package mapping

import (
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that records are written in
// (https://schema.ocsf.io/1.8.0/classes/detection_finding).
const OCSFVersion = "1.8.0"

// ocsfSeverities are the captions of severity_id 1 to 5, which are LinuxGuard's own numbers.
var ocsfSeverities = [...]string{"Informational", "Low", "Medium", "High", "Critical"}

// ocsfClass is what every Detection Finding begins with: a new one (activity 1 of class 2004), by the profile that has actor and device.
const ocsfClass = `{"activity_id":1,"activity_name":"Create","category_uid":2,"category_name":"Findings","class_uid":2004,"class_name":"Detection Finding",` +
	`"type_uid":200401,"type_name":"Detection Finding: Create","status_id":1,"status":"New","is_alert":true`

// The objects in which a column's ocsf path can be.
const (
	ocsfMetadata = "metadata."
	ocsfFinding  = "finding_info."
	ocsfUser     = "actor.user."
	ocsfDevice   = "device."
	ocsfUnmapped = "unmapped."
)

// appendOCSF appends rec as one Detection Finding. What the class has no attribute for is in unmapped, under its native name.
func (f *flat) appendOCSF(dst []byte, rec *outputs.Record, lim *limits) []byte {
	severity := rec.Signal.EffectiveSeverity()
	dst = strconv.AppendInt(append(append(dst, ocsfClass...), `,"severity_id":`...), int64(severity), 10)
	dst = append(append(append(dst, `,"severity":"`...), ocsfSeverities[severity-1]...), '"')
	dst = strconv.AppendInt(append(dst, `,"time":`...), eventTime(rec).UnixMilli(), 10)
	if lim.value != noValues {
		dst = append(lim.append(append(dst, `,"message":"`...), ocsfKind(rec), lim.value, appendTitle), '"')
	}
	product := "LinuxGuard"
	if rec.Synthetic {
		product = "linuxguard-bridge"
	}
	dst = append(append(dst, `,"metadata":{"version":"`+OCSFVersion+`","profiles":["host"],"product":{"name":"`...), product...)
	dst = append(dst, `","vendor_name":"LinuxGuard"}`...)
	if !rec.ReceivedAt.IsZero() {
		dst = strconv.AppendInt(append(dst, `,"logged_time":`...), rec.ReceivedAt.UnixMilli(), 10)
	}
	dst = append(f.appendGroup(dst, ocsfMetadata, rec, lim), '}')
	dst = f.appendFinding(append(dst, `,"finding_info":{`...), rec, lim)
	if s := rec.Signal; s.IdentityName != "" || s.IdentityID != "" {
		dst = append(f.appendGroup(append(dst, `,"actor":{"user":{`...), ocsfUser, rec, lim), "}}"...)
	}
	if s := rec.Signal; s.ServerName != "" || s.ServerID != "" {
		dst = append(f.appendGroup(append(dst, `,"device":{"type_id":1,"type":"Server"`...), ocsfDevice, rec, lim), '}')
	}
	dst = f.appendGroup(append(dst, `,"unmapped":{`...), ocsfUnmapped, rec, lim)
	dst = f.appendNotes(dst, rec, lim)
	return append(f.appendUnknown(dst, rec, lim), "}}"...)
}

// appendFinding appends the inside of finding_info, and its end. Its uid is required: a record without a signal_id, as only an operator's re-send or the
// bridge itself can make one, goes by its number.
func (f *flat) appendFinding(dst []byte, rec *outputs.Record, lim *limits) []byte {
	if rec.Signal.SignalID == "" {
		dst = appendJSONText(append(dst, `"uid":"`...), rec.BridgeID)
		dst = append(strconv.AppendUint(append(dst, '-'), rec.Seq, 10), '"')
	}
	dst = f.appendGroup(dst, ocsfFinding, rec, lim)
	if t, ok := rec.Signal.Created(); ok && t.Unix() > 0 {
		dst = strconv.AppendInt(appendJSONKey(dst, "created_time"), t.UnixMilli(), 10)
	}
	if lim.value != noValues {
		dst = append(lim.append(append(appendJSONKey(dst, "title"), '"'), ocsfKind(rec), lim.value, appendTitle), '"')
		if kind := msgID(rec); kind != "" {
			dst = append(lim.append(append(appendJSONKey(dst, "types"), `["`...), kind, lim.value, appendJSONText), `"]`...)
		}
	}
	return append(dst, '}')
}

// appendGroup appends the columns whose path is in one object, under what is left of the path.
func (f *flat) appendGroup(dst []byte, object string, rec *outputs.Record, lim *limits) []byte {
	for i := range columns {
		c := &columns[i]
		name, here := strings.CutPrefix(c.ocsf, object)
		if c.ocsf == "" {
			name, here = c.name, object == ocsfUnmapped
		}
		if here {
			dst = appendColumnAs(dst, c, name, rec, lim)
		}
	}
	return dst
}

// ocsfPath is where a column is in a Detection Finding.
func (c *column) ocsfPath() string {
	if c.ocsf == "" {
		return ocsfUnmapped + c.name
	}
	return c.ocsf
}

// ocsfKind is what a finding is called after.
func ocsfKind(rec *outputs.Record) string { return orDefault(msgID(rec), "signal") }

// appendTitle appends a signal's type in words.
func appendTitle(dst []byte, kind string) []byte {
	start := len(dst)
	dst = appendJSONText(dst, kind)
	for i := start; i < len(dst); i++ { // no escape has an underscore
		if dst[i] == '_' {
			dst[i] = ' '
		}
	}
	return dst
}
