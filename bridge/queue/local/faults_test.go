package local

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal/disktest"
)

func TestStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, "story", 1)
	r.story(20)
	r.fold()
	t.Logf("%d events, %v", len(r.acked), r.disk.Files(rigFolder))
}

// TestEachOperationFails lets a story go wrong at each operation on the disk in turn, once lost and once done all the same.
func TestEachOperationFails(t *testing.T) {
	t.Parallel()
	for how, what := range map[disktest.How]string{disktest.Lost: "and was not done", disktest.Persisted: "and was done all the same"} {
		var done atomic.Bool
		var tried, acknowledged atomic.Int64
		step := count(29, 1)
		inParallel(t, 100_000/step, func(i int) {
			if done.Load() {
				return
			}
			n := 1 + i*step
			began := time.Now()
			defer func() {
				if d := time.Since(began); d > 2*time.Second {
					t.Logf("operation %d took %v", n, d)
				}
			}()
			r := newRig(t, fmt.Sprintf("operation %d, how %d", n, how), uint64(n))
			r.disk.FailAt(n, how, nil)
			r.story(20)
			failed := r.disk.Failed() != ""
			if !failed {
				done.Store(true)
				t.Logf("%d operations", n)
			}
			r.fold()
			if failed {
				tried.Add(1)
				acknowledged.Add(int64(len(r.acked)))
			}
		})
		survived.Note(t, survived.Row{What: "one operation on the disk (write, sync, rename, ...) fails, " + what, Times: int(tried.Load()), Acknowledged: int(acknowledged.Load())})
	}
}

// TestPowerCuts cuts the power again and again, also during a start, over segments that are reused.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	const cuts = 25
	disks := count(6, 300)
	var acknowledged atomic.Int64
	inParallel(t, disks, func(i int) {
		r := newRig(t, fmt.Sprint("power cuts ", i), rand.Uint64())
		for range cuts {
			r.disk.CutAt(1 + r.rnd.IntN(90))
			r.story(1 + r.rnd.IntN(4))
			if r.rnd.IntN(4) == 0 {
				r.up()
				r.die(true)
			}
			r.verify()
		}
		r.disk.CutAt(0)
		r.fold()
		acknowledged.Add(int64(len(r.acked)))
	})
	survived.Note(t, survived.Row{What: "the power is cut at any operation, at the grain of a sector, also during a start", Times: disks * cuts, Acknowledged: int(acknowledged.Load())})
}
