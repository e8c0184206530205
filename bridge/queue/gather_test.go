package queue

import (
	"testing"
	"time"
)

// gatherer is as much of a queue as gather uses, with n requests that wait and as many expected as were under way.
func gatherer(n, expected int) *embedded {
	q := &embedded{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	q.pace = pace{expected: expected, ended: time.Now().Add(time.Hour), limit: time.Hour}
	for range n {
		q.intake.add(&request{})
	}
	return q
}

// startGather runs gather and returns when it waits; the channel gets how many requests it has gathered.
func startGather(t *testing.T, q *embedded) <-chan int {
	t.Helper()
	gathered := make(chan int, 1)
	go func() {
		q.gather()
		gathered <- q.intake.pending()
	}()
	poll(t, func() bool {
		q.intake.mu.Lock()
		defer q.intake.mu.Unlock()
		return q.intake.expected > 0
	})
	return gathered
}

func TestGatherWaitsForThoseUnderWay(t *testing.T) {
	t.Parallel()
	q := gatherer(1, 3)
	gathered := startGather(t, q)
	for range 2 {
		if _, wake := q.intake.add(&request{}); wake {
			q.signal()
		}
	}
	if n := <-gathered; n != 3 {
		t.Errorf("a transaction began with %d of 3 requests", n)
	}
}

// TestGatherTakesAFullBatch: what is beyond a batch can't join it.
func TestGatherTakesAFullBatch(t *testing.T) {
	t.Parallel()
	q := gatherer(1, 5)
	gathered := startGather(t, q)
	for range 2 {
		if _, wake := q.intake.add(&request{value: make([]byte, maxBatchBytes)}); wake {
			q.signal()
		}
	}
	<-gathered
}

func TestGatherEndsWithTheQueue(t *testing.T) {
	t.Parallel()
	q := gatherer(1, 3)
	gathered := startGather(t, q)
	close(q.stop)
	<-gathered
}

func TestPaceIsBounded(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Now()
	p.committed(2, 1, now.Add(-time.Hour), now)
	if p.expected != 3 || p.limit != maxWait || !p.waits(now) {
		t.Errorf("after a transaction of an hour: %+v", p)
	}
	if p.waits(now.Add(time.Minute)) {
		t.Error("a request waits after a minute of silence")
	}
}

func TestGatherWaitsForNobody(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]*embedded{
		"a lone sender": gatherer(1, 1),
		"all are there": gatherer(3, 3),
		"a full batch":  gatherer(maxBatchRequests+1, 2*maxBatchRequests),
		"no request":    gatherer(0, 3),
	} {
		waited := q.pace
		q.gather()
		if q.pace != waited {
			t.Errorf("%s: it waited: %+v", name, q.pace)
		}
	}
}

// TestGatherGivesUp: where those that were expected don't come, ever more transactions go without a wait.
func TestGatherGivesUp(t *testing.T) {
	t.Parallel()
	q := gatherer(1, 3)
	q.pace.limit = time.Nanosecond
	var pauses []int
	for range 8 {
		q.gather() // in vain
		pauses = append(pauses, q.pace.skip)
		for q.pace.skip > 0 {
			q.gather()
		}
	}
	for i, want := range []int{1, 3, 7, 15, 31, 63, maxPause, maxPause} {
		if pauses[i] != want {
			t.Fatalf("transactions without a wait: %v", pauses)
		}
	}
	q.pace.waited(true)
	if q.pace.pause != 0 {
		t.Errorf("after a wait that paid the next one in vain costs %d transactions", q.pace.pause)
	}
}
