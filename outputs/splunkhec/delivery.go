package splunkhec

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// delivery is one batch under way: the parts that are still to be sent, and what became of the others.
//
// Usually there is one part, the whole batch, and one request. A batch whose encoding is too long, that is refused
// as too long or for one event in it is divided into parts, each its own request:
//
//	invalid-event-number n     the events before n | n goes to the quarantine | the events after n
//	refused without a number   the first half | the second half
//	too long                   the first half | the second half
//	an index is refused        one part for each index
//	4xx without a HEC code     the first half | the second half, when events were accepted lately: a firewall dislikes one
//
// When every event of a batch is refused, and none was accepted since the first, it is the receiver that refuses and not the
// events: they keep their place, and the output is blocked.
//
// Splunk seems to index the events before n all the same, other receivers refuse the whole request: sending them
// again makes a duplicate of each at most once, and loses nothing.
type delivery struct {
	out    *Output
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   func() bool // ends the watch over the output's life
	batch  []outputs.Record
	done   func(error)

	parts [][]int // indices into batch, the next part last

	mu       sync.Mutex
	size     int // events of the batch
	taken    int // of those, in accepted requests
	large    int // of those, given up because each alone is too long
	open     int // requests that wait for their acknowledgement, and 1 for the sender
	rejected []outputs.Rejection
	rest     error
}

func (o *Output) newDelivery(ctx context.Context, batch []outputs.Record, done func(error)) *delivery {
	d := &delivery{out: o, batch: batch, size: len(batch), done: done, open: 1}
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	all := make([]int, len(batch))
	for i := range all {
		all[i] = i
	}
	d.parts = [][]int{all}
	return d
}

// run sends part after part until all are sent or one fails for a reason that concerns all.
func (d *delivery) run() {
	d.stop = context.AfterFunc(d.out.life, func() { d.cancel(context.Cause(d.out.life)) })
	var err error
	slow := false
	for err == nil && len(d.parts) > 0 {
		last := len(d.parts) - 1
		part := d.parts[last]
		d.parts = d.parts[:last]
		if len(part) > 0 {
			err = d.send(part, &slow)
		}
	}
	d.batch, d.parts = nil, nil // what waits for its acknowledgement keeps no bodies
	d.finish(err)
	if slow && err == nil {
		d.out.pause()
	}
	<-d.out.slots
}

// slowPause is how long a batch keeps its place after an answer that asks to slow down.
const slowPause = time.Second

// pause lets a delivered batch keep its place among those in flight for a moment, so that fewer are sent.
func (o *Output) pause() {
	select {
	case <-time.After(slowPause):
	case <-o.closing.Done():
	}
}

// send posts as many events of part as fit into one request, leaves the others for the next and does what the answer
// asks for.
func (d *delivery) send(part []int, slow *bool) error {
	b, n := d.out.encode(d.batch, part)
	defer b.release()
	if n < len(part) {
		d.parts = append(d.parts, part[n:])
		part = part[:n]
	}
	delivered, err := d.await()
	if err != nil {
		return err
	}
	ans, err := d.out.postWithFailover(d.ctx, b, delivered)
	v := ans.verdict()
	if err != nil || v != accepted && v != slowDown {
		d.forget()
	}
	if err != nil {
		return err
	}
	*slow = *slow || v == slowDown
	d.count(v, n)
	return d.judge(part, &ans, v)
}

// await counts one request more that will be acknowledged, and waits while there are too many of them. Without
// indexer_ack there is nothing to wait for.
func (d *delivery) await() (delivered func(error), err error) {
	o := d.out
	if o.pendingSlots == nil {
		return nil, nil
	}
	select {
	case o.pendingSlots <- struct{}{}:
	case <-d.ctx.Done():
		return nil, context.Cause(d.ctx)
	}
	d.mu.Lock()
	d.open++
	d.mu.Unlock()
	return func(err error) {
		<-o.pendingSlots
		d.finish(err)
	}, nil
}

// forget takes back an await whose request was not accepted.
func (d *delivery) forget() {
	if d.out.pendingSlots == nil {
		return
	}
	<-d.out.pendingSlots
	d.mu.Lock()
	d.open--
	d.mu.Unlock()
}

func (d *delivery) count(v verdict, n int) {
	if v == accepted || v == slowDown {
		d.out.metrics.events.Add(float64(n))
		d.out.accepted.Store(d.out.env.Now().UnixNano())
		d.out.accepts.Add(1)
		d.mu.Lock()
		d.taken += n
		d.mu.Unlock()
	}
}

// judge does with the events of part what the answer asks for.
func (d *delivery) judge(part []int, ans *answer, v verdict) error {
	switch v {
	case tooLarge:
		d.out.lowerLimit(d.batch, part)
		return d.divide(part, ans)
	case rejectedEvent:
		// Splunk Cloud answers code 6 at event 0 to a request that is too long, so the first event is believed to be at
		// fault only when it is alone.
		if n := ans.event; n != noEvent && n < len(part) && (n > 0 || ans.code != 6) {
			d.reject(part[n], ans.err())
			d.parts = append(d.parts, part[n+1:], part[:n])
			return nil
		}
		return d.divide(part, ans)
	case suspect:
		return d.divide(part, ans)
	case wrongIndex:
		return d.byIndex(part, ans)
	default:
		return nil
	}
}

// divide sends both halves of part on their own, or gives up the one event.
func (d *delivery) divide(part []int, ans *answer) error {
	if len(part) == 1 {
		if ans.verdict() == tooLarge {
			d.large++
		}
		d.reject(part[0], fmt.Errorf("%s: %w", ans.from, ans.err()))
		return nil
	}
	half := len(part) / 2
	d.parts = append(d.parts, part[half:], part[:half])
	return nil
}

// byIndex sends the events of each index on their own. The number in the answer is not believed: it names the event
// after the one at fault. What a rule routed to a refused index is given up; a refused default index is a mistake in
// the configuration and holds everything.
func (d *delivery) byIndex(part []int, ans *answer) error {
	groups := map[int][]int{}
	var order []int
	for _, i := range part {
		r := d.out.routing.route(&d.batch[i])
		if groups[r] == nil {
			order = append(order, r)
		}
		groups[r] = append(groups[r], i)
	}
	if len(order) > 1 {
		for _, r := range order {
			d.parts = append(d.parts, groups[r])
		}
		return nil
	}
	index := d.out.routing.indexes[order[0]]
	if order[0] == defaultRoute {
		return &outputs.BlockedError{Err: fmt.Errorf("%s: index %q: %w", ans.from, index, ans.err())}
	}
	for _, i := range part {
		d.reject(i, fmt.Errorf("index %q: %w", index, ans.err()))
	}
	return nil
}

func (d *delivery) reject(i int, err error) {
	d.out.metrics.rejected.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rejected = append(d.rejected, outputs.Rejection{Index: i, Err: err})
}

// finish ends one request, or the sender. The first failure ends the others: the whole batch is sent again anyway.
func (d *delivery) finish(err error) {
	d.mu.Lock()
	d.open--
	if err != nil && d.rest == nil {
		d.rest = err
	}
	last := d.open == 0
	d.mu.Unlock()
	if err != nil {
		d.cancel(err)
	}
	if last {
		d.stop()
		d.cancel(nil)
		d.done(d.result())
		d.out.wg.Done()
	}
}

func (d *delivery) result() error {
	if len(d.rejected) == 0 {
		return d.rest
	}
	if d.rest == nil && d.taken == 0 && d.large == 0 && len(d.rejected) == d.size {
		if err := d.out.allRefused(d.size, d.rejected[0].Err); err != nil {
			return err
		}
	}
	return &outputs.PartialError{Rejected: d.rejected, Rest: d.rest}
}
