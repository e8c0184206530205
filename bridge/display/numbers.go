package display

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Number writes the integer n with commas: 1234567 is "1,234,567".
func Number(n any) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Count writes "1 event", "1,234 events", "2 losses", "2 deliveries".
func Count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch noun[len(noun)-1] {
	case 's':
		noun += "e"
	case 'y':
		noun = strings.TrimSuffix(noun, "y") + "ie"
	}
	return Number(n) + " " + noun + "s"
}

// Size writes bytes in three digits or so: 1536 is "1.5KiB".
func Size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(bytes), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 || v >= 100 {
		return fmt.Sprintf("%.0f%s", v, units[i])
	}
	return strconv.FormatFloat(float64(int(v*10+0.5))/10, 'f', -1, 64) + units[i]
}

// Time writes t to the second, in UTC; the zero time is "never".
func Time(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Ago is how long before now t was.
func Ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return Duration(now.Sub(t)) + " ago"
}

// Duration writes d with its two largest units: "3d4h", "5m10s", "0s".
func Duration(d time.Duration) string {
	d = max(d, 0)
	parts := []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, p := range parts {
		if d < p.unit {
			continue
		}
		text := strconv.FormatInt(int64(d/p.unit), 10) + p.name
		if i+1 < len(parts) && d%p.unit >= parts[i+1].unit {
			text += strconv.FormatInt(int64(d%p.unit/parts[i+1].unit), 10) + parts[i+1].name
		}
		return text
	}
	return "0s"
}
