package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// oracle remembers every signal that was answered 200.
type oracle struct {
	mu           sync.Mutex
	acknowledged map[string]string // signal ID to the outcome
	unanswered   int
}

func (o *oracle) add(id, outcome string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acknowledged[id] = outcome
}

func (o *oracle) lost() { o.mu.Lock(); o.unanswered++; o.mu.Unlock() }

func (o *oracle) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.acknowledged)
}

// pace keeps the load at what a busy fleet sends, so that an hour of it still fits on the disk.
const pace = 10 * time.Millisecond

// load posts fresh signals from some senders until ctx ends. Each does what LinuxGuard is assumed to do: without an
// answer it tries the same delivery again, until there is one.
func load(ctx context.Context, t *testing.T, b *bridgetest.Bridge, o *oracle, senders int) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			var client *sender.Client
			for ctx.Err() == nil {
				e := sender.Sample(1+rand.IntN(5), time.Now(), nil)
				d := b.Signer().Deliver(e.JSON())
				for ctx.Err() == nil && !deliver(ctx, b, o, &client, d, e.Data.SignalID) {
					time.Sleep(2 * time.Millisecond) // a pause before trying again, not a wait for something
				}
				time.Sleep(pace)
			}
		})
	}
	return &wg
}

// deliver posts d once and reports whether it was answered 200. After a failure it asks anew where the daemon listens.
func deliver(ctx context.Context, b *bridgetest.Bridge, o *oracle, client **sender.Client, d sender.Delivery, id string) bool {
	if *client == nil {
		address, err := b.TryAddress(ctx)
		if err != nil {
			return false
		}
		*client, err = sender.NewClient("https://"+address+bridgetest.EndpointPath, nil,
			sender.ClientOptions{Roots: b.TLS.Authority.Pool(), ServerName: "localhost", Timeout: 5 * time.Second})
		if err != nil {
			return false
		}
	}
	answer, err := (*client).Post(ctx, d)
	if err != nil {
		o.lost()
		(*client).Close()
		*client = nil
		return false
	}
	if !answer.OK() {
		return false
	}
	o.add(id, answer.Outcome)
	return true
}

// TestKill kills the daemon with SIGKILL under load, again and again, at random moments, and holds every receiver
// against the oracle: each acknowledged signal has arrived, and the numbers in the queue have no gap.
func TestKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bridgetest.Options{})
	o := &oracle{acknowledged: map[string]string{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wg := load(ctx, t, w.Bridge, o, 8)
	kills := bridgetest.Count(10, 500)
	longest := time.Duration(bridgetest.Count(1000, 2500)) * time.Millisecond
	for i := range kills {
		before, moment := o.count(), time.Now().Add(rand.N(longest))
		bridgetest.Eventually(t, arrive, fmt.Sprintf("acknowledgements after kill %d", i), func() bool {
			return o.count() > before && time.Now().After(moment)
		})
		w.Kill()
		w.Start()
	}
	goal := o.count() + 50
	bridgetest.Eventually(t, arrive, "acknowledgements after the last kill", func() bool { return o.count() >= goal })
	stop()
	wg.Wait()
	if o.unanswered == 0 {
		t.Error("no kill met a request under way, so this test shows little")
	}
	w.verify(t, o)
	survived.Note(t, survived.Row{What: "the bridge is killed under load, at random moments; five receivers are counted", Times: kills, Acknowledged: o.count(),
		Remark: fmt.Sprintf("%d requests had no answer and were sent again", o.unanswered)})
}

// verify waits until every output that promises delivery has everything and holds it against the oracle. UDP
// promises nothing.
func (w *world) verify(t *testing.T, o *oracle) {
	t.Helper()
	bridgetest.Eventually(t, arrive, "empty queues", func() bool {
		status, err := w.TryStatus(t.Context())
		if err != nil {
			return false
		}
		for _, output := range status.Outputs {
			if output.Queued.Events > 0 {
				return false
			}
		}
		return true
	})
	last := w.Status().Queue.LastSeq
	for name, arrived := range map[string]arrivals{
		"rsyslog tcp":   fromSyslog(t, w.rsyslog, "tcp"),
		"syslog-ng tcp": fromSyslog(t, w.syslogNG, "tcp"),
		"syslog-ng tls": fromSyslog(t, w.syslogNG, "tls"),
		"HEC":           fromHEC(t, w.hec),
		"archive":       fromArchive(t, w),
	} {
		missing := 0
		for id := range o.acknowledged {
			if arrived.ids[id] == 0 {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s: %d of %d acknowledged signals are missing", name, missing, len(o.acknowledged))
		}
		for seq := uint64(1); seq <= last; seq++ {
			if arrived.seqs[seq] == 0 {
				t.Errorf("%s: bridge_seq %d of %d is missing", name, seq, last)
				break
			}
		}
		t.Logf("%s: %d records of %d signals, %d twice or more", name, arrived.records, len(arrived.ids), arrived.records-len(arrived.ids))
	}
	for _, account := range w.Audit().Outputs {
		if !account.AccountedFor {
			t.Errorf("not all is accounted for: %+v", account)
		}
	}
}

// arrivals counts records by signal and by number.
type arrivals struct {
	ids     map[string]int
	seqs    map[uint64]int
	records int
}

func newArrivals() arrivals { return arrivals{ids: map[string]int{}, seqs: map[uint64]int{}} }

func (a *arrivals) add(t *testing.T, id, seq string) {
	t.Helper()
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || id == "" {
		t.Fatalf("a record without IDs: %q %q", id, seq)
	}
	a.ids[id]++
	a.seqs[n]++
	a.records++
}

func fromSyslog(t *testing.T, d *counterparts.Daemon, input string) arrivals {
	t.Helper()
	a := newArrivals()
	d.Each(func(r counterparts.Record) {
		if r.In != input {
			return
		}
		id, _ := r.Param("signal_id")
		seq, _ := r.Param("bridge_seq")
		a.add(t, id, seq)
	})
	return a
}

func fromHEC(t *testing.T, h *counterparts.HEC) arrivals {
	t.Helper()
	a := newArrivals()
	h.Each(func(e counterparts.HECEvent) {
		id, _ := e.Event["signal_id"].(string)
		a.add(t, id, fmt.Sprint(e.Event["bridge_seq"]))
	})
	return a
}

// fromArchive reads the file output's lines. A kill in the middle of a write can leave the beginning of a record behind;
// the record then stands whole on a later line.
func fromArchive(t *testing.T, w *world) arrivals {
	t.Helper()
	a := newArrivals()
	file, err := os.Open(w.archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	torn, lines := 0, bufio.NewScanner(file)
	for lines.Scan() {
		var object struct {
			ID  string      `json:"signal_id"`
			Seq json.Number `json:"bridge_seq"`
		}
		if json.Unmarshal(lines.Bytes(), &object) != nil {
			torn++
			continue
		}
		a.add(t, object.ID, object.Seq.String())
	}
	if err := lines.Err(); err != nil {
		t.Errorf("archive: %v", err)
	}
	if kills := w.Starts() - 1; torn > kills {
		t.Errorf("archive: %d lines can't be read after %d kills", torn, kills)
	}
	return a
}

// TestOutputsDownAndBack takes every receiver away under load, one after the other and all at once. The others go on
// meanwhile, and nothing is missing in the end.
func TestOutputsDownAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, bridgetest.Options{})
	o := &oracle{acknowledged: map[string]string{}}
	client := w.Client(sender.ClientOptions{})
	post := func(n int) {
		for range n {
			e := sender.Sample(3, time.Now(), nil)
			w.MustPost(client, e.JSON(), "accepted")
			o.add(e.Data.SignalID, "accepted")
		}
	}
	post(20)
	w.hec.Stop()
	post(20)
	bridgetest.Eventually(t, arrive, "the others to go on without the HEC receiver", func() bool {
		return len(named(w.rsyslog.Records(), "tcp")) >= 40 && len(w.archived(t)) >= 40
	})
	// Stopped in good order: what a killed receiver's kernel had taken and its process had not read is lost to TCP.
	w.rsyslog.Stop()
	post(20)
	bridgetest.Eventually(t, arrive, "syslog-ng to go on without rsyslog", func() bool {
		return len(named(w.syslogNG.Records(), "tcp")) >= 60 && len(named(w.syslogNG.Records(), "tls")) >= 60
	})
	w.syslogNG.Stop()
	post(20)
	w.Stop() // with three outputs down and everything queued for them
	w.Start()
	client = w.Client(sender.ClientOptions{})
	post(20)
	w.rsyslog.Start()
	w.hec.Start()
	w.syslogNG.Start()
	w.verify(t, o)
}

// TestForgedLeavesNoTrace: refused signatures reach no queue and no output.
func TestForgedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive.ndjson")
	b := bridgetest.Start(t, bridgetest.Options{Outputs: fileOutput(archive)})
	client := b.Client(sender.ClientOptions{})
	for range 5 { // below the rate limit of failed verifications
		answer, err := client.Post(t.Context(), b.Signer().Deliver(body(func(*sender.Envelope) {})).Forge())
		if err != nil || answer.Status != 401 {
			t.Fatalf("forged: %v %v", answer, err)
		}
	}
	d := b.MustPost(client, body(func(*sender.Envelope) {}), "accepted")
	bridgetest.Eventually(t, arrive, "the archive", func() bool { return len(bridgetest.JSONLines(t, archive)) >= 1 })
	all := bridgetest.JSONLines(t, archive)
	if len(all) != 1 || all[0]["delivery_id"] != d.ID || fmt.Sprint(all[0]["bridge_seq"]) != "1" {
		t.Errorf("the output has %v", all)
	}
	if s := b.Status(); s.Queue.LastSeq != 1 || s.Queue.Quarantine != 0 || s.Queue.Remembered != 1 {
		t.Errorf("the queue has %+v", s.Queue)
	}
}
