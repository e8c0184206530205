package admin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// series is a figure over time, the oldest first.
type series []point

type point struct {
	at    time.Time
	value float64
}

// chart is a series as the page draws it: one line in a box of chartWidth by chartHeight, an hour wide.
type chart struct {
	Path  string // of an SVG path
	Label string // for people who don't see it
}

const (
	chartWidth  = 360
	chartHeight = 36
)

// line draws a series that ends now. unit writes a value.
func (s series) line(now time.Time, what string, unit func(float64) string) chart {
	top := 0.0
	for _, p := range s {
		top = max(top, p.value)
	}
	c := chart{Label: fmt.Sprintf("%s in the last hour: at most %s, now %s", what, unit(top), unit(s.last()))}
	if len(s) < 2 {
		return c
	}
	var b strings.Builder
	for i, p := range s {
		x := chartWidth * (1 - now.Sub(p.at).Seconds()/recordFor.Seconds())
		y := float64(chartHeight - 1)
		if top > 0 {
			y -= (chartHeight - 2) * p.value / top
		}
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, max(0, x), y)
	}
	c.Path = b.String()
	return c
}

func (s series) last() float64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].value
}

// lastMinute is the mean of the last minute.
func (s series) lastMinute() float64 {
	n := min(len(s), int(time.Minute/recordEvery))
	if n == 0 {
		return 0
	}
	sum := 0.0
	for _, p := range s[len(s)-n:] {
		sum += p.value
	}
	return sum / float64(n)
}

// formatRate writes "12/s", "0.4/s".
func formatRate(v float64) string {
	digits := 1
	if v >= 10 || v == 0 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + "/s"
}

func formatSeconds(v float64) string {
	return display.Duration(time.Duration(v * float64(time.Second)))
}
