package outputtest

import (
	"os"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// PatienceVariable names the environment variable that shortens Patience, for tests that expect the suite to fail.
const PatienceVariable = "OUTPUTTEST_PATIENCE"

// Patience is how long the suite waits for what must happen. Nothing waits so long unless it fails.
func Patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(PatienceVariable)); err == nil {
		return d
	}
	return 20 * time.Second
}

// Harness is one kind of output on trial, with a receiver of its own that ends with the test.
type Harness struct {
	// New makes an output that is pointed at the receiver, without connecting, with valid as its Env.Valid. The suite
	// closes it, and may make more than one.
	New func(t *testing.T, valid func() bool) outputs.Output

	// Received returns the bridge_seq of every record that has arrived, in order of arrival, repeated ones too.
	Received func() []uint64
	// Unordered says that the receiver keeps no order (several connections).
	Unordered bool

	// Connections returns how many connections the receiver has seen; nil when there are none to see.
	Connections func() int

	// Break makes the receiver unreachable, in whatever way makes sends fail, and Mend ends that. Both nil: sends can't
	// fail (datagrams), so that what comes too fast is lost; the suite then sends a batch when the one before has arrived.
	Break, Mend func()
	// Stall makes the receiver take what is sent and never answer or read; nil: it can't be told from a good one.
	Stall func()
	// Refuse makes the receiver refuse, for good, the records whose bridge_seq is said to be, and no others; nil: the protocol has no
	// such answer.
	Refuse func(refused func(seq uint64) bool)
	// SayNothing makes the receiver answer with what is no acceptance and no refusal, until it is called with false; nil: the protocol
	// has no answers.
	SayNothing func(on bool)

	// Secrets must not occur in any error, status, finding or log line.
	Secrets []string
	// Logs returns what the output has logged; nil: it isn't looked at.
	Logs func() string
}

// Run puts the outputs that start makes through the suite. start is called for every subtest.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *trial)
		lack func(*Harness) string // what the harness has not that the test needs
	}{
		{"Batching", testBatching, nothing},
		{"Idle", testIdle, nothing},
		{"Delivers", testDelivers, nothing},
		{"DeliversHostile", testHostile, nothing},
		{"CloseTwiceUsed", testCloseAfterUse, nothing},
		{"Render", testRender, nothing},
		{"Recovers", testRecovers, breaking},
		{"ContextEnds", testContextEnds, hanging},
		{"CloseEndsBatches", testCloseEndsBatches, hanging},
		{"OneRefused", testOneRefused, refusing},
		{"AllRefused", testAllRefused, refusing},
		{"AnswersSayNothing", testAnswersSayNothing, answering},
		{"NotOwner", testNotOwner, nothing},
		{"OwnerLost", testOwnerLost, nothing},
		{"Probe", testProbe, nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t)
			if lack := c.lack(&h); lack != "" {
				t.Skip("not tried: the harness has no " + lack)
			}
			tr := newTrial(t, &h, func() bool { return true })
			c.run(t, tr)
			tr.finish()
		})
	}
}

func nothing(*Harness) string { return "" }

func breaking(h *Harness) string {
	if h.Break == nil || h.Mend == nil {
		return "Break and Mend"
	}
	return ""
}

func hanging(h *Harness) string {
	if h.Break == nil && h.Stall == nil {
		return "Break or Stall"
	}
	return ""
}

func refusing(h *Harness) string {
	if h.Refuse == nil {
		return "Refuse"
	}
	return ""
}

func answering(h *Harness) string {
	if h.SayNothing == nil {
		return "SayNothing"
	}
	return ""
}

// hang makes the receiver such that nothing is delivered.
func (h *Harness) hang() {
	if h.Stall != nil {
		h.Stall()
	} else {
		h.Break()
	}
}
