package local

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

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
	for _, how := range []disktest.How{disktest.Lost, disktest.Persisted} {
		var done atomic.Bool
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
			if r.disk.Failed() == "" {
				done.Store(true)
				t.Logf("%d operations", n)
			}
			r.fold()
		})
	}
}

// TestPowerCuts cuts the power again and again, also during a start, over segments that are reused.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	inParallel(t, count(6, 300), func(i int) {
		r := newRig(t, fmt.Sprint("power cuts ", i), rand.Uint64())
		for range 25 {
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
	})
}
