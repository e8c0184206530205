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
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// Now is the fixed bridge's clock.
func Now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// Source is an admin.Source that says what it is told to.
type Source struct {
	Says    admin.Report
	Refused map[string][]admin.TraceRefusal // by delivery ID
	Cached  map[uint64]int                  // duplicates by sequence
}

// Report implements admin.Source.
func (s *Source) Report() admin.Report { return s.Says }

// Refusals implements admin.Source.
func (s *Source) Refusals(id string) []admin.TraceRefusal { return s.Refused[id] }

// CachedDuplicates implements admin.Source.
func (s *Source) CachedDuplicates(seq uint64) int { return s.Cached[seq] }

// Queue is an admin.Queue that says what it is told to. Its fields may be set before it is used.
type Queue struct {
	mu    sync.Mutex
	State queue.Status
	Items []queue.DeadLetter
	Noted map[string][]queue.OutcomeRange // by output, in order
	Seen  []queue.Seen
	Lost  []queue.Loss
	Fail  error    // of every change
	Log   []string // the changes
}

var _ admin.Queue = (*Queue)(nil)

// Set changes the queue while it is in use.
func (q *Queue) Set(change func(*Queue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change(q)
}

// Status implements queue.Reporter.
func (q *Queue) Status() queue.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.State
	s.DeadLetters, s.Losses = len(q.Items), len(q.Lost)
	for _, l := range q.Lost {
		if s.LostUnknown = s.LostUnknown || l.First == 0; l.First != 0 {
			s.LostEvents += l.Last - l.First + 1
		}
	}
	return s
}

// Ping implements queue.Reporter.
func (q *Queue) Ping(context.Context) error { return nil }

// GetDeadLetter implements queue.DeadLetters.
func (q *Queue) GetDeadLetter(ctx context.Context, id uint64) (queue.DeadLetter, error) {
	found, err := q.ListDeadLetters(ctx, id-1, 1, false)
	if err != nil || len(found) == 0 || found[0].ID != id {
		return queue.DeadLetter{}, errors.Join(err, queue.ErrNotFound)
	}
	return found[0], nil
}

// ListDeadLetters implements queue.DeadLetters.
func (q *Queue) ListDeadLetters(_ context.Context, after uint64, limit int, brief bool) ([]queue.DeadLetter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []queue.DeadLetter
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

// Resend implements queue.DeadLetters.
func (q *Queue) Resend(_ context.Context, id uint64, outputs []string) (uint64, error) {
	if err := q.remove(id, fmt.Sprintf("resend %d %v", id, outputs)); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.State.LastSeq++
	return q.State.LastSeq, nil
}

// DropDeadLetter implements queue.DeadLetters.
func (q *Queue) DropDeadLetter(_ context.Context, id uint64) error {
	return q.remove(id, fmt.Sprintf("drop %d", id))
}

func (q *Queue) remove(id uint64, line string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Fail != nil {
		return q.Fail
	}
	q.Log = append(q.Log, line)
	q.Items = slices.DeleteFunc(slices.Clone(q.Items), func(it queue.DeadLetter) bool { return it.ID == id })
	return nil
}

// Outcomes implements queue.History: what is noted, as an engine makes an answer of it.
func (q *Queue) Outcomes(_ context.Context, output string, first, last uint64) ([]queue.OutcomeRange, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.State.Outputs {
		if o.Name == output {
			return queue.MergeOutcomes(q.Noted[output], o.Cursor, max(1, first), min(last, q.State.LastSeq)), nil
		}
	}
	return nil, queue.ErrNotFound
}

// LastAccepted implements queue.History.
func (q *Queue) LastAccepted(context.Context) (map[string]time.Time, error) { return nil, nil }

// Losses implements queue.LossLog.
func (q *Queue) Losses(context.Context) ([]queue.Loss, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.Lost), nil
}

// Acknowledge implements queue.LossLog.
func (q *Queue) Acknowledge(_ context.Context, id uint64, who string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Fail != nil {
		return q.Fail
	}
	q.Log = append(q.Log, fmt.Sprintf("acknowledge %d by %s", id, who))
	q.Lost = slices.DeleteFunc(slices.Clone(q.Lost), func(l queue.Loss) bool { return l.ID == id })
	return nil
}

// Forget implements admin.OutputMover.
func (q *Queue) Forget(_ context.Context, output string) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if output == "nope" {
		return 0, queue.ErrNotFound
	}
	q.Log = append(q.Log, "forget output "+output)
	return 12, q.Fail
}

// ForgetBridge implements admin.BridgeForgetter.
func (q *Queue) ForgetBridge(_ context.Context, name string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if name == "nope" {
		return queue.ErrNotFound
	}
	q.Log = append(q.Log, "forget bridge "+name)
	return q.Fail
}

// Replay implements admin.OutputMover.
func (q *Queue) Replay(_ context.Context, output string, since time.Time) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Fail != nil {
		return 0, q.Fail
	}
	q.Log = append(q.Log, fmt.Sprintf("replay %s since %s", output, since.UTC().Format(time.RFC3339)))
	return 4711, nil
}

// Find implements queue.History.
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
	Tail   *tail.Hub
	Server *admin.Server
}

// New returns a Bridge with the figures of Sample.
func New(log *slog.Logger) *Bridge {
	report, q := Sample()
	b := &Bridge{Source: &Source{Says: report, Refused: map[string][]admin.TraceRefusal{
		"d-17":       {{At: Now().Add(-2 * time.Hour), Status: 503, Reason: "full", Endpoint: "linuxguard", Address: "203.0.113.7"}},
		"forged\x1b": {{At: Now().Add(-time.Hour), Status: 401, Reason: "signature", Endpoint: "linuxguard", Address: "198.51.100.9"}},
	}}, Queue: q, Tail: &tail.Hub{}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(admin.NewCollector(b.Source, q, Now))
	b.Server = admin.New(admin.Options{Source: b.Source, Queue: q, Metrics: registry, Log: log, Now: Now, Tail: b.Tail})
	return b
}

// Control serves b's control socket until the test ends and returns its path.
func (b *Bridge) Control(t testing.TB) string {
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
