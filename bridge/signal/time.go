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

// rareLayouts are the other forms of ISO 8601-1, after isoDate has made its date that of a calendar: without seconds, and basic.
var rareLayouts = [...]string{
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07", "2006-01-02T15:04",
	"2006-01-02T150405Z0700", "2006-01-02T150405Z07:00", "2006-01-02T150405Z07", "2006-01-02T150405",
	"2006-01-02T1504Z0700", "2006-01-02T1504Z07:00", "2006-01-02T1504Z07", "2006-01-02T1504",
}

// ParseTime reads an ISO 8601 time of day with its date, in any of the standard's forms: extended or basic, with a calendar's, a week's or an
// ordinal date, with or without seconds, fraction and zone (none means UTC), midnight also as 24:00. Or a Unix epoch: in seconds, with or
// without fraction, or by its size in milliseconds (from 12 digits on), microseconds (15) or nanoseconds (18). A leap second (:60) reads as
// :59. A date alone is no time.
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
	if t, ok := parseEpoch(text); ok {
		return t, true
	}
	return parseRare(text)
}

// parseRare reads what only other writers of ISO 8601 send.
func parseRare(text string) (time.Time, bool) {
	const longest = 64 // with any zone and a fraction of more digits than a clock has
	at := strings.IndexAny(text, "Tt ")
	if at < 0 || len(text) > longest {
		return time.Time{}, false
	}
	date, ok := isoDate(strings.ToUpper(text[:at]))
	if !ok {
		return time.Time{}, false
	}
	clock := strings.ToUpper(text[at+1:])
	days := 0
	if rest, midnight := strings.CutPrefix(clock, "24"); midnight {
		clock, days = "00"+rest, 1
	}
	day := date.Format(time.DateOnly)
	for _, layouts := range [][]string{timeLayouts[:], rareLayouts[:]} {
		for _, layout := range layouts {
			t, err := time.Parse(layout, day+"T"+clock)
			if err != nil {
				continue
			}
			if days == 1 && (t.Hour() != 0 || t.Minute() != 0 || t.Second() != 0 || t.Nanosecond() != 0) {
				return time.Time{}, false // there is no 24:01
			}
			return t.AddDate(0, 0, days), true
		}
	}
	return time.Time{}, false
}

// isoDate reads 2026-03-02, 20260302, 2026-W10-1, 2026W101, 2026-061 and 2026061.
func isoDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, "20060102", "2006-002", "2006002"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	week, day, ok := "", "", false
	switch {
	case len(text) == len("2026-W10-1") && text[4:6] == "-W" && text[8] == '-':
		week, day, ok = text[6:8], text[9:], true
	case len(text) == len("2026W101") && text[4] == 'W':
		week, day, ok = text[5:7], text[7:], true
	}
	year, err := strconv.ParseUint(text[:min(4, len(text))], 10, 16)
	if !ok || err != nil {
		return time.Time{}, false
	}
	w, errWeek := strconv.ParseUint(week, 10, 8)
	d, errDay := strconv.ParseUint(day, 10, 8)
	if errWeek != nil || errDay != nil || w < 1 || d < 1 || d > 7 {
		return time.Time{}, false
	}
	// Week 1 has the year's fourth of January.
	fourth := time.Date(int(year), 1, 4, 0, 0, 0, 0, time.UTC)
	monday := fourth.AddDate(0, 0, -(int(fourth.Weekday())+6)%7)
	t := monday.AddDate(0, 0, int(w-1)*7+int(d-1))
	if y, n := t.ISOWeek(); y != int(year) || n != int(w) { // no week 53 in this year
		return time.Time{}, false
	}
	return t, true
}

// The numbers of a Unix epoch from which on it is in a smaller unit: the seconds reach the year 5138.
const (
	millis = 1e11
	micros = 1e14
	nanos  = 1e17
)

func parseEpoch(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}
	switch {
	case n >= nanos:
		return time.Unix(0, n).UTC(), true
	case n >= micros:
		return time.UnixMicro(n).UTC(), true
	case n >= millis:
		return time.UnixMilli(n).UTC(), true
	}
	nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(n, int64(nanos)).UTC(), true
}
