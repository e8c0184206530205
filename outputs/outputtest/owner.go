package outputtest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// testNotOwner: an output that this bridge no longer owns sends nothing, over an open connection or a new one, and says
// so of every batch.
func testNotOwner(t *testing.T, tr *trial) {
	var lost atomic.Bool
	used := newTrial(t, tr.harness, func() bool { return !lost.Load() })
	used.sendAll(context.Background(), Records(t, 1, 3), 3)
	lost.Store(true)
	used.refuses(used.send(context.Background(), Records(t, 4, 3)))
	used.refuses(used.send(context.Background(), Records(t, 7, 1)))
	used.finish()

	fresh := newTrial(t, tr.harness, func() bool { return false })
	fresh.refuses(fresh.send(context.Background(), Records(t, 8, 3)))
	fresh.finish()
	tr.onlyThenArrives([]uint64{1, 2, 3}, 11)
}

// testOwnerLost: wherever in a Send the ownership ends, the batch is delivered or ends with ErrNotOwner. The output may look
// as often as it likes, but once at least; after the first look in vain nothing more arrives.
func testOwnerLost(t *testing.T, tr *trial) {
	const most = 200 // looks for one batch
	var sent, delivered []uint64
	for looks := int64(0); delivered == nil; looks++ {
		if looks > most {
			t.Fatalf("the output has looked %d times and not delivered", most)
		}
		var left atomic.Int64
		left.Store(looks)
		next := newTrial(t, tr.harness, func() bool { return left.Add(-1) >= 0 })
		b := next.send(context.Background(), Records(t, uint64(10*looks)+1, 3))
		switch err := next.wait(b); {
		case err == nil && left.Load() == looks:
			t.Fatal("a batch was delivered without a look at Valid")
		case err == nil:
			delivered = b.seqs
		case !errors.Is(err, outputs.ErrNotOwner):
			t.Errorf("after %d looks: %v, want ErrNotOwner", looks, err)
		}
		if looks > 0 {
			sent = append(sent, b.seqs...)
		}
		next.finish()
	}
	for _, seq := range tr.received(delivered) {
		if !slices.Contains(sent, seq) {
			t.Errorf("bridge_seq %d arrived without a look at Valid", seq)
		}
	}
}

// refuses waits for ErrNotOwner.
func (tr *trial) refuses(b *batch) {
	tr.t.Helper()
	if err := tr.wait(b); err == nil {
		tr.t.Errorf("the batch from bridge_seq %d was delivered although this bridge no longer owns the output", b.seqs[0])
	} else if !errors.Is(err, outputs.ErrNotOwner) {
		tr.t.Errorf("the batch from bridge_seq %d ended with %v, want ErrNotOwner", b.seqs[0], err)
	}
}

// onlyThenArrives checks that nothing but before has arrived, once the record with the bridge_seq last has.
func (tr *trial) onlyThenArrives(before []uint64, last uint64) {
	tr.t.Helper()
	tr.sendAll(context.Background(), Records(tr.t, last, 1), 1)
	got := slices.Sorted(slices.Values(tr.received([]uint64{last})))
	if want := append(before, last); !slices.Equal(got, want) {
		tr.t.Errorf("arrived %v, want %v: the others were not to be sent any more", got, want)
	}
}
