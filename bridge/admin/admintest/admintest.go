// Package admintest is a bridge with fixed figures behind a real admin server, for tests of that server and of the
// commands that ask it.
package admintest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// Now is the fixed bridge's clock.
func Now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// Source is an admin.Source that says what it is told to.
type Source struct {
	Says    admin.Report
	Refused map[string][]admin.TraceRefusal // by delivery ID
}

// Report implements admin.Source.
func (s *Source) Report() admin.Report { return s.Says }

// Refusals implements admin.Source.
func (s *Source) Refusals(id string) []admin.TraceRefusal { return s.Refused[id] }

// Queue is a queue.Operator in memory. Its fields may be set before it is used.
type Queue struct {
	queue.Operator // nil: what a test has no use for panics

	mu    sync.Mutex
	State queue.Status
	Items []queue.QuarantineItem
	Runs  map[string][]queue.Run
	Seen  []queue.Seen
	Fail  error    // of every change
	Log   []string // the changes
}

// Set changes the queue while it is in use.
func (q *Queue) Set(change func(*Queue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(q)
}

// Status implements queue.Operator.
func (q *Queue) Status() queue.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.State
	s.Quarantine = len(q.Items)
	return s
}

// ListQuarantine implements queue.Operator.
func (q *Queue) ListQuarantine(_ context.Context, after uint64, limit int, brief bool) ([]queue.QuarantineItem, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []queue.QuarantineItem
	for _, it := range q.Items {
		if it.ID <= after || len(found) == limit {
			continue
		}
		if brief {
			it.Event.Body, it.Raw = nil, nil
		}
		found = append(found, it)
	}
	return found, nil
}

// Resend implements queue.Operator.
func (q *Queue) Resend(_ context.Context, id uint64, outputs []string) (uint64, error) {
	if err := q.remove(id, fmt.Sprintf("resend %d %v", id, outputs)); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.State.LastSeq++
	return q.State.LastSeq, nil
}

// DropQuarantine implements queue.Operator.
func (q *Queue) DropQuarantine(_ context.Context, id uint64) error {
	return q.remove(id, fmt.Sprintf("drop %d", id))
}

func (q *Queue) remove(id uint64, line string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Fail != nil {
		return q.Fail
	}
	q.Log = append(q.Log, line)
	q.Items = slices.DeleteFunc(slices.Clone(q.Items), func(it queue.QuarantineItem) bool { return it.ID == id })
	return nil
}

// Fates implements queue.Operator.
func (q *Queue) Fates(_ context.Context, output string, first, last uint64) ([]queue.Run, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []queue.Run
	for _, r := range q.Runs[output] {
		if r.First, r.Last = max(r.First, first), min(r.Last, last); r.First <= r.Last {
			found = append(found, r)
		}
	}
	return found, nil
}

// Find implements queue.Operator.
func (q *Queue) Find(_ context.Context, id string) ([]queue.Seen, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []queue.Seen
	for _, s := range q.Seen {
		if s.DeliveryID == id || s.SignalID == id {
			found = append(found, s)
		}
	}
	return found, nil
}

// Changes returns what was asked to be changed, in order.
func (q *Queue) Changes() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.Log)
}

// Bridge is a fixed bridge and the server that shows it.
type Bridge struct {
	Source *Source
	Queue  *Queue
	Server *admin.Server
}

// New returns a Bridge with the figures of Sample.
func New(log *slog.Logger) *Bridge {
	report, q := Sample()
	b := &Bridge{Source: &Source{Says: report, Refused: map[string][]admin.TraceRefusal{
		"d-17":       {{At: Now().Add(-2 * time.Hour), Status: 503, Reason: "full", Endpoint: "linuxguard", Address: "203.0.113.7"}},
		"forged\x1b": {{At: Now().Add(-time.Hour), Status: 401, Reason: "signature", Endpoint: "linuxguard", Address: "198.51.100.9"}},
	}}, Queue: q}
	registry := prometheus.NewRegistry()
	registry.MustRegister(admin.NewCollector(b.Source))
	b.Server = admin.New(admin.Options{Source: b.Source, Queue: q, Metrics: registry, Log: log, Now: Now})
	return b
}

// Control serves b's control socket until the test ends and returns its path.
func (b *Bridge) Control(t testing.TB) string { return b.ControlOf(t, -1) }

// ControlOf is Control for a socket that everybody may connect to and that belongs to a group (-1: the process's own),
// which takes root. It shows what the check of the peer's credentials does alone.
func (b *Bridge) ControlOf(t testing.TB, group int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin") // t.TempDir can be longer than a socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "admin.sock")
	ctx, cancel := context.WithCancel(context.Background())
	l, err := admin.ListenControl(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if group >= 0 {
		openUp(t, dir, path, group)
	}
	done := make(chan error, 1)
	go func() { done <- b.Server.ServeControl(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("control socket: %v", err)
		}
		_ = os.RemoveAll(dir)
	})
	return path
}

func openUp(t testing.TB, dir, path string, group int) {
	t.Helper()
	err := errors.Join(os.Chmod(dir, 0o755), os.Chown(path, -1, group), os.Chmod(path, 0o666)) //nolint:gosec // that is what is tested
	if err != nil {
		t.Fatal(err)
	}
}
