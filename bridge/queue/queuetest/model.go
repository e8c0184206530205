package queuetest

import (
	"context"
	"flag"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// LongVariable names the environment variable that makes the model try for long.
const LongVariable = "LINUXGUARD_LONG"

// setChecks tells rapid how much to try, unless its flags were given. The short form of an engine that is slow to try has few checks, and the
// same ones every time: to find others is the long form's job.
func setChecks(short int) error {
	values := map[string]string{}
	if os.Getenv(LongVariable) != "" {
		values["rapid.checks"] = "3000"
	} else if short > 0 {
		values["rapid.checks"], values["rapid.seed"] = strconv.Itoa(short), "1"
	}
	for name, value := range values {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// RunModel drives an engine and a plain model of the contract with the same random actions, and compares them after each.
// The model knows no sizes on disk: where an event finds no room, or older ones are dropped for it, it takes the engine's
// word if that is plausible, and looks that nothing else has changed.
func RunModel(t *testing.T, e Engine) {
	if err := setChecks(e.ShortChecks); err != nil {
		t.Fatal(err)
	}
	if e.OwnClock {
		t.Skip("not tried: the engine has a clock of its own")
	}
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		scope := &scope{TB: t}
		defer scope.end()
		m := newModel(rt, e, e.New(scope))
		defer m.end()
		m.open()
		rt.Repeat(m.actions())
	})
}

// scope is a test whose resources end with one check of the model.
type scope struct {
	testing.TB
	cleanups []func()
}

// Cleanup implements testing.TB.
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// TempDir implements testing.TB.
func (s *scope) TempDir() string {
	dir, err := os.MkdirTemp("", "queuetest")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// model is what a queue should be, without a disk: plain slices and maps.
type model struct {
	t       *rapid.T
	engine  Engine
	world   World
	clock   *clock
	options Options
	q       queue.Queue

	generation uint64

	events       []*modelEvent // all that were ever accepted; the index is the sequence less one
	outputs      map[string]*modelOutput
	ended        map[string]map[uint64]*note // the notes of removed outputs
	items        map[uint64]*modelItem
	lastItem     uint64
	resent       map[uint64]uint64
	lastAccepted map[string][]time.Time // by endpoint: when the newest was received, or the latest
	done         uint64                 // the highest sequence that all outputs were ever past: what is above must be there
	written      int64                  // bytes that a log may have grown by, at the most
}

type modelEvent struct {
	queue.Event
	sent         time.Time
	rememberedAt time.Time
	latestAt     time.Time // the same, or later: an engine may let no delivery be older than the one before, when the clock goes back
	doubtful     bool      // it may have been forgotten: it was once too old, or one too many
	writtenAt    int64     // model.written before it
}

type modelOutput struct {
	spec   queue.OutputSpec
	tenure *queue.Tenure
	cursor uint64
	floor  uint64 // what survives a kill at least
	notes  map[uint64]*note
}

type modelItem struct {
	event  *queue.Event
	reason string
	output string
}

func newModel(t *rapid.T, e Engine, w World) *model {
	m := &model{
		t: t, engine: e, world: w, clock: newClock(), outputs: make(map[string]*modelOutput),
		ended: make(map[string]map[uint64]*note), items: make(map[uint64]*modelItem),
		resent: make(map[uint64]uint64), lastAccepted: make(map[string][]time.Time),
	}
	interval := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Hour}).Draw(t, "progress interval")
	m.options = Options{
		Bridge: "bridge-a", Window: time.Hour, Capacity: 12, ProgressInterval: interval, Now: m.clock.now, Log: slog.New(slog.DiscardHandler),
		Limits: queue.Limits{MaxBytes: 256 * kiB, QuarantineMaxBytes: miB, MaxEventBytes: 64 * kiB},
	}
	m.outputs["a"] = &modelOutput{spec: queue.OutputSpec{Name: "a"}, notes: make(map[uint64]*note)}
	return m
}

func (m *model) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"append":       func(*rapid.T) { _, _ = m.append("") },
		"append again": func(*rapid.T) { _, _ = m.append("") },
		"burst":        func(*rapid.T) { m.burst() },
		"late":         func(*rapid.T) { m.late() },
		"hold":         func(*rapid.T) { _, _ = m.append("stale") },
		"advance":      func(*rapid.T) { m.advance() },
		"advance more": func(*rapid.T) { m.advance() },
		"refuse":       func(*rapid.T) { _, _ = m.refuse() },
		"resend":       func(*rapid.T) { _, _ = m.resend() },
		"drop item":    func(*rapid.T) { _, _ = m.dropItem() },
		"declare":      func(*rapid.T) { m.declareNew() },
		"undeclare":    func(*rapid.T) { m.undeclare() },
		"replay":       func(*rapid.T) { m.replay() },
		"restart":      func(*rapid.T) { m.restart() },
		"kill":         func(*rapid.T) { m.kill() },
		"wait":         func(*rapid.T) { m.move(25 * time.Minute) },
		"clock back":   func(*rapid.T) { m.move(-10 * time.Minute) },
		"":             func(*rapid.T) { m.check() },
	}
	if _, ok := m.world.(Crasher); ok {
		actions["crash"] = func(*rapid.T) { m.crash() }
	}
	return actions
}

func (m *model) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience())
	m.t.Cleanup(cancel)
	return ctx
}

func (m *model) must(what string, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
}

func (m *model) last() uint64 { return uint64(len(m.events)) }

func (m *model) names() []string { return slices.Sorted(maps.Keys(m.outputs)) }

func (m *model) specs() []queue.OutputSpec {
	var specs []queue.OutputSpec
	for _, name := range m.names() {
		specs = append(specs, m.outputs[name].spec)
	}
	return specs
}

// lowest is the lowest cursor of the outputs that count asks for.
func (m *model) lowest(count func(*modelOutput) bool) uint64 {
	low := m.last()
	for _, o := range m.outputs {
		if count(o) {
			low = min(low, o.cursor)
		}
	}
	return low
}

func (m *model) lowestCursor() uint64 { return m.lowest(func(*modelOutput) bool { return true }) }

// open opens the queue and finds where the outputs are.
func (m *model) open() {
	q, err := m.world.Open(m.ctx(), m.options)
	m.must("open", err)
	if g := q.Generation(); g == 0 || g == m.generation {
		m.t.Fatalf("the generation is %d, and was %d before", g, m.generation)
	}
	m.q, m.generation = q, q.Generation()
	left, err := q.Declare(m.ctx(), m.specs())
	if err != nil || len(left) > 0 {
		m.t.Fatalf("declare what was declared: %v, %v", left, err)
	}
	for name, o := range m.outputs {
		m.claim(name)
		for _, n := range o.notes {
			n.lately = false
		}
	}
}

func (m *model) claim(name string) {
	tenure, err := m.q.Claim(m.ctx(), name)
	m.must("claim", err)
	m.outputs[name].tenure = tenure
}

func (m *model) end() {
	if m.q != nil {
		m.world.Kill(m.q)
	}
}

// move moves the clock. What is older than the window at any time may be forgotten.
func (m *model) move(d time.Duration) {
	m.clock.add(d)
	m.age()
}

func (m *model) age() {
	now := m.clock.now()
	for i, e := range m.events {
		if now.Sub(e.rememberedAt) > m.options.Window || i < len(m.events)-m.options.Capacity {
			e.doubtful = true
		}
	}
	for _, o := range m.outputs {
		for _, n := range o.notes {
			n.expire(now, m.options.Window)
		}
	}
}
