package signal

import (
	"strconv"
	"strings"
	"time"
)

// timeLayouts are read beside RFC 3339 with "Z"; time.Parse accepts a fraction after the seconds of each.
var timeLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05Z07",
}

// ParseTime reads an ISO 8601 time with or without fraction and zone (none means UTC), or a Unix epoch in seconds (with
// or without fraction) or, when it has more than eleven digits, in milliseconds. A leap second (:60) reads as :59.
func ParseTime(text string) (time.Time, bool) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	if len(text) >= 19 && text[16:19] == ":60" {
		return ParseTime(text[:17] + "59" + text[19:])
	}
	return parseEpoch(text)
}

func parseEpoch(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 || n >= 1<<46 {
		return time.Time{}, false
	}
	if n >= 1e11 {
		return time.UnixMilli(n).UTC(), true
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(n, int64(nanos)).UTC(), true
}
