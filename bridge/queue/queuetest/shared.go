package queuetest

import (
	"context"
	"sync"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var sharedTests = []test{
	{name: "SharedAppends", run: testSharedAppends, needs: []need{bridges}},
	{name: "SharedOutputs", run: testSharedOutputs, needs: []need{bridges}},
	{name: "SharedTakeover", run: testSharedTakeover, needs: []need{bridges}},
	{name: "SharedWanted", run: testSharedWanted, needs: []need{bridges}},
	{name: "SharedRoles", run: testSharedRoles, needs: []need{bridges}},
}

// second opens the world as another bridge, with the same outputs.
func (t *trial) second() *trial {
	t.Helper()
	other := *t
	other.options.Bridge = "bridge-b"
	other.reopen()
	return &other
}

// testSharedAppends: two bridges that get the same deliveries accept each of them once, under one row of numbers.
func testSharedAppends(t *trial) {
	t.start("a")
	both := []*trial{t, t.second()}
	const senders, each = 3, 15
	var mu sync.Mutex
	seqs, receivers := make(map[uint64]int), make(map[string]int)
	var wg sync.WaitGroup
	events := make([]*queue.Event, each)
	for i := range events {
		events[i] = t.numbered(i)
	}
	ctx := t.ctx()
	for _, bridge := range both {
		for range senders {
			wg.Go(func() {
				for _, e := range events {
					received := *e
					received.ReceivedBy = bridge.options.Bridge
					r, err := bridge.q.Append(ctx, &received, "")
					if err != nil {
						t.Errorf("append: %v", err)
					}
					mu.Lock()
					if r.Verdict == queue.Accepted {
						seqs[r.Seq]++
						receivers[e.DeliveryID+bridge.options.Bridge]++
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if len(seqs) != each || both[0].q.Status().LastSeq != each || both[1].q.Status().LastSeq != each {
		t.Errorf("%d sequences were given for %d events: %v", len(seqs), each, seqs)
	}
	for _, e := range events {
		seen, err := both[1].q.Find(t.ctx(), e.DeliveryID)
		if err != nil || len(seen) != 1 || receivers[e.DeliveryID+seen[0].ReceivedBy] != 1 {
			t.Errorf("%+v, %v", seen, err)
		}
	}
	reading := make(chan queue.Batch, 1)
	tenure := both[1].claim("a")
	go func() {
		b, err := tenure.Read(ctx, each, 1, miB)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		reading <- b
	}()
	t.accept(t.numbered(each)) // wakes the other bridge's worker
	if b := <-reading; len(b.Events) != 1 {
		t.Errorf("woken with %s", describe(b))
	}
	both[1].close()
}

// testSharedOutputs: an output that another bridge names lives on.
func testSharedOutputs(t *trial) {
	t.start("a", "b")
	other := t.second()
	t.fill(0, 10)
	tenure := other.claim("b")
	other.advance(tenure, 4)
	other.fill(10, 1) // takes it along
	if left := t.declare(queue.OutputSpec{Name: "a"}); len(left) > 0 {
		t.Errorf("ended outputs: %v", left)
	}
	_, err := t.q.Claim(t.ctx(), "b")
	t.want("claim what this bridge hasn't declared", err, queue.ErrNotFound)
	if !tenure.Valid() || tenure.Cursor() != 4 {
		t.Error("the other bridge has lost its output")
	}
	left, err := t.q.Forget(t.ctx(), "b") // an operator knows better
	if err != nil || left != 7 {
		t.Errorf("forget: %d, %v", left, err)
	}
	other.lost("forgotten", tenure)
	other.close()
}

// testSharedTakeover: what one bridge lets go of, or takes with it when it dies, the other one gets.
func testSharedTakeover(t *trial) {
	t.start("a")
	t.fill(0, 10)
	for i, letGo := range []func(*trial){
		func(owner *trial) { owner.claim("a").Release() },
		func(owner *trial) { owner.restart() },
		func(owner *trial) { owner.kill() },
	} {
		other := t.second()
		tenure := t.claim("a")
		_, err := other.q.Claim(t.moment(), "a")
		t.want("claim what the other bridge owns", err, context.DeadlineExceeded)
		other.eventually("it says who the owner is", func() bool { return other.outputStatus("a").Owner == t.options.Bridge })
		at := uint64(2*i + 1)
		t.advance(tenure, at)
		t.fill(10+i, 1) // takes it along
		letGo(t)
		taken := other.claim("a")
		if tenure.Valid() || taken.Cursor() != at {
			t.Errorf("case %d: valid %v, the other one is at %d, want %d", i, tenure.Valid(), taken.Cursor(), at)
		}
		other.close()
	}
}

// testSharedWanted: an output is wanted while another bridge runs that has declared it.
func testSharedWanted(t *trial) {
	t.start("a", "b")
	wanted := func(when string, want map[string]bool) {
		t.Helper()
		for name, want := range want {
			if got := t.q.Wanted(t.ctx(), name); got != want {
				t.Errorf("%s: %s is wanted: %v", when, name, got)
			}
		}
	}
	wanted("alone", map[string]bool{"a": false, "b": false, "c": false})
	other := t.second()
	wanted("beside another bridge", map[string]bool{"a": true, "b": true, "c": false})
	other.declare(queue.OutputSpec{Name: "a"})
	wanted("when that one has only a", map[string]bool{"a": true, "b": false})
	other.close()
	wanted("when that one has ended", map[string]bool{"a": false, "b": false})
}

func testSharedRoles(t *trial) {
	t.start("a")
	other := t.second()
	keeper, err := t.q.Hold(t.ctx(), "keeper")
	t.must("hold", err)
	_, err = other.q.Hold(t.moment(), "keeper")
	t.want("hold what the other bridge holds", err, context.DeadlineExceeded)
	if _, err := other.q.Hold(t.ctx(), "absence"); err != nil {
		t.Errorf("hold another role: %v", err)
	}
	t.kill()
	taken, err := other.q.Hold(t.ctx(), "keeper")
	if err != nil || !taken.Valid() || keeper.Valid() {
		t.Errorf("after the other bridge died: %v", err)
	}
	other.close()
}
