package logging

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	l, now := NewLimit(3, time.Minute), time.Unix(1_800_000_000, 0)
	written := 0
	for range 1000 {
		if n, ok := l.Line(now); ok {
			if written++; n != 0 {
				t.Errorf("%d lines left out before line %d", n, written)
			}
		}
	}
	if written != 3 {
		t.Errorf("%d lines of a burst", written)
	}
	if n, ok := l.Line(now.Add(time.Minute)); !ok || n != 997 {
		t.Errorf("a minute later: %v, %d left out", ok, n)
	}
	if n, ok := l.Line(now.Add(time.Minute)); ok || len(NotLogged(n)) > 0 {
		t.Error("two lines in one minute")
	}
}
