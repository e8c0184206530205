package signal

import (
	"errors"
	"strconv"
	"strings"
)

// severity reads "severity": an integer from 1 to 5 or one of the five names, as a number or as a string.
func (d *decoder) severity() {
	v := d.known[slotSeverity]
	if v.kind == missing || v.kind == null {
		d.note("severity is missing")
		return
	}
	raw := d.text[v.start:v.end]
	if len(raw) == 1 && '1' <= raw[0] && raw[0] <= '5' {
		d.sig.Severity = Severity(raw[0] - '0')
		return
	}
	word := raw
	if v.kind == text {
		word = strings.TrimSpace(d.string(v))
	}
	if d.sig.Severity = parseSeverity(word); d.sig.Severity == 0 {
		d.sig.SeverityRaw = string(d.field("", v).Raw)
		d.note("severity is not an integer from 1 to 5")
	}
}

func parseSeverity(word string) Severity {
	for i, name := range severityNames {
		if strings.EqualFold(word, name) {
			return Severity(i + 1)
		}
	}
	if f, err := strconv.ParseFloat(word, 64); err == nil && f >= 1 && f <= 5 && f == float64(int(f)) {
		return Severity(f)
	}
	return 0
}

// nearestSeverity reads what parseSeverity could not, from its JSON text.
func nearestSeverity(raw string) Severity {
	f, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(raw, `"`)), 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange) || f != f: // out of range is infinite, either way
		return Medium
	case f > float64(Critical):
		return Critical
	case f < float64(Info):
		return Info
	default:
		return Severity(f) + 1 // between two: the graver one
	}
}
