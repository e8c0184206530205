package absence

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/bubble"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// world is what a Monitor looks at, changed by the test.
type world struct {
	mu     sync.Mutex
	heard  map[string]time.Time
	events []Alarm
	refuse error
	log    lockedBuffer
}

// lockedBuffer is read by the test while the Monitor writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) hear(endpoint string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[endpoint] = time.Now()
}

func start(t *testing.T, endpoints ...Endpoint) (*Monitor, *world) {
	w := &world{heard: map[string]time.Time{}}
	m := New(Options{
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		LastHeard: func(name string) time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.heard[name] },
		Emit: func(_ context.Context, a Alarm) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse == nil {
				w.events = append(w.events, a)
			}
			return w.refuse
		},
	})
	m.Set(endpoints)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return m, w
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestFailing is what TestAFailureLetsOthersRun runs. By itself it passes.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start(t, Endpoint{Name: "main", ExpectEvery: time.Hour})
		bubble.Fail(t)
	})
}

func TestAFailureLetsOthersRun(t *testing.T) {
	t.Parallel()
	bubble.FailsAlone(t, "TestFailing", "TestSetKeepsAndForgets")
}

func TestAbsenceBeginsAndEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, w := start(t, Endpoint{Name: "main", ExpectEvery: time.Hour, Event: true}, Endpoint{Name: "rare"})
		pass(59 * time.Minute)
		if m.Overdue("main") || m.Overdue("rare") {
			t.Fatal("overdue before the hour is over")
		}
		w.hear("main")
		pass(59 * time.Minute)
		if m.Overdue("main") {
			t.Fatal("overdue although it was heard less than an hour ago")
		}
		pass(2 * time.Minute)
		if !m.Overdue("main") || m.Overdue("rare") {
			t.Fatal("main is not overdue, or rare, which expects nothing, is")
		}
		pass(5 * time.Hour)
		if len(w.events) != 1 || w.events[0].Endpoint != "main" {
			t.Errorf("%d events, want one an alarm: %v", len(w.events), w.events)
		}
		if n := strings.Count(w.log.String(), "event=endpoint_overdue"); n != 1 {
			t.Errorf("%d log lines, want 1", n)
		}
		want := `
# HELP linuxguard_bridge_endpoint_overdue 1 while nothing verified came for expect_every, else 0.
# TYPE linuxguard_bridge_endpoint_overdue gauge
linuxguard_bridge_endpoint_overdue{endpoint="main"} 1
# HELP linuxguard_bridge_absence_alarms_total Times that an endpoint was not heard from for longer than expect_every.
# TYPE linuxguard_bridge_absence_alarms_total counter
linuxguard_bridge_absence_alarms_total{endpoint="main"} 1
`
		if err := testutil.CollectAndCompare(m, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		w.hear("main")
		pass(2 * time.Second)
		if m.Overdue("main") || !strings.Contains(w.log.String(), "event=endpoint_heard") {
			t.Error("the alarm did not end")
		}
		pass(time.Hour)
		if len(w.events) != 2 {
			t.Errorf("%d events after the second absence", len(w.events))
		}
	})
}

// TestARestartNamesTheSameAlarm: a process that begins in the middle of an absence waits for as long as any does, and then raises no other alarm than
// the one before it: its event is a duplicate, which the queue knows by its ID.
func TestARestartNamesTheSameAlarm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		heard := time.Now()
		var ids []string
		for range 2 {
			_, w := start(t, Endpoint{Name: "linuxguard", ExpectEvery: time.Hour, Event: true})
			w.mu.Lock()
			w.heard["linuxguard"] = heard
			w.mu.Unlock()
			pass(time.Hour + 2*time.Second)
			w.mu.Lock()
			if len(w.events) != 1 {
				t.Fatalf("events %v", w.events)
			}
			body, err := w.events[0].Body("host")
			w.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := signal.Decode(body)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, decoded.SignalID)
		}
		if ids[0] != ids[1] {
			t.Errorf("one absence has the IDs %v", ids)
		}
	})
}

func TestTheEventIsTriedUntilItIsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, w := start(t, Endpoint{Name: "main", ExpectEvery: time.Minute, Event: true})
		w.mu.Lock()
		w.refuse = errors.New("the queue is full")
		w.mu.Unlock()
		pass(5 * time.Minute)
		if n := strings.Count(w.log.String(), "the queue is full"); n != 1 || len(w.events) != 0 {
			t.Errorf("%d lines about it, want 1; %d events, want none", n, len(w.events))
		}
		w.mu.Lock()
		w.refuse = nil
		w.mu.Unlock()
		pass(5 * time.Minute)
		if len(w.events) != 1 {
			t.Errorf("%d events, want 1", len(w.events))
		}
	})
}

func TestSetKeepsAndForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, w := start(t, Endpoint{Name: "a", ExpectEvery: time.Minute}, Endpoint{Name: "b", ExpectEvery: time.Minute})
		pass(2 * time.Minute)
		m.Set([]Endpoint{{Name: "a", ExpectEvery: time.Minute}, {Name: "new", ExpectEvery: time.Minute}})
		if !m.Overdue("a") || m.Overdue("b") || m.Overdue("new") {
			t.Error("a reload changed what is overdue")
		}
		pass(10 * time.Second)
		if m.Overdue("new") {
			t.Error("an endpoint is overdue before it had its time")
		}
		if n := strings.Count(w.log.String(), "event=endpoint_overdue"); n != 2 {
			t.Errorf("%d alarms, want those of a and b: %s", n, w.log.String())
		}
		if n := testutil.CollectAndCount(m, "linuxguard_bridge_endpoint_overdue"); n != 2 {
			t.Errorf("%d series, want 2: b is gone", n)
		}
	})
}

func TestMetricsLint(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(New(Options{}))
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestBodyIsASignal(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	body, err := Alarm{Endpoint: "Main", ExpectEvery: time.Hour, At: at, LastHeard: at.Add(-2 * time.Hour)}.Body("bridge-1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := signal.Decode(body)
	if err != nil || s.Problem() != "" {
		t.Fatalf("%v, problem %q", err, s.Problem())
	}
	if s.SignalID != "bridge-absence-main-1795435200" || s.SignalType != SignalType || s.Severity != signal.High || s.ServerName != "bridge-1" ||
		s.Description != "No new verified webhook at endpoint Main for 1h0m0s (last: 2026-11-23T10:00:00Z)" {
		t.Errorf("%+v", s)
	}
}
