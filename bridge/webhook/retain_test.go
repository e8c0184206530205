package webhook

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// TestAnsweredKeepsNoBodies: what is remembered of a delivery must not keep its body in memory: the decoded signal's texts lie within it.
func TestAnsweredKeepsNoBodies(t *testing.T) {
	t.Parallel()
	a := newAnswered(nil)
	body := remember(a)
	for deadline := time.Now().Add(30 * time.Second); body.Value() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the body of an answered delivery is still in memory")
		}
		runtime.GC()
	}
	if a.byIDs.Len() != 1 || !a.byIDs.Contains(answeredIDs{"linuxguard", "delivery", "sig_1"}) {
		t.Errorf("%d deliveries are remembered by their IDs", a.byIDs.Len())
	}
}

func remember(a *answered) weak.Pointer[byte] {
	body := fmt.Appendf(nil, `{"data":{"signal_id":"sig_1","description":"%s"}}`, strings.Repeat("x", 1<<20))
	e := &queue.Event{Endpoint: "linuxguard", DeliveryID: "delivery", Body: body}
	e.Decode()
	a.add(e, queue.DigestOf(body), queue.Receipt{Verdict: queue.Accepted, Seq: 1, Generation: 1, Since: time.Now()})
	return weak.Make(&body[0])
}
