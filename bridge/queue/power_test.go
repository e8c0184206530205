package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPowerLoss cuts the power of a queue at random moments: what was not synced is dropped, all of it or a random part.
// Everything acknowledged must be there afterwards.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	runs := 12
	if long() {
		runs = 200
	}
	for run := range runs {
		acknowledged, dir := cutPower(t, run, "")
		if lost := lostOf(t, dir, acknowledged); lost > 0 {
			t.Fatalf("run %d: %d of %d acknowledged events are lost", run, lost, len(acknowledged))
		}
	}
}

// TestPowerLossSeesAMissingSync proves that TestPowerLoss can fail: without syncs, acknowledged events are lost.
func TestPowerLossSeesAMissingSync(t *testing.T) {
	t.Parallel()
	acknowledged, dir := cutPower(t, 0, "yes")
	if lost := lostOf(t, dir, acknowledged); lost == 0 {
		t.Errorf("a queue that answers before the sync lost nothing of %d: the test is blind", len(acknowledged))
	}
}

// cutPower runs a child until its power is cut and returns what it had acknowledged, and the folder as the disk has it.
func cutPower(t *testing.T, run int, noSync string) (map[string]bool, string) {
	t.Helper()
	dir, after := t.TempDir(), t.TempDir()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "recorder"}}})
	if err := q.Close(t.Context()); err != nil { // the file exists now, and is durable
		t.Fatal(err)
	}
	c := startChild(t, "power", "DIR="+dir, "AFTER="+after, "NOSYNC="+noSync, fmt.Sprint("RUN=", run))
	return c.acknowledged(t), after
}

func lostOf(t *testing.T, dir string, acknowledged map[string]bool) int {
	t.Helper()
	q := openTest(t, Options{Directory: dir, Outputs: []OutputSpec{{Name: "recorder"}}})
	checkReadable(t, q)
	lost := 0
	for id := range acknowledged {
		// Delivered ones are remembered too, so the memory knows everything that was acknowledged.
		if r, err := q.Append(t.Context(), namedEvent(id), ""); err != nil || r.Outcome != Duplicate {
			lost++
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*.damaged-*")); err != nil || len(files) > 0 {
		t.Errorf("a power cut left a damaged file: %v, %v", files, err)
	}
	return lost
}

// checkReadable reads everything that is queued and compares it with what it should be.
func checkReadable(t *testing.T, q Queue) {
	t.Helper()
	after, err := q.Cursor("recorder")
	if err != nil {
		t.Fatal(err)
	}
	for last := q.Status().LastSeq; after < last; {
		events, err := q.Range(t.Context(), after+1, last, 1<<20)
		if err != nil || len(events) == 0 {
			t.Fatalf("read after %d of %d: %d events, %v", after, last, len(events), err)
		}
		for _, e := range events {
			if after++; e.Seq != after || string(e.Body) != string(namedEvent(e.DeliveryID).Body) {
				t.Fatalf("sequence %d instead of %d, %s: %s", e.Seq, after, e.DeliveryID, e.Body)
			}
		}
	}
}

// childPower appends until it cuts its own power.
func childPower() error {
	run, err := strconv.ParseUint(os.Getenv("RUN"), 10, 64)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(run, uint64(time.Now().UnixNano())))
	in, err := intercept(filepath.Join(os.Getenv("DIR"), "queue.db"))
	if err != nil {
		return err
	}
	opts := Options{Directory: os.Getenv("DIR"), CursorInterval: childInterval, Outputs: []OutputSpec{{Name: "recorder"}}}
	q, err := Open(context.Background(), opts)
	if err != nil {
		return err
	}
	if os.Getenv("NOSYNC") != "" {
		q.(*embedded).db.NoSync, q.(*embedded).db.NoGrowSync = true, true
	}
	var wg sync.WaitGroup
	var once sync.Once
	first := make(chan struct{})
	for p := range childProducers {
		wg.Go(func() {
			produceNamed(q, fmt.Sprintf("%d-%d", run, p), nil, func() { once.Do(func() { close(first) }) })
		})
	}
	wg.Go(func() { _ = deliverTo(q, os.NewFile(uintptr(mustOpenNull()), "null"), 0) })
	<-first
	time.Sleep(time.Duration(50+rnd.IntN(250)) * time.Millisecond)
	in.mu.Lock() // from here on no write and no sync returns, so nothing more is acknowledged
	file := in.image(in.name)
	image := file.durable
	if run%2 == 1 { // some of the writes had reached the disk, in any order
		for _, w := range file.pending {
			if rnd.IntN(2) == 0 {
				image = w.apply(image)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("AFTER"), "queue.db"), image, 0o600); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

func mustOpenNull() int {
	fd, err := unix.Open(os.DevNull, unix.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	return fd
}
