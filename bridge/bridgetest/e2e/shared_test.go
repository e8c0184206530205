package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	queuepostgres "github.com/linuxguard/linuxguard-bridge/bridge/queue/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// pair is two bridges on one queue, with HAProxy in front and real collectors behind them.
type pair struct {
	t       *testing.T
	primary *postgres.Server
	standby *postgres.Server
	bridges [2]*bridgetest.Bridge
	proxy   string    // host:port
	direct  [2]string // of the bridges
	tls     *testcert.Set
	hec     *counterparts.HEC
	rsyslog *counterparts.Daemon

	mu   sync.Mutex
	acks map[string]map[uint64]bool // by signal ID, the sequences under which it was acknowledged
	sent map[string]sender.Delivery // by signal ID, the last one that was acknowledged
}

const sharedTakeover = 3 * time.Second

// newPair starts everything: a primary with a synchronous standby, two bridges, HAProxy.
func newPair(t *testing.T, endpoint string) *pair {
	t.Helper()
	p := &pair{t: t, acks: map[string]map[uint64]bool{}, sent: map[string]sender.Delivery{}, hec: counterparts.HECReceiver(t, counterparts.HECOptions{}),
		rsyslog: counterparts.Rsyslog(t, counterparts.RsyslogOptions{})}
	p.startServers()
	p.tls = testcert.NewSet(t, t.TempDir())
	secret := "throw-away " + uuid.NewString()
	for i := range p.bridges {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(126), rand.IntN(256), 1+rand.IntN(254))
		p.direct[i] = host + ":8443"
		p.bridges[i] = bridgetest.Start(t, bridgetest.Options{
			Host: host, Secret: secret, TLS: p.tls, SharedQueue: true, Queue: p.queue(i), Endpoint: endpoint, Env: []string{"LINUXGUARD_TEST_TOKEN=x"}, Outputs: `
[output.splunk]
type = "splunk_hec"
urls = ["` + p.hec.URL() + `"]
token = "env:LINUXGUARD_TEST_TOKEN"
[output.siem]
type = "syslog"
addresses = ["` + p.rsyslog.URL("tcp") + `"]
`})
	}
	p.proxy = p.haproxy()
	return p
}

func (p *pair) startServers() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	var err error
	if p.primary, err = postgres.New(ctx, postgres.Options{}); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.primary.Remove)
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	must(p.primary.Start(ctx))
	must(p.primary.Exec(ctx, "postgres", "CREATE ROLE bridge LOGIN", "CREATE DATABASE linuxguard_bridge"))
	connect, err := pgx.ParseConfig(p.primary.SocketURL(postgres.Superuser, "linuxguard_bridge"))
	must(err)
	must(queuepostgres.Init(ctx, connect, "linuxguard_bridge", "bridge", uuid.NewString()))
	p.standby, err = p.primary.Standby(ctx)
	must(err)
	p.t.Cleanup(p.standby.Remove)
}

// queue is [queue] of one bridge: either server may be the primary.
func (p *pair) queue(i int) string {
	return fmt.Sprintf(`kind = "postgres"
url = "postgres://bridge@/linuxguard_bridge?host=%s,%s&port=5432,5432&target_session_attrs=read-write&connect_timeout=3"
bridge_name = "bridge-%c"
takeover = "%s"`, p.primary.Dir, p.standby.Dir, 'a'+i, sharedTakeover)
}

// haproxy passes on to the bridges that say that they are ready.
func (p *pair) haproxy() string {
	p.t.Helper()
	dir := p.t.TempDir()
	address := ""
	counterparts.HAProxy(p.t).Serve(p.t, dir, func(host string) (args, listens []string, err error) {
		var servers strings.Builder
		for i, address := range p.direct {
			at := strings.TrimSuffix(address, ":8443")
			fmt.Fprintf(&servers, "  server bridge-%c %s check addr %s port 9464 inter 200 fall 1 rise 1\n", 'a'+i, address, at)
		}
		path := filepath.Join(dir, "haproxy.cfg")
		address = host + ":443"
		config := `defaults
  mode tcp
  timeout connect 2s
  timeout client 15s
  timeout server 15s
  option redispatch
  retries 3
frontend webhooks
  bind ` + address + `
  default_backend bridges
backend bridges
  balance roundrobin
  option httpchk GET /readyz
  http-check send hdr Host localhost
` + servers.String()
		return []string{"-f", path, "-db"}, []string{"tcp " + address}, os.WriteFile(path, []byte(config), 0o600)
	})
	return address
}

// acknowledged notes that a signal was answered 200 under a sequence (0: not told).
func (p *pair) acknowledged(id string, d sender.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[id] = d
	if p.acks[id] == nil {
		p.acks[id] = map[uint64]bool{}
	}
}

func (p *pair) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acks)
}

// targets are where webhooks can be posted to.
func (p *pair) targets() []string {
	return []string{p.proxy, p.direct[0], p.direct[1]}
}

// post sends one delivery to an address and reports whether it was answered 200.
func (p *pair) post(ctx context.Context, address string, d sender.Delivery) bool {
	client, err := sender.NewClient("https://"+address+bridgetest.EndpointPath, nil,
		sender.ClientOptions{Roots: p.tls.Authority.Pool(), ServerName: "localhost", Timeout: 4 * time.Second})
	if err != nil {
		return false
	}
	defer client.Close()
	answer, err := client.Post(ctx, d)
	return err == nil && answer.OK()
}

// load sends signals from some senders until stop, each until it is acknowledged: first anywhere, then elsewhere, with the same body or
// stamped anew, and every tenth to both bridges at once.
func (p *pair) load(senders int) (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				e := sender.Sample(3, time.Now(), nil)
				d := p.bridges[0].Signer().Deliver(e.JSON())
				if n%10 == 9 {
					p.both(ctx, d, e.Data.SignalID)
				}
				for try := rand.IntN(3); ctx.Err() == nil; try++ {
					if p.post(ctx, p.targets()[try%3], d) {
						p.acknowledged(e.Data.SignalID, d)
						break
					}
					if rand.IntN(2) == 0 { // stamped anew under the same IDs
						e.Timestamp = time.Now().UTC().Format(time.RFC3339Nano)
						again := p.bridges[0].Signer().Deliver(e.JSON())
						again.ID = d.ID
						d = again
					}
					time.Sleep(20 * time.Millisecond) // a sender's pause
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func (p *pair) both(ctx context.Context, d sender.Delivery, id string) {
	var wg sync.WaitGroup
	for _, address := range p.targets()[1:] {
		wg.Go(func() {
			if p.post(ctx, address, d) {
				p.acknowledged(id, d)
			}
		})
	}
	wg.Wait()
}

// more waits until so many more signals are acknowledged.
func (p *pair) more(n int, when string) {
	p.t.Helper()
	goal := p.count() + n
	bridgetest.Eventually(p.t, 2*arrive, fmt.Sprintf("%d more acknowledgements %s", n, when), func() bool { return p.count() >= goal })
}

// verify waits for empty queues and holds the collectors against what was acknowledged.
func (p *pair) verify() {
	p.t.Helper()
	bridgetest.Eventually(p.t, 2*arrive, "empty queues", func() bool {
		s, err := p.bridges[0].TryStatus(p.t.Context())
		if err != nil || !s.Queue.Healthy {
			return false
		}
		for _, o := range s.Outputs {
			if o.Queued.Events > 0 || o.InFlight > 0 {
				return false
			}
		}
		return true
	})
	status := p.bridges[0].Status()
	for name, arrived := range map[string]sequences{"HEC": p.fromHEC(), "rsyslog": p.fromSyslog()} {
		missing, twice, repeats := 0, 0, 0
		for id := range p.acks {
			if len(arrived.byID[id]) == 0 {
				missing++
			}
		}
		for id, seqs := range arrived.byID {
			if len(seqs) > 1 {
				twice++
				p.t.Logf("%s: signal %s came under %v", name, id, seqs)
			}
			for _, n := range seqs {
				repeats += n - 1
			}
		}
		gaps := 0
		for seq := uint64(1); seq <= status.Queue.LastSeq; seq++ {
			if !arrived.seqs[seq] {
				gaps++
			}
		}
		if missing > 0 || twice > 0 || gaps > 0 {
			p.t.Errorf("%s: of %d acknowledged %d are missing, %d came under two sequences, %d of %d sequences are missing", name, len(p.acks),
				missing, twice, gaps, status.Queue.LastSeq)
		}
		p.t.Logf("%s: %d signals acknowledged, %d sequences, %d repeats", name, len(p.acks), status.Queue.LastSeq, repeats)
	}
	if status.Queue.Losses > 0 {
		p.t.Errorf("losses are told: %+v", status.Queue)
	}
}

// resendAll posts everything that was acknowledged once more, after all bridges and the database were killed and started again.
func (p *pair) resendAll(database *postgres.Server) {
	p.t.Helper()
	for _, b := range p.bridges {
		b.Kill()
	}
	database.Kill()
	if err := database.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for _, b := range p.bridges {
		b.Start()
	}
	last := p.bridges[0].Status().Queue.LastSeq
	wrong, n := 0, 0
	for id, d := range p.sent {
		n++
		client, err := sender.NewClient("https://"+p.direct[n%2]+bridgetest.EndpointPath, nil,
			sender.ClientOptions{Roots: p.tls.Authority.Pool(), ServerName: "localhost", Timeout: arrive})
		if err != nil {
			p.t.Fatal(err)
		}
		answer, err := client.Post(p.t.Context(), d)
		client.Close()
		if err != nil || answer.Outcome != "duplicate" {
			if wrong++; wrong < 4 {
				p.t.Errorf("signal %s sent again: %+v, %v", id, answer, err)
			}
		}
	}
	if now := p.bridges[1].Status().Queue.LastSeq; now != last || wrong > 0 {
		p.t.Errorf("%d of %d signals sent again were no duplicates; the newest sequence was %d and is %d", wrong, len(p.sent), last, now)
	}
}

// sequences is what a collector got.
type sequences struct {
	byID map[string]map[uint64]int
	seqs map[uint64]bool
}

func (s *sequences) add(id string, seq uint64) {
	if s.byID[id] == nil {
		s.byID[id] = map[uint64]int{}
	}
	s.byID[id][seq]++
	s.seqs[seq] = true
}

func (p *pair) fromHEC() sequences {
	s := sequences{map[string]map[uint64]int{}, map[uint64]bool{}}
	p.hec.Each(func(e counterparts.HECEvent) {
		id, _ := e.Event["signal_id"].(string)
		var seq uint64
		_, _ = fmt.Sscan(fmt.Sprint(e.Event["bridge_seq"]), &seq)
		s.add(id, seq)
	})
	return s
}

func (p *pair) fromSyslog() sequences {
	s := sequences{map[string]map[uint64]int{}, map[uint64]bool{}}
	p.rsyslog.Each(func(r counterparts.Record) {
		id, _ := r.Param("signal_id")
		text, _ := r.Param("bridge_seq")
		var seq uint64
		_, _ = fmt.Sscan(text, &seq)
		s.add(id, seq)
	})
	return s
}

// TestPairKills kills a bridge, the primary, and a bridge and its standby again under load. Nothing acknowledged is lost, nothing has two
// sequences, none is left out. All of it sent again after everything was killed is known.
func TestPairKills(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	stop := p.load(6)
	defer stop()
	p.more(100, "at first")
	rounds := bridgetest.Count(2, 40)
	for range rounds {
		for _, b := range p.bridges {
			b.Kill()
			p.more(30, "with one bridge")
			b.Start()
			p.more(30, "with both bridges")
		}
	}
	p.primary.Kill()
	if err := p.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The bridges demand a synchronous standby, so nothing is acknowledged until somebody says that one server has to do.
	refused := p.count()
	time.Sleep(2 * time.Second)
	if more := p.count() - refused; more > 12 {
		t.Errorf("%d signals were acknowledged by a server without a standby", more)
	}
	p.rejoin()
	p.more(100, "after the failover")
	stop()
	p.verify()
	p.resendAll(p.standby)
	survived.Note(t, survived.Row{What: "one of two bridges on a shared queue is killed under load, in turn, and at last the primary", Times: 2*rounds + 1, Acknowledged: p.count(),
		Remark: "all of it sent again afterwards was known as a duplicate"})
}

// rejoin makes the old primary's folder anew as a standby of the new one.
func (p *pair) rejoin() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	again, err := p.standby.Standby(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(again.Remove)
}

// TestSleepingOwner stops the bridge that owns an output with SIGSTOP. The other one takes over; the sleeper sends no more than the one
// batch that was under way.
func TestSleepingOwner(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	stop := p.load(6)
	defer stop()
	p.more(50, "at first")
	owner := p.owner("siem")
	other := p.bridges[1]
	if owner == other {
		other = p.bridges[0]
	}
	owner.Signal(syscall.SIGSTOP)
	asleep := time.Now()
	bridgetest.Eventually(t, arrive, "the other bridge to own the output", func() bool {
		s, err := other.TryStatus(t.Context())
		if err != nil {
			return false
		}
		for _, o := range s.Outputs {
			if o.Name == "siem" {
				return o.Queued.Owner == name(p, other)
			}
		}
		return false
	})
	t.Logf("taken over after %v", time.Since(asleep))
	p.more(20, "while the owner sleeps")
	owner.Signal(syscall.SIGCONT)
	p.more(50, "after it woke")
	stop()
	p.verify()
	survived.Note(t, survived.Row{What: "the bridge that owns an output is stopped (SIGSTOP) and wakes when the other one has it", Times: 1, Acknowledged: p.count()})
}

func name(p *pair, b *bridgetest.Bridge) string {
	if b == p.bridges[0] {
		return "bridge-a"
	}
	return "bridge-b"
}

func (p *pair) owner(output string) *bridgetest.Bridge {
	p.t.Helper()
	var found *bridgetest.Bridge
	bridgetest.Eventually(p.t, arrive, "an owner of "+output, func() bool {
		for _, o := range p.bridges[0].Status().Outputs {
			if owner := o.Queued.Owner; o.Name == output && owner != "" {
				found = p.bridges[owner[len(owner)-1]-'a']
			}
		}
		return found != nil
	})
	return found
}

// TestAbsenceOnce: no bridge raises the absence alarm while another one is heard from, and one absence is one event, also when the bridge
// that raised it dies.
func TestAbsenceOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t, "expect_every = \"4s\"\nexpect_event = true")
	alarms := func() int { // a kill can repeat a record, under its sequence
		found := map[string]string{}
		p.hec.Each(func(e counterparts.HECEvent) {
			if e.Event["signal_type"] == "bridge_endpoint_overdue" {
				found[fmt.Sprint(e.Event["bridge_seq"])] = fmt.Sprint(e.Event["signal_id"])
			}
		})
		if len(found) > 1 {
			t.Log(found)
		}
		return len(found)
	}
	client := p.bridges[1].Client(sender.ClientOptions{})
	for until := time.Now().Add(9 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) { // traffic at one bridge only
		p.bridges[1].MustPost(client, body(func(*sender.Envelope) {}), "accepted")
	}
	if n := alarms(); n != 0 {
		t.Errorf("%d alarms although one bridge was heard from", n)
	}
	bridgetest.Eventually(t, arrive, "the alarm", func() bool { return alarms() > 0 })
	p.bridges[0].Kill() // whichever raised it, the other one looks next
	bridgetest.Eventually(t, arrive, "the other bridge to own the outputs", func() bool {
		s := p.bridges[1].Status()
		return len(s.Outputs) == 2 && s.Outputs[0].Queued.Owner == "bridge-b" && s.Outputs[1].Queued.Owner == "bridge-b"
	})
	p.bridges[0].Start()
	p.bridges[1].Kill()
	bridgetest.Eventually(t, arrive, "the first bridge to own the outputs", func() bool {
		s := p.bridges[0].Status()
		return len(s.Outputs) == 2 && s.Outputs[0].Queued.Owner == "bridge-a" && s.Outputs[1].Queued.Owner == "bridge-a"
	})
	p.bridges[1].Start()
	// Whichever bridge looks now has begun after the last signal: it finds the absence again when expect_every is over, and it is the same one.
	bridgetest.Eventually(t, arrive, "a bridge that finds the endpoint overdue", func() bool {
		return slices.ContainsFunc(p.bridges[:], func(b *bridgetest.Bridge) bool { return b.Status().Receiver.Endpoints[0].Overdue })
	})
	last := p.bridges[0].MustPost(p.bridges[0].Client(sender.ClientOptions{}), body(func(*sender.Envelope) {}), "accepted")
	bridgetest.Eventually(t, arrive, "what came behind the alarm", func() bool {
		found := false
		p.hec.Each(func(e counterparts.HECEvent) { found = found || e.Event["delivery_id"] == last.ID })
		return found
	})
	if n := alarms(); n != 1 {
		t.Errorf("%d events for one absence", n)
	}
}

// TestDatabaseAway: while the database is away webhooks wait and get 503, the bridge says so, and goes on by itself when it is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	client := p.bridges[0].Client(sender.ClientOptions{Timeout: 20 * time.Second})
	p.bridges[0].MustPost(client, body(func(*sender.Envelope) {}), "accepted")
	p.primary.Pause()
	p.standby.Pause()
	answer, err := client.Post(t.Context(), p.bridges[0].Signer().Deliver(body(func(*sender.Envelope) {})))
	if err != nil || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("without a database: %v, %v", answer, err)
	}
	bridgetest.Eventually(t, arrive, "not ready", func() bool { return !p.bridges[0].Status().Ready })
	p.bridges[1].Stop() // it ends in time, and with exit code 0
	p.standby.Continue()
	p.primary.Continue()
	bridgetest.Eventually(t, 2*arrive, "ready again", func() bool { return p.bridges[0].Status().Ready })
	p.bridges[0].MustPost(client, body(func(*sender.Envelope) {}), "accepted")
	if s := p.bridges[0].Status(); s.Queue.Losses != 0 {
		t.Errorf("%+v", s.Queue)
	}
	p.bridges[1].Start()
}

// TestStopWithoutStandby: commits that wait for a standby which is gone don't keep a bridge from ending.
func TestStopWithoutStandby(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	stop := p.load(2)
	p.more(20, "at first")
	stop()
	if err := p.standby.Stop(); err != nil {
		t.Fatal(err)
	}
	p.bridges[0].Stop()
}
