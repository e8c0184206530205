package display

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0B", 512: "512B", 1024: "1KiB", 1536: "1.5KiB", 200 << 20: "200MiB", 1 << 50: "1024TiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 event": Count(1, "event"), "0 events": Count(0, "event"), "1,234 events": Count(1234, "event"),
		"2 losses": Count(uint64(2), "loss"), "2 deliveries": Count(2, "delivery"), "-1,234,567": Number(-1234567), "-123": Number(-123),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 14, 32, 1, 0, time.UTC)
	for want, got := range map[string]string{
		"never": Time(time.Time{}), "2026-03-02 14:32:01Z": Time(now), "0s ago": Ago(now, now.Add(time.Second)),
		"5m10s ago": Ago(now, now.Add(-5*time.Minute-10*time.Second)), "3d4h": Duration(76*time.Hour + 59*time.Minute), "1h": Duration(time.Hour + time.Second),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
