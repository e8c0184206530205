package queuetest

import (
	"context"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var ownershipTests = []test{
	{name: "Claim", run: testClaim},
	{name: "ClaimEnds", run: testClaimEnds},
	{name: "Roles", run: testRoles},
	{name: "BridgeID", run: testBridgeID},
	{name: "OpenTwice", run: testOpenTwice, needs: []need{oneBridge}},
}

// testClaim: an output has one owner. The next one waits for its release.
func testClaim(t *trial) {
	t.start("a", "b")
	_, err := t.q.Claim(t.ctx(), "typo")
	t.want("claim an output that isn't declared", err, queue.ErrNotFound)
	first := t.claim("a")
	t.claim("b")
	if first.Output != "a" || !first.Valid() || t.outputStatus("a").Owner != t.options.Bridge {
		t.Errorf("%+v, owner %q", first, t.outputStatus("a").Owner)
	}
	_, err = t.q.Claim(t.moment(), "a")
	t.want("claim while it is owned", err, context.DeadlineExceeded)
	type claimed struct {
		*queue.Tenure
		error
	}
	next := make(chan claimed, 1)
	ctx := t.ctx()
	go func() {
		tenure, err := t.q.Claim(ctx, "a")
		next <- claimed{tenure, err}
	}()
	first.Release()
	first.Release()
	if first.Valid() {
		t.Error("valid after its release")
	}
	second := <-next
	t.must("the next claim", second.error)
	first.Release() // is nobody else's
	if !second.Valid() || first.Valid() {
		t.Errorf("valid: the first %v, the second %v", first.Valid(), second.Valid())
	}
	_, err = t.q.Claim(t.moment(), "a")
	t.want("claim while the second one owns it", err, context.DeadlineExceeded)
	select {
	case <-first.Lost():
		t.Error("what was released counts as lost")
	default:
	}
	second.Release()
	t.eventually("it is nobody's", func() bool { return t.outputStatus("a").Owner == "" })
}

// testClaimEnds: the end of an output and that of the queue are told to owners and to those who wait.
func testClaimEnds(t *trial) {
	t.start("a", "b", "gone")
	owners := []*queue.Tenure{t.claim("a"), t.claim("b")}
	t.claim("gone")
	ctx := t.ctx()
	waiting, forGone := make(chan error, 1), make(chan error, 1)
	go func() { _, err := t.q.Claim(ctx, "a"); waiting <- err }()
	go func() { _, err := t.q.Claim(ctx, "gone"); forGone <- err }()
	t.end("gone", queue.OutputSpec{Name: "a"}, queue.OutputSpec{Name: "b"})
	t.want("a claim of an output that ends", <-forGone, queue.ErrNotFound)
	t.close()
	for _, o := range owners {
		t.lost("closed", o)
	}
	if err := <-waiting; err == nil {
		t.Error("claimed from a closed queue")
	}
	if _, err := t.q.Append(t.ctx(), t.numbered(0), ""); err == nil || t.q.Generation() != 0 {
		t.Errorf("append to a closed queue: %v, generation %d", err, t.q.Generation())
	}
}

// testRoles: one holder a role, until it is released or the queue ends.
func testRoles(t *trial) {
	t.start("absence")
	t.claim("absence") // an output of that name is another thing
	keeper, err := t.q.Hold(t.ctx(), "keeper")
	t.must("hold", err)
	absence, err := t.q.Hold(t.ctx(), "absence")
	t.must("hold another role", err)
	_, err = t.q.Hold(t.moment(), "keeper")
	t.want("hold while somebody holds it", err, context.DeadlineExceeded)
	keeper.Release()
	again, err := t.q.Hold(t.ctx(), "keeper")
	if err != nil || keeper.Valid() || !again.Valid() || !absence.Valid() {
		t.Fatalf("after a release: %v", err)
	}
	t.close()
	t.lost("closed", again)
	t.lost("closed", absence)
}

// testBridgeID: the sequences of a sound queue stay under one bridge ID.
func testBridgeID(t *trial) {
	t.start("a")
	id := t.q.Status().BridgeID
	for i, l := range t.lifetimes() {
		l.begin()
		t.fill(i, 1)
		if got := t.q.Status().BridgeID; got != id || id == "" || t.claim("a").BridgeID != id {
			t.Errorf("%s: the bridge ID is %q, a tenure's %q, was %q", l.name, got, t.claim("a").BridgeID, id)
		}
	}
}

func testOpenTwice(t *trial) {
	t.start("a")
	_, err := t.world.Open(t.ctx(), t.options)
	t.want("open what is open", err, queue.ErrLocked)
	t.fill(0, 1)
	t.restart()
	t.fill(1, 1)
}
