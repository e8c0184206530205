package queue

import (
	"testing"
	"time"
)

// gatherer is as much of a queue as gather uses, with n requests that wait and as many expected as were under way.
func gatherer(n, expected int, limit time.Duration) *embedded {
	q := &embedded{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	q.pace.committed(expected, 0, limit)
	for range n {
		q.intake.add(&request{})
	}
	return q
}

func TestGatherWaitsForThoseUnderWay(t *testing.T) {
	t.Parallel()
	q := gatherer(1, 3, time.Hour)
	gathered := make(chan int)
	go func() {
		q.gather()
		gathered <- q.intake.pending()
	}()
	for range 2 {
		if _, wake := q.intake.add(&request{}); wake {
			q.signal()
		}
	}
	if n := <-gathered; n != 3 {
		t.Errorf("a transaction began with %d of 3 requests", n)
	}
	if q.pace.limit != maxWait {
		t.Errorf("after a transaction of an hour the next batch waits %v", q.pace.limit)
	}
}

func TestGatherWaitsForNobody(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]*embedded{
		"a lone sender": gatherer(1, 1, time.Hour),
		"all are there": gatherer(3, 3, time.Hour),
		"a full batch":  gatherer(maxBatchRequests+1, 2*maxBatchRequests, time.Hour),
		"no request":    gatherer(0, 3, time.Hour),
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
	q := gatherer(1, 3, time.Nanosecond)
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
