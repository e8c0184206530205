package outputtest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// label marks every goroutine that an output starts: goroutines inherit the labels of those that start them.
const label = "outputtest"

var trials atomic.Uint64 // makes each trial's label its own, for tests that run in parallel

// trial is one output and all that was handed to it.
type trial struct {
	t       *testing.T
	harness *Harness
	id      string
	out     outputs.Output
	closed  bool
	stop    context.CancelFunc // ends the Status poller
	poller  sync.WaitGroup

	mu      sync.Mutex
	batches []*batch
	texts   []string // of errors, statuses and findings, to look for secrets in
}

// batch is one batch and its fate.
type batch struct {
	seqs []uint64
	done chan struct{} // closed at the first call
	err  error
	n    int // calls
}

func newTrial(t *testing.T, h *Harness, valid func() bool) *trial {
	tr := &trial{t: t, harness: h, id: fmt.Sprint(trials.Add(1))}
	tr.do(context.Background(), func() { tr.out = h.New(t, valid) })
	ctx, stop := context.WithCancel(context.Background())
	tr.stop = stop
	tr.poller.Go(func() { tr.pollStatus(ctx) })
	return tr
}

// do runs f so that the goroutines which it starts are known as the output's.
func (tr *trial) do(ctx context.Context, f func()) {
	pprof.Do(ctx, pprof.Labels(label, tr.id), func(context.Context) { f() })
}

// pollStatus calls Status all the time, as the metrics do: with -race it finds what isn't guarded.
func (tr *trial) pollStatus(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s := tr.out.Status()
			tr.say(s.Peer + " " + strings.Join(s.Warnings, " "))
		}
	}
}

func (tr *trial) say(text string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !slices.Contains(tr.texts, text) {
		tr.texts = append(tr.texts, text)
	}
}

// send hands records over as one batch. After done the batch is overwritten: an output that still reads it is found out.
func (tr *trial) send(ctx context.Context, records []outputs.Record) *batch {
	b := &batch{done: make(chan struct{})}
	for i := range records {
		b.seqs = append(b.seqs, records[i].Seq)
	}
	tr.batches = append(tr.batches, b)
	tr.do(ctx, func() {
		tr.out.Send(ctx, records, func(err error) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if b.n++; b.n > 1 {
				return
			}
			b.err = err
			clear(records)
			close(b.done)
		})
	})
	return b
}

// sendAll sends records in batches of at most size and returns when the fate of all is known.
func (tr *trial) sendAll(ctx context.Context, records []outputs.Record, size int) {
	tr.t.Helper()
	size = min(size, tr.out.Batching().MaxRecords)
	var sent []*batch
	for part := range slices.Chunk(records, size) {
		b := tr.send(ctx, part)
		sent = append(sent, b)
		if tr.harness.Break == nil {
			_ = tr.wait(b)
			tr.received(b.seqs)
		}
	}
	for _, b := range sent {
		if err := tr.wait(b); err != nil {
			tr.t.Fatalf("batch from bridge_seq %d: %v", b.seqs[0], err)
		}
	}
}

// wait returns the batch's fate.
func (tr *trial) wait(b *batch) error {
	tr.t.Helper()
	select {
	case <-b.done:
		if b.err != nil {
			tr.say(b.err.Error())
		}
		return b.err
	case <-time.After(Patience()):
		tr.t.Fatalf("done was not called for the batch from bridge_seq %d", b.seqs[0])
		return nil
	}
}

// received waits until every sequence in want has arrived.
func (tr *trial) received(want []uint64) []uint64 {
	tr.t.Helper()
	var got []uint64
	poll(tr.t, func() string {
		got = tr.harness.Received()
		for _, seq := range want {
			if !slices.Contains(got, seq) {
				return fmt.Sprintf("bridge_seq %d has not arrived; %d records have", seq, len(got))
			}
		}
		return ""
	})
	return got
}

// poll calls problem until it returns "" and fails with the last problem when patience ends.
func poll(t *testing.T, problem func() string) {
	t.Helper()
	deadline := time.Now().Add(Patience())
	for text := problem(); text != ""; text = problem() {
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// close closes the output within limit.
func (tr *trial) close(limit time.Duration) {
	tr.t.Helper()
	tr.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tr.do(ctx, func() {
		ended := make(chan error, 1)
		go func() { ended <- tr.out.Close(ctx) }()
		select {
		case err := <-ended:
			if err != nil {
				tr.say(err.Error())
			}
		case <-time.After(limit + 5*time.Second):
			tr.t.Fatalf("Close is still at it 5 s after its context's end")
		}
	})
}

// finish closes the output if the test has not, and checks what holds for every trial.
func (tr *trial) finish() {
	tr.t.Helper()
	tr.stop()
	tr.poller.Wait()
	if !tr.closed {
		tr.close(Patience())
	}
	for _, b := range tr.batches {
		_ = tr.wait(b)
		tr.mu.Lock()
		if b.n != 1 {
			tr.t.Errorf("done was called %d times for the batch from bridge_seq %d", b.n, b.seqs[0])
		}
		tr.mu.Unlock()
	}
	poll(tr.t, func() string { return tr.goroutines() })
	tr.checkSecrets()
}

// goroutines returns the stacks of the output's goroutines, "" when there are none.
func (tr *trial) goroutines() string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", label, tr.id)) {
			return "a goroutine is left:\n" + stack
		}
	}
	return ""
}

func (tr *trial) checkSecrets() {
	tr.t.Helper()
	texts := tr.texts
	if tr.harness.Logs != nil {
		texts = append(texts, tr.harness.Logs())
	}
	for _, secret := range tr.harness.Secrets {
		for _, text := range texts {
			if strings.Contains(text, secret) {
				tr.t.Errorf("a secret is in %q", text)
			}
		}
	}
}
