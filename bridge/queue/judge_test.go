package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// memory is a queue.DedupeIndex with fixed answers.
type memory struct {
	body, same, newest queue.Remembered
	held               bool
	evictedUpTo        time.Time

	bodyErr, deliveryErr, heldErr error
	asked                         string
}

func (m *memory) Body(string, queue.Digest) (queue.Remembered, error) {
	m.asked += "body "
	return m.body, m.bodyErr
}

func (m *memory) Delivery(string, string, string) (same, newest queue.Remembered, err error) {
	m.asked += "delivery "
	return m.same, m.newest, m.deliveryErr
}

func (m *memory) DeadLetter(string, queue.Digest) (bool, error) {
	m.asked += "dead letter "
	return m.held, m.heldErr
}

func (m *memory) EvictedUpTo(string) time.Time { return m.evictedUpTo }

var errDisk = errors.New("the disk fails")

func TestJudge(t *testing.T) {
	t.Parallel()
	const window = time.Hour
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	remembered := func(seq uint64, ago time.Duration) queue.Remembered {
		return queue.Remembered{Seq: seq, ReceivedAt: at(ago)}
	}
	full := &queue.Event{DeliveryID: "d", Body: fmt.Appendf(nil, `{"timestamp":%q,"data":{"signal_id":"s"}}`, at(time.Minute).Format(time.RFC3339))}
	noDelivery := &queue.Event{Body: full.Body}
	noSignal := &queue.Event{DeliveryID: "d", Body: fmt.Appendf(nil, `{"timestamp":%q}`, at(time.Minute).Format(time.RFC3339))}
	noTime := &queue.Event{DeliveryID: "d", Body: []byte(`{"data":{"signal_id":"s"}}`)}
	noJSON := &queue.Event{DeliveryID: "d", Body: []byte("no JSON")}
	accepted := queue.Receipt{Verdict: queue.Accepted}
	reused := queue.Receipt{Verdict: queue.Accepted, Reused: true}
	duplicate := func(seq uint64) queue.Receipt { return queue.Receipt{Verdict: queue.Duplicate, Seq: seq} }
	quarantined := func(reason string) queue.Receipt {
		return queue.Receipt{Verdict: queue.Quarantined, Reason: reason}
	}
	for name, c := range map[string]struct {
		memory memory
		event  *queue.Event
		reason string
		want   queue.Receipt
		known  bool
		err    error
		asked  string // as much as is needed, in this order
	}{
		"new":                             {event: full, want: accepted, asked: "body delivery "},
		"new, without a delivery ID":      {event: noDelivery, want: accepted, asked: "body "},
		"new, no JSON":                    {event: noJSON, want: accepted, asked: "body delivery "},
		"known body":                      {event: full, memory: memory{body: remembered(7, time.Minute)}, want: duplicate(7), known: true, asked: "body "},
		"known body, to be held":          {event: full, reason: "stale", memory: memory{body: remembered(7, time.Minute)}, want: duplicate(7), known: true, asked: "body "},
		"known body, as old as it may be": {event: full, memory: memory{body: remembered(7, window)}, want: duplicate(7), known: true, asked: "body "},
		"known body, too old":             {event: full, memory: memory{body: remembered(7, window+1)}, want: accepted, asked: "body delivery "},
		"known body, of the future":       {event: full, memory: memory{body: remembered(7, -window)}, want: duplicate(7), known: true, asked: "body "},
		"stamped anew":                    {event: full, memory: memory{same: remembered(7, time.Minute), newest: remembered(9, 0)}, want: duplicate(7), known: true, asked: "body delivery "},
		"stamped anew, to be held":        {event: full, reason: "stale", memory: memory{same: remembered(7, 0), newest: remembered(7, 0)}, want: duplicate(7), known: true, asked: "body delivery "},
		"stamped anew, too old":           {event: full, memory: memory{same: remembered(7, window+1), newest: remembered(7, window+1)}, want: accepted, asked: "body delivery "},
		"another signal":                  {event: full, memory: memory{newest: remembered(7, time.Minute)}, want: reused, asked: "body delivery "},
		"another signal, too old":         {event: full, memory: memory{newest: remembered(7, window+1)}, want: accepted, asked: "body delivery "},
		"no signal is no same signal":     {event: noSignal, memory: memory{same: remembered(7, 0), newest: remembered(7, 0)}, want: reused, asked: "body delivery "},
		"held":                            {event: full, reason: "stale", want: quarantined("stale"), asked: "body delivery dead letter "},
		"held already":                    {event: full, reason: "stale", memory: memory{held: true}, want: quarantined("stale"), known: true, asked: "body delivery dead letter "},
		"held, and its ID is known":       {event: full, reason: "stale", memory: memory{newest: remembered(7, 0)}, want: quarantined("stale"), asked: "body delivery dead letter "},
		"not newer than what was evicted": {event: full, memory: memory{evictedUpTo: at(time.Minute)}, want: quarantined(queue.ReasonEvicted), asked: "body delivery dead letter "},
		"evicted and held already":        {event: full, memory: memory{evictedUpTo: at(time.Minute), held: true}, want: quarantined(queue.ReasonEvicted), known: true, asked: "body delivery dead letter "},
		"newer than what was evicted":     {event: full, memory: memory{evictedUpTo: at(2 * time.Minute)}, want: accepted, asked: "body delivery "},
		"evicted, another reason":         {event: full, reason: "stale", memory: memory{evictedUpTo: at(time.Minute)}, want: quarantined("stale"), asked: "body delivery dead letter "},
		"evicted before the window":       {event: noTime, memory: memory{evictedUpTo: at(window + 1)}, want: accepted, asked: "body delivery "},
		"no time, after an eviction":      {event: noTime, memory: memory{evictedUpTo: at(2 * time.Minute)}, want: quarantined(queue.ReasonEvicted), asked: "body delivery dead letter "},
		"no JSON, after an eviction":      {event: noJSON, memory: memory{evictedUpTo: at(2 * time.Minute)}, want: quarantined(queue.ReasonEvicted), asked: "body delivery dead letter "},
		"no answer for the body":          {event: full, memory: memory{bodyErr: errDisk}, err: errDisk, asked: "body "},
		"no answer for the delivery":      {event: full, memory: memory{deliveryErr: errDisk}, err: errDisk, asked: "body delivery "},
		"no answer for the dead letter":   {event: full, reason: "stale", memory: memory{heldErr: errDisk}, err: errDisk, asked: "body delivery dead letter "},
		"no answer that matters not":      {event: noDelivery, memory: memory{deliveryErr: errDisk, heldErr: errDisk}, want: accepted, asked: "body "},
	} {
		e := *c.event
		e.Decode()
		got, err := queue.Judge(&c.memory, &e, queue.DigestOf(e.Body), c.reason, noon, window)
		if (got.Verdict == queue.Accepted || got.Verdict == queue.Duplicate) == got.Since.IsZero() {
			t.Errorf("%s: the window counts from %v", name, got.Since)
		}
		got.Since = time.Time{}
		if !errors.Is(err, c.err) || got.Receipt != c.want || got.Known != c.known || c.memory.asked != c.asked {
			t.Errorf("%s: %+v, %v, asked %s; want %+v, known %v, %v, asked %s", name, got, err, c.memory.asked, c.want, c.known, c.err, c.asked)
		}
	}
}
