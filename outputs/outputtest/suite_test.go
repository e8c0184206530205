package outputtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// flawVariable names the flaw that the model output of a child process has.
const flawVariable = "OUTPUTTEST_FLAW"

// receiver is the model output's other side.
type receiver struct {
	mu      sync.Mutex
	got     []uint64
	down    bool
	refused func(uint64) bool
	mute    bool
	conns   atomic.Int32
}

// model is an output that does everything right, but for its flaw.
type model struct {
	r       *receiver
	flaw    string
	log     *outputtest.Log
	valid   func() bool
	work    chan func()
	ended   chan struct{}
	closing context.Context
	close   context.CancelFunc
}

func newModel(r *receiver, flaw string, log *outputtest.Log, valid func() bool) *model {
	m := &model{r: r, flaw: flaw, log: log, valid: valid}
	m.closing, m.close = context.WithCancel(context.Background())
	if flaw == "connects early" {
		r.conns.Add(1)
	}
	if flaw == "starts early" {
		go func() { <-m.closing.Done() }()
	}
	return m
}

func (m *model) Send(ctx context.Context, batch []outputs.Record, done func(error)) {
	if m.work == nil {
		m.r.conns.Add(1)
		m.work, m.ended = make(chan func(), 1000), make(chan struct{})
		go func() {
			defer close(m.ended)
			for f := range m.work {
				f()
			}
		}()
	}
	m.work <- func() { m.deliver(ctx, batch, done) }
}

func (m *model) deliver(ctx context.Context, batch []outputs.Record, done func(error)) {
	if m.flaw == "forgets done" && batch[0].Seq == 1 {
		return
	}
	var err error
	if m.flaw != "never asks" && m.flaw != "asks late" && !m.valid() {
		done(outputs.ErrNotOwner)
		return
	}
	for err = m.try(batch); errors.Is(err, errDown) && ctx.Err() == nil && m.closing.Err() == nil; err = m.try(batch) {
		time.Sleep(time.Millisecond)
	}
	if m.flaw == "asks late" && !m.valid() {
		err = outputs.ErrNotOwner
	}
	if m.flaw == "hides why" && !m.valid() {
		err = errDown
	}
	if m.flaw == "leaks" {
		go func() { select {} }()
	}
	if m.flaw == "logs a secret" {
		_, _ = m.log.Write([]byte("token=hunter2hunter2"))
	}
	if m.flaw == "late use" {
		done(err)
		if batch[0].Signal == nil {
			panic("the batch is gone")
		}
		return
	}
	if m.flaw == "done twice" {
		done(err)
	}
	if err == nil || m.flaw != "denies failure" {
		done(err)
		return
	}
	done(nil)
}

var errDown = errors.New("the receiver is down")

func (m *model) try(batch []outputs.Record) error {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.down {
		if m.flaw == "tells a secret" {
			return errors.New("wrong token hunter2hunter2")
		}
		return errDown
	}
	if m.r.mute && m.flaw != "believes anything" {
		return errDown
	}
	partial := &outputs.PartialError{}
	for i := range batch {
		if m.r.refused != nil && m.r.refused(batch[i].Seq) {
			index := i
			if m.flaw == "wrong index" {
				index = int(batch[i].Seq)
			}
			partial.Rejected = append(partial.Rejected, outputs.Rejection{Index: index, Err: errors.New("refused")})
			continue
		}
		m.r.got = append(m.r.got, batch[i].Seq)
		if m.flaw == "repeats" && batch[i].Seq == 5 {
			m.r.got = append(m.r.got, 5)
		}
	}
	if n := len(m.r.got); m.flaw == "reorders" && n > 1 {
		m.r.got[n-1], m.r.got[n-2] = m.r.got[n-2], m.r.got[n-1]
	}
	if len(partial.Rejected) == len(batch) && m.flaw != "quarantines all" {
		return errDown
	}
	if len(partial.Rejected) > 0 {
		return partial
	}
	return nil
}

func (m *model) Batching() outputs.Batching {
	if m.flaw == "no batching" {
		return outputs.Batching{}
	}
	return outputs.Batching{MaxRecords: 100, MaxBytes: 1 << 20, MaxInFlight: 1000}
}

func (m *model) Status() outputs.Status {
	return outputs.Status{State: outputs.StateIdle, Peer: "memory"}
}

func (m *model) Close(context.Context) error {
	m.close()
	if m.work != nil {
		close(m.work)
		<-m.ended
	}
	return nil
}

func (m *model) Render(rec outputs.Record) ([]byte, error) {
	out := mapping.NewJSON().Append(nil, &rec)
	if m.flaw == "renders raw" {
		out = append(out, '\n', '{', '}')
	}
	return out, nil
}

func (m *model) Probe(context.Context) ([]outputs.Finding, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.flaw == "probe leaves" {
		m.r.got = append(m.r.got, 99)
	}
	return []outputs.Finding{{Target: "memory", OK: !m.r.down || m.flaw == "probe lies", Text: "looked"}}, nil
}

func run(t *testing.T, flaw string) {
	outputtest.Run(t, func(*testing.T) outputtest.Harness {
		r, log := &receiver{}, &outputtest.Log{}
		set := func(change func()) func() {
			return func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				change()
			}
		}
		return outputtest.Harness{
			New: func(_ *testing.T, valid func() bool) outputs.Output { return newModel(r, flaw, log, valid) },
			Received: func() []uint64 {
				r.mu.Lock()
				defer r.mu.Unlock()
				return append([]uint64(nil), r.got...)
			},
			Connections: func() int { return int(r.conns.Load()) },
			Break:       set(func() { r.down = true }),
			Mend:        set(func() { r.down = false }),
			Refuse:      func(refused func(uint64) bool) { set(func() { r.refused = refused })() },
			SayNothing:  func(on bool) { set(func() { r.mute = on })() },
			Secrets:     []string{"hunter2hunter2"},
			Logs:        log.String,
		}
	})
}

func TestGoodOutputPasses(t *testing.T) {
	t.Parallel()
	run(t, "")
}

// TestFlawed is what TestFlawsAreFound runs in child processes; by itself it is another run of the good output.
func TestFlawed(t *testing.T) {
	run(t, os.Getenv(flawVariable))
}

// TestFlawsAreFound: each flaw makes the suite fail, and for its own reason.
func TestFlawsAreFound(t *testing.T) {
	t.Parallel()
	for flaw, reason := range map[string]string{
		"connects early": "connections before the first Send",
		"starts early":   "a goroutine is left",
		"leaks":          "a goroutine is left",
		"forgets done":   "done was not called",
		"done twice":     "done was called 2 times",
		"late use":       "the batch is gone",
		"denies failure": "was delivered to a receiver that hangs",
		"logs a secret":  "a secret is in",
		"tells a secret": "a secret is in",
		"wrong index":    "is named, the refused one has bridge_seq",
		"repeats":        "sent 1 to 200, arrived",
		"reorders":       "sent 1 to 200, arrived",
		"no batching":    "is no batching",
		"renders raw":    "rendered with control characters",
		"probe lies":     "a broken receiver",
		"probe leaves":   "the probe left",
		"never asks":     "although this bridge no longer owns the output",
		"asks late":      "arrived without a look at Valid",
		"hides why":      "want ErrNotOwner",

		"quarantines all":   "every record is refused: a record is named",
		"believes anything": "answers say nothing: a batch was delivered",
	} {
		t.Run(flaw, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFlawed$")
			cmd.Env = append(os.Environ(), flawVariable+"="+flaw)
			switch flaw {
			case "starts early", "leaks", "forgets done":
				// What never comes is waited for. All else comes, and gets the time that a busy machine takes.
				cmd.Env = append(cmd.Env, outputtest.PatienceVariable+"=500ms")
			}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), reason) {
				t.Errorf("%v, want a failure that says %q:\n%s", err, reason, out)
			}
		})
	}
}
