package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/lines"
)

// recordSlack is how much longer than the cursor interval a cursor may take to be committed on a busy machine.
const recordSlack = 2 * time.Second

// delivery is one line of the recording output.
type delivery struct {
	seq uint64
	id  string
	at  time.Time
	own bool
}

// TestKill kills a queue again and again, at random and at each step around append, sync and reply, and compares what
// was acknowledged with what a recording output got.
func TestKill(t *testing.T) {
	t.Parallel()
	runs := 20
	if long() {
		runs = 500
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	record := filepath.Join(t.TempDir(), "record")
	acknowledged := make(map[string]bool)
	var kills []time.Time
	for run := range runs {
		kills = append(kills, killOnce(t, run, rnd, dir, record, acknowledged))
		if t.Failed() {
			t.FailNow()
		}
	}
	finishDelivery(t, dir, record)
	checkDeliveries(t, readRecord(t, record), acknowledged, kills)
	t.Logf("%d acknowledged", len(acknowledged))
}

var killSteps = []string{"append", "filled", "committed", "published", "reply"}

// killOnce runs a child until it is dead, collects what it had acknowledged, and returns when it died.
func killOnce(t *testing.T, run int, rnd *rand.Rand, dir, record string, acknowledged map[string]bool) time.Time {
	t.Helper()
	env := []string{"DIR=" + dir, "RECORD=" + record, fmt.Sprint("RUN=", run)}
	random := run%2 == 0
	if !random {
		env = append(env, fmt.Sprintf("FAILPOINT=%s:%d", killSteps[run/2%len(killSteps)], 1+rnd.IntN(60)))
	}
	c := startChild(t, "produce", env...)
	var timer *time.Timer
	acks := 0
	for id := range c.lines {
		acknowledged[id] = true
		if acks++; acks == 1 && random {
			timer = time.AfterFunc(time.Duration(rnd.IntN(100_000))*time.Microsecond, func() { _ = c.cmd.Process.Kill() })
		}
	}
	died := time.Now()
	if timer != nil {
		timer.Stop()
	}
	if err := c.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("run %d ended by itself: %v", run, err)
	}
	return died
}

// finishDelivery opens the queue once more and delivers all that is left.
func finishDelivery(t *testing.T, dir, record string) {
	t.Helper()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "recorder"}}})
	f, err := lines.Append(record)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := deliverTo(q, f, q.Status().LastSeq); err != nil {
		t.Fatal(err)
	}
}

func readRecord(t *testing.T, path string) []delivery {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []delivery
	for line := range strings.Lines(string(b)) {
		var d delivery
		var at int64
		if n, err := fmt.Sscan(line, &d.seq, &d.id, &at, &d.own); n < 4 {
			continue // torn by a kill; it counts as not delivered
		} else if err != nil {
			t.Fatal(err)
		}
		d.at = time.Unix(0, at)
		all = append(all, d)
	}
	return all
}

// checkDeliveries compares with the oracle: everything acknowledged came; nothing came with another's body or under two
// sequences; what came twice had come within a cursor interval before a kill.
func checkDeliveries(t *testing.T, all []delivery, acknowledged map[string]bool, kills []time.Time) {
	t.Helper()
	first := make(map[string]delivery)
	twice := 0
	for _, d := range all {
		if !d.own {
			t.Errorf("sequence %d: %s came with another body", d.seq, d.id)
		}
		before, again := first[d.id]
		if !again {
			first[d.id] = d
			continue
		}
		twice++
		if before.seq != d.seq {
			t.Errorf("%s came as sequence %d and as %d", d.id, before.seq, d.seq)
		}
		if !nearKill(before.at, kills) {
			t.Errorf("%s came again although it had come long before a kill", d.id)
		}
	}
	lost := 0
	for id := range acknowledged {
		if _, ok := first[id]; !ok {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged events never came", lost, len(acknowledged))
	}
	t.Logf("%d deliveries, %d of them repeated", len(all), twice)
}

// nearKill reports whether at lies less than a cursor interval (and some slack) before a kill.
func nearKill(at time.Time, kills []time.Time) bool {
	for _, k := range kills {
		if d := k.Sub(at); d >= 0 && d < childInterval+recordSlack {
			return true
		}
	}
	return false
}
