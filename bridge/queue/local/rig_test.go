package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal/disktest"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// long reports whether the long forms of the tests are asked for (make test-long).
func long() bool { return os.Getenv("LINUXGUARD_LONG") != "" }

// count is short, or long when the long forms are asked for.
func count(short, many int) int {
	if long() {
		return many
	}
	return short
}

// inParallel runs n tests, several at a time: they wait more than they compute.
func inParallel(t *testing.T, n int, run func(i int)) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 12 {
		wg.Go(func() {
			for i := range next {
				ended := make(chan struct{}) // FailNow ends a goroutine
				go func() {
					defer close(ended)
					if !t.Failed() {
						run(i)
					}
				}()
				<-ended
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

const rigFolder = "/srv/queue"

// rig is a queue on a disk in memory, with all that its user was told. Whatever fails is tried again, as webhook senders and
// workers do, and a process that has died is begun anew.
type rig struct {
	testing.TB
	name   string
	disk   *disktest.Disk
	rnd    *rand.Rand
	limits queue.Limits
	log    *bytes.Buffer
	mu     sync.Mutex // guards log and at
	at     time.Time
	window time.Duration

	q       queue.Queue
	down    bool                     // the process is dead, or was never begun
	power   func() bool              // whether the next death is a power cut
	specs   []queue.OutputSpec       // as last asked for
	tenures map[string]*queue.Tenure // by claim
	opens   int

	id        string
	n         int
	acked     map[string]uint64 // by body
	bySeq     map[uint64]string
	delivered map[string]map[uint64]string // by output
	advanced  map[string]uint64            // by output
	held      map[string]bool              // bodies in the quarantine
	refused   map[string]bool              // bodies there by an output
	dropped   map[string]bool
	damaged   bool // something was damaged on purpose: losses may be told, and the bridge ID change
}

func newRig(t testing.TB, name string, seed uint64) *rig {
	r := &rig{
		TB: t, name: name, disk: disktest.New(seed), rnd: rand.New(rand.NewPCG(seed, 7)), at: time.Date(2027, 3, 1, 6, 0, 0, 0, time.UTC),
		limits: queue.Limits{MaxBytes: 4 << 20, QuarantineMaxBytes: 4 << 20, MaxEventBytes: 16 << 10}, log: &bytes.Buffer{}, down: true,
		window: 72 * time.Hour, acked: map[string]uint64{}, bySeq: map[uint64]string{}, delivered: map[string]map[uint64]string{},
		advanced: map[string]uint64{}, held: map[string]bool{}, refused: map[string]bool{}, dropped: map[string]bool{},
		specs: []queue.OutputSpec{{Name: "a"}, {Name: "b"}},
	}
	r.power = func() bool { return r.rnd.IntN(3) > 0 }
	return r
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.at.Add(d)
}

// Write takes the log down.
func (r *rig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *rig) fail(format string, args ...any) {
	r.Helper()
	r.Fatalf("%s, failed %q, opens %d: %s\n%s\n%s", r.name, r.disk.Failed(), r.opens, fmt.Sprintf(format, args...), r.dump(), r.said())
}

func (r *rig) options() Options {
	return Options{
		Directory: rigFolder, Bridge: "one", Limits: r.limits, Capacity: 10_000, Window: r.window, ProgressInterval: 5 * time.Millisecond,
		Now: r.now, FS: r.disk.FS(), Log: slog.New(slog.NewTextHandler(r, nil)), Patience: time.Nanosecond,
	}
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// open opens the queue, once.
func (r *rig) open() error {
	ctx, cancel := contextFor(patience)
	defer cancel()
	q, err := Open(ctx, r.options())
	if err != nil {
		return err
	}
	r.q, r.down, r.tenures = q, false, map[string]*queue.Tenure{}
	r.opens++
	return nil
}

// die ends the process: by a power cut or a kill.
func (r *rig) die(power bool) {
	if power {
		r.disk.PowerCut()
	} else {
		r.disk.Kill()
	}
	r.down = true
	if q := r.q; q != nil {
		ctx, cancel := contextFor(patience)
		defer cancel()
		_ = q.Close(ctx) // its goroutines end; nothing reaches the disk
		r.q = nil
	}
}

// up makes sure that the queue is open, with its outputs.
func (r *rig) up() {
	r.Helper()
	for deadline := time.Now().Add(patience); r.down; {
		err := r.open()
		if err == nil {
			_, err = r.declare()
		}
		if err == nil {
			r.checkStart()
			return
		}
		if time.Now().After(deadline) {
			r.fail("it does not start: %v", err)
		}
		if r.disk.IsOff() || !r.down {
			r.die(r.disk.IsOff() && r.power())
		}
	}
}

func (r *rig) declare() (map[string]uint64, error) {
	ctx, cancel := contextFor(patience)
	defer cancel()
	return r.q.Declare(ctx, r.specs)
}

// checkStart compares what a start shows with what was told.
func (r *rig) checkStart() {
	r.Helper()
	st := r.q.Status()
	if r.id == "" {
		r.id = st.BridgeID
	}
	if r.damaged {
		r.id = st.BridgeID
		return
	}
	if st.BridgeID != r.id || st.Losses != 0 {
		losses, _ := r.q.Losses(context.Background())
		r.fail("the bridge ID was %s and is %s; losses %+v", r.id, st.BridgeID, losses)
	}
	for _, o := range st.Outputs {
		if o.Cursor > r.advanced[o.Name] {
			r.fail("output %s is at %d, and was advanced to %d", o.Name, o.Cursor, r.advanced[o.Name])
		}
	}
}

// close ends the queue in order, as far as the disk lets it.
func (r *rig) close() {
	r.Helper()
	r.up()
	ctx, cancel := contextFor(patience)
	defer cancel()
	err := r.q.Close(ctx)
	if r.disk.IsOff() {
		r.die(r.power())
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		r.fail("close: %v", err)
	}
	if left := r.disk.OpenFiles(); len(left) > 0 {
		r.fail("still open after Close: %v", left)
	}
	r.q, r.down = nil, true
}

// until repeats what fails, in a new process where the old one has died.
func (r *rig) until(what string, try func(ctx context.Context) error) {
	r.Helper()
	for deadline := time.Now().Add(patience); ; {
		r.up()
		ctx, cancel := contextFor(patience)
		go func() {
			select {
			case <-r.disk.Died():
				cancel()
			case <-ctx.Done():
			}
		}()
		err := try(ctx)
		cancel()
		if err == nil {
			return
		}
		if r.disk.IsOff() {
			r.die(r.power())
			continue
		}
		if time.Now().After(deadline) {
			r.fail("%s: %v", what, err)
		}
		if r.Failed() { // by another one, maybe
			r.FailNow()
		}
		time.Sleep(time.Millisecond)
	}
}

// body makes the next body, of about size bytes.
func (r *rig) body(size int) string {
	r.n++
	r.pass(time.Second)
	return fmt.Sprintf(`{"event_type":"signal_created","version":"v1","timestamp":%q,"data":{"signal_id":"s%d","more":%q}}`,
		r.now().Format(time.RFC3339Nano), r.n, strings.Repeat(string(rune('a'+r.n%26)), size))
}

func (r *rig) event(body string) *queue.Event {
	e := &queue.Event{ReceivedAt: r.now(), ReceivedBy: "one", Endpoint: "lg", DeliveryID: "d-" + body[len(body)-3:], Body: []byte(body)}
	e.DeliveryID = ""
	e.Decode()
	return e
}

// append appends a body until it is acknowledged.
func (r *rig) append(body string) uint64 {
	r.Helper()
	var receipt queue.Receipt
	r.until("append", func(ctx context.Context) (err error) {
		receipt, err = r.q.Append(ctx, r.event(body), "")
		return err
	})
	r.note(body, receipt)
	return receipt.Seq
}

func (r *rig) note(body string, receipt queue.Receipt) {
	r.Helper()
	if receipt.Verdict != queue.Accepted && receipt.Verdict != queue.Duplicate {
		r.fail("append: %+v", receipt)
	}
	if was := r.acked[body]; was != 0 && (was != receipt.Seq || receipt.Verdict != queue.Duplicate) {
		r.fail("acknowledged as %d, now %+v: %.120s", was, receipt, body)
	}
	if other := r.bySeq[receipt.Seq]; other != "" && other != body {
		r.fail("sequence %d (%v) is of %.120s and of %.120s", receipt.Seq, receipt.Verdict, other, body)
	}
	r.acked[body], r.bySeq[receipt.Seq] = receipt.Seq, body
}

// appendMany appends several at the same time.
func (r *rig) appendMany(n, size int) {
	r.Helper()
	bodies, receipts := make([]string, n), make([]queue.Receipt, n)
	for i := range bodies {
		bodies[i] = r.body(size)
	}
	r.until("append", func(ctx context.Context) error {
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i, body := range bodies {
			if receipts[i].Seq == 0 {
				wg.Go(func() { receipts[i], errs[i] = r.q.Append(ctx, r.event(body), "") })
			}
		}
		wg.Wait()
		return errors.Join(errs...)
	})
	for i, body := range bodies {
		r.note(body, receipts[i])
	}
}

// quarantine puts a body into the quarantine on receipt.
func (r *rig) quarantine(size int) {
	r.Helper()
	body := r.body(size)
	r.until("quarantine", func(ctx context.Context) error {
		receipt, err := r.q.Append(ctx, r.event(body), "stale")
		if err == nil && receipt.Verdict != queue.Quarantined {
			r.fail("%+v", receipt)
		}
		return err
	})
	r.held[body] = true
}

// claim returns a tenure that is valid, as far as can be known.
func (r *rig) claim(ctx context.Context, output string) (*queue.Tenure, error) {
	if t := r.tenures[output]; t != nil && t.Valid() {
		return t, nil
	}
	t, err := r.q.Claim(ctx, output)
	if err == nil {
		r.tenures[output] = t
	}
	return t, err
}

// deliver takes up to limit events of an output and advances it; refuse puts the first one into the quarantine.
func (r *rig) deliver(output string, limit int, refuse bool) {
	r.Helper()
	r.until("deliver", func(ctx context.Context) error {
		t, err := r.claim(ctx, output)
		if err != nil || t.Cursor() >= r.q.Status().LastSeq {
			return err
		}
		b, err := t.Read(ctx, t.Cursor(), limit, 1<<20)
		if err != nil {
			return err
		}
		r.take(output, b)
		if refuse && len(b.Events) > 0 {
			e := b.Events[0]
			if err := t.Quarantine(ctx, []queue.DeadLetter{{Reason: "refused", At: r.now(), Event: *e}}); err != nil {
				return err
			}
			r.refused[string(e.Body)] = true
			refuse = false
		}
		r.advance(t, b.Through)
		return nil
	})
}

// take notes what was read.
func (r *rig) take(output string, b queue.Batch) {
	r.Helper()
	if r.delivered[output] == nil {
		r.delivered[output] = map[uint64]string{}
	}
	for _, e := range b.Events {
		if was := r.delivered[output][e.Seq]; was != "" && was != string(e.Body) {
			r.fail("sequence %d was %.120s and is %.120s", e.Seq, was, e.Body)
		}
		r.delivered[output][e.Seq] = string(e.Body)
	}
	for _, g := range b.Gaps {
		if !r.damaged {
			r.fail("output %s: gap %+v", output, g)
		}
	}
}

func (r *rig) advance(t *queue.Tenure, through uint64) {
	r.advanced[t.Output] = max(r.advanced[t.Output], through)
	t.Advance(queue.Progress{Through: through, Outcomes: []queue.OutcomeRange{
		{First: t.Cursor() + 1, Last: through, Outcome: queue.Delivered, Level: "stored", At: r.now()}}})
}

// letters returns the quarantine.
func (r *rig) letters() []queue.DeadLetter {
	r.Helper()
	var items []queue.DeadLetter
	r.until("list", func(ctx context.Context) (err error) {
		items, err = r.q.ListDeadLetters(ctx, 0, 1000, false)
		return err
	})
	return items
}

// resend puts the oldest item back.
func (r *rig) resend() {
	r.Helper()
	items := r.letters()
	if len(items) == 0 {
		return
	}
	item := items[0]
	body := string(item.Event.Body)
	var first, again uint64
	r.until("re-send", func(ctx context.Context) (err error) {
		first, err = r.q.Resend(ctx, item.ID, nil)
		return err
	})
	r.until("re-send again", func(ctx context.Context) (err error) {
		again, err = r.q.Resend(ctx, item.ID, nil)
		return err
	})
	if first != again || (r.bySeq[first] != "" && r.bySeq[first] != body) {
		r.fail("re-sent as %d and %d", first, again)
	}
	delete(r.held, body)
	delete(r.refused, body)
	r.bySeq[first] = body
	r.acked[body] = first // the newest with this body
}

// drop deletes the newest item.
func (r *rig) drop() {
	r.Helper()
	items := r.letters()
	if len(items) == 0 {
		return
	}
	item, tried := items[len(items)-1], false
	r.until("drop", func(ctx context.Context) error {
		err := r.q.DropDeadLetter(ctx, item.ID)
		if errors.Is(err, queue.ErrNotFound) && tried {
			return nil
		}
		tried = true
		return err
	})
	delete(r.held, string(item.Event.Body))
	delete(r.refused, string(item.Event.Body))
	r.dropped[string(item.Event.Body)] = true
}

// finish delivers all that is left.
func (r *rig) finish() {
	r.Helper()
	for _, spec := range r.specs {
		r.until("finish", func(ctx context.Context) error {
			t, err := r.claim(ctx, spec.Name)
			if err != nil || t.Cursor() >= r.q.Status().LastSeq {
				return err
			}
			b, err := t.Read(ctx, t.Cursor(), 100, 1<<20)
			if err != nil {
				return err
			}
			r.take(spec.Name, b)
			r.advance(t, b.Through)
			return errors.New("more")
		})
	}
}

// verify compares what is there with all that was acknowledged.
func (r *rig) verify() {
	r.Helper()
	r.verifyEvents()
	r.verifyLetters()
}

func (r *rig) verifyEvents() {
	r.Helper()
	for _, spec := range r.specs {
		from, there := r.unread(spec.Name)
		for seq, body := range r.bySeq {
			if seq <= from {
				continue
			}
			if there[seq] != body {
				r.fail("output %s at %d: sequence %d is %.120q, was acknowledged as %.120s", spec.Name, from, seq, there[seq], body)
			}
		}
		for seq, body := range there {
			if r.bySeq[seq] != "" && r.bySeq[seq] != body {
				r.fail("sequence %d is %.120s", seq, body)
			}
		}
	}
	i := 0
	for body := range r.acked {
		if i++; i <= 30 {
			r.append(body) // note complains
		}
	}
}

// unread returns what an output has not taken yet, from its cursor on.
func (r *rig) unread(output string) (from uint64, there map[uint64]string) {
	r.Helper()
	there = map[uint64]string{}
	r.until("read", func(ctx context.Context) error {
		t, err := r.claim(ctx, output)
		if err != nil {
			return err
		}
		from = t.Cursor()
		for at, last := from, r.q.Status().LastSeq; at < last; {
			b, err := t.Range(ctx, at+1, last, 1<<20)
			if err != nil {
				return err
			}
			for _, g := range b.Gaps {
				if !r.damaged {
					r.fail("output %s: gap %+v", output, g)
				}
			}
			for _, e := range b.Events {
				there[e.Seq] = string(e.Body)
			}
			at = b.Through
		}
		return nil
	})
	return from, there
}

func (r *rig) verifyLetters() {
	r.Helper()
	var got []string
	for _, item := range r.letters() {
		body := string(item.Event.Body)
		if item.Damaged != "" || (!r.held[body] && !r.refused[body]) {
			r.fail("item %d should not be there: %s %.120s", item.ID, item.Damaged, body)
		}
		if slices.Contains(got, body) {
			r.fail("item %d is there twice", item.ID)
		}
		got = append(got, body)
	}
	if want := len(r.held) + len(r.refused); len(got) != want {
		r.fail("%d items, want %d", len(got), want)
	}
}

// story is a bit of everything, over several segments: bodies of 12 KiB, some twenty a segment.
func (r *rig) story(rounds int) {
	r.Helper()
	for i := range rounds {
		r.append(r.body(12 << 10))
		r.appendMany(3, 9<<10)
		switch i % 6 {
		case 1:
			r.quarantine(500)
		case 2:
			r.deliver("b", 9, i%4 == 0)
		case 3:
			r.resend()
		case 4:
			r.quarantine(3000)
			r.drop()
		case 5:
			r.deliver("b", 40, false)
		}
		r.deliver("a", 5, i%5 == 2)
		if i%9 == 8 {
			r.close()
		}
		if i%8 == 6 {
			r.toggle()
		}
	}
}

// toggle declares an output c, or takes it away again.
func (r *rig) toggle() {
	r.Helper()
	last := func() uint64 { return r.q.Status().LastSeq }
	if len(r.specs) == 2 {
		r.specs = append(r.specs[:2:2], queue.OutputSpec{Name: "c"})
	} else {
		r.specs = r.specs[:2]
	}
	r.until("declare", func(context.Context) error {
		if len(r.specs) == 3 {
			r.advanced["c"] = max(r.advanced["c"], last()+4)
		}
		_, err := r.declare()
		return err
	})
}

// fold ends a rig: everything that was acknowledged is there, before and after a restart.
func (r *rig) fold() {
	r.Helper()
	r.verify()
	r.close()
	r.verify()
	r.finish()
	r.verifyDelivered()
	r.close()
	for _, path := range r.disk.Files(rigFolder) {
		if strings.HasSuffix(path, temporarySuffix) {
			r.fail("a temporary file is left: %s", path)
		}
	}
}

// verifyDelivered complains about what no worker has ever got.
func (r *rig) verifyDelivered() {
	r.Helper()
	for seq, body := range r.bySeq {
		if r.delivered["a"][seq] != body {
			r.fail("output a has never got sequence %d: %.120s", seq, body)
		}
	}
}
