package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// patience is how long what must happen may take on a loaded machine.
const patience = 30 * time.Second

// rig is a server of its own whose replication a test may break, with a schema in it.
type rig struct {
	t      *testing.T
	server *postgres.Server
	schema string
	log    lockedBuilder
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, s *postgres.Server) *rig {
	t.Helper()
	r := &rig{t: t, server: s, schema: fmt.Sprint("q", schemas.Add(1))}
	if err := Init(t.Context(), connectAs(t, s, postgres.Superuser), r.schema, role, uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	return r
}

// ownServer is a server that no other test uses.
func ownServer(t *testing.T) *postgres.Server {
	t.Helper()
	s, err := newServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return s
}

func (r *rig) open(bridge string, change func(*Options)) *Queue {
	r.t.Helper()
	o := Options{
		Connect: connectAs(r.t, r.server, role), Schema: r.schema, ReplicatedBy: ByNothing, Takeover: 2 * time.Second, Bridge: bridge,
		Limits: queue.Limits{MaxBytes: 16 << 20, QuarantineMaxBytes: 16 << 20}, Capacity: 1000, Window: time.Hour,
		ProgressInterval: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	q, err := Open(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { die(q) })
	if _, err := q.Declare(r.ctx(), []queue.OutputSpec{{Name: "siem"}}); err != nil {
		r.t.Fatal(err)
	}
	return q
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) moment(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	r.t.Cleanup(cancel)
	return ctx
}

// exec runs statements as the superuser, with SCHEMA. for the schema.
func (r *rig) exec(statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		if err := r.server.Exec(r.ctx(), dbName, strings.ReplaceAll(s, "SCHEMA.", r.schema+".")); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) event(n int) *queue.Event {
	body := fmt.Sprintf(`{"event_type":"signal_created","timestamp":%q,"data":{"signal_id":"s%d"}}`, time.Now().UTC().Format(time.RFC3339), n)
	e := &queue.Event{ReceivedAt: time.Now(), Endpoint: "linuxguard", DeliveryID: fmt.Sprint("d", n), Body: []byte(body)}
	e.Decode()
	return e
}

func (r *rig) accept(q *Queue, n int) *queue.Event {
	r.t.Helper()
	e := r.event(n)
	got, err := q.Append(r.ctx(), e, "")
	if err != nil || got.Verdict != queue.Accepted {
		r.t.Fatalf("append %d: %+v, %v", n, got, err)
	}
	return e
}

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in %v: %s\n%s", patience, what, r.log.String())
		}
	}
}

// breakReplication has the server wait for a standby that doesn't exist. The server heeds a new setting only after a while.
func (r *rig) breakReplication() {
	r.t.Helper()
	if err := r.server.Set(r.ctx(), "synchronous_standby_names = 'nobody'"); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("a commit waits for the standby", func() bool {
		config := connectAs(r.t, r.server, postgres.Superuser)
		config.RuntimeParams["application_name"] = "probe"
		conn, err := pgx.ConnectConfig(r.ctx(), config)
		if err != nil {
			r.t.Fatal(err)
		}
		defer conn.Close(context.Background()) //nolint:errcheck // the end
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = conn.Exec(r.ctx(), "SELECT pg_logical_emit_message(true, 'probe', '')")
		}()
		waits := false
		r.eventually("the end of a probe", func() bool {
			select {
			case <-ended:
				return true
			default:
			}
			n := r.cancelWaits("application_name = 'probe'")
			waits = waits || n > 0
			return false
		})
		return waits
	})
}

// cancelWaits cancels the commits that wait for a standby.
func (r *rig) cancelWaits(which string) (n int) {
	conn, err := pgx.ConnectConfig(r.ctx(), connectAs(r.t, r.server, postgres.Superuser))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the end
	_ = conn.QueryRow(r.ctx(), `SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND `+which+`) c`).Scan(&n)
	return n
}

// commitLocally cancels what waits for the standby, as an impatient client would: PostgreSQL commits it on this server alone.
func (r *rig) commitLocally() {
	r.t.Helper()
	r.eventually("a commit that waits for the standby", func() bool { return r.cancelWaits("true") > 0 })
}

// TestKnownIsNotDurable: what a look-up finds may be on one server only. Neither is it a duplicate then, nor is it read.
func TestKnownIsNotDurable(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownServer(t))
	q := r.open("a", func(o *Options) { o.Takeover = time.Minute }) // the tenure outlives what follows
	r.accept(q, 1)
	tenure, err := q.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	r.breakReplication()
	e := r.event(2)
	answered := make(chan error, 1)
	go func() {
		_, err := q.Append(r.moment(3*time.Second), e, "")
		answered <- err
	}()
	r.commitLocally()
	if err := <-answered; !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("append without the standby: %v", err)
	}
	var there bool
	r.eventually("the row that is on one server only", func() bool {
		conn, err := pgx.ConnectConfig(r.ctx(), connectAs(t, r.server, postgres.Superuser))
		if err != nil {
			return false
		}
		defer conn.Close(context.Background()) //nolint:errcheck // the end
		_ = conn.QueryRow(r.ctx(), "SELECT count(*) = 2 FROM "+r.schema+".event").Scan(&there)
		return there
	})
	if got, err := q.Append(r.moment(time.Second), e, ""); err == nil {
		t.Errorf("a delivery that one server knows is answered %+v", got)
	}
	if b, err := tenure.Read(r.moment(time.Second), 1, 10, 1<<20); err == nil {
		t.Errorf("read %d events that one server has", len(b.Events))
	}
}

// TestLookUpBehindTheLock: two bridges that wait for the lock with the same body accept it once. A look-up with a snapshot from before
// the lock would miss what the first one has just committed.
func TestLookUpBehindTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t).(*world)
	r := &rig{t: t, server: server, schema: w.schema}
	bridges := []*Queue{r.open("a", nil), r.open("b", nil)}
	for n := range 5 {
		w.StallWrites(true)
		e := r.event(n)
		verdicts := make(chan queue.Verdict, 2)
		for _, q := range bridges {
			go func() {
				got, err := q.Append(r.ctx(), e, "")
				if err != nil {
					t.Errorf("append: %v", err)
				}
				verdicts <- got.Verdict
			}()
		}
		r.eventually("both to wait for the lock", func() bool { return r.waiting() >= 2 })
		w.StallWrites(false)
		if a, b := <-verdicts, <-verdicts; a == b {
			t.Errorf("both bridges answered %v", a)
		}
	}
}

// waiting counts the sessions of the schema that wait for a lock.
func (r *rig) waiting() (n int) {
	conn, err := pgx.ConnectConfig(r.ctx(), connectAs(r.t, r.server, postgres.Superuser))
	if err != nil {
		return 0
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the end
	_ = conn.QueryRow(r.ctx(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`, r.schema).Scan(&n)
	return n
}

// TestSleeperWithTheLock: a bridge that falls asleep in a transaction holds up the others for two seconds at the most.
func TestSleeperWithTheLock(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	q := r.open("a", nil)
	sleeper, err := pgx.ConnectConfig(r.ctx(), connectAs(t, server, role))
	if err != nil {
		t.Fatal(err)
	}
	defer sleeper.Close(context.Background()) //nolint:errcheck // the server ends it
	for _, statement := range []string{"BEGIN", settings, strings.ReplaceAll(selectMeta, "SCHEMA.", r.schema+".")} {
		if _, err := sleeper.Exec(r.ctx(), statement); err != nil {
			t.Fatal(err)
		}
	}
	r.accept(q, 1)
}

// TestPromotedAlone: a server that names no synchronous standby takes commits that its death would lose, so nothing is acknowledged.
func TestPromotedAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownServer(t))
	if err := r.server.Set(r.ctx(), "synchronous_standby_names = 'nobody'", "synchronous_commit = local"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(r.moment(time.Second), Options{Connect: connectAs(t, r.server, role), Schema: r.schema, ReplicatedBy: ByStandby,
		Takeover: 2 * time.Second, Limits: queue.Limits{MaxBytes: 1 << 20}}); err == nil {
		t.Error("a queue opens although no commit is replicated")
	}
	if err := r.server.Set(r.ctx(), "synchronous_standby_names = ''"); err != nil {
		t.Fatal(err)
	}
	q := r.open("a", func(o *Options) { o.ReplicatedBy = ByStandby }) // what is there can be delivered
	if _, err := q.Append(r.moment(500*time.Millisecond), r.event(1), ""); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if s := q.Status(); s.Healthy || !strings.Contains(s.Problem, "synchronous_standby_names") || q.Generation() != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := q.Claim(r.ctx(), "siem"); err != nil {
		t.Errorf("claim: %v", err)
	}
	if !strings.Contains(r.log.String(), "queue_not_replicated") {
		t.Errorf("the log says:\n%s", r.log.String())
	}
}

// TestCommitThatRollsBack: the COMMIT of a transaction that has failed is no error to the server, and is one to us.
func TestCommitThatRollsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	conn, err := pgx.ConnectConfig(r.ctx(), connectAs(t, server, role))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the end
	if _, err := conn.Exec(r.ctx(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(r.ctx(), "SELECT 1/0"); err == nil {
		t.Fatal("a division by zero worked")
	}
	if err := sendCommit(r.ctx(), conn, &pgx.Batch{}); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("commit: %v", err)
	}
}

// TestTakeover: what a dead bridge owned is another one's after takeover, and not before.
func TestTakeover(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	dead, other := r.open("a", nil), r.open("b", nil)
	if _, err := dead.Claim(r.ctx(), "siem"); err != nil {
		t.Fatal(err)
	}
	die(dead)
	began := time.Now()
	tenure, err := other.Claim(r.ctx(), "siem")
	if took := time.Since(began); err != nil || !tenure.Valid() || took < 1500*time.Millisecond {
		t.Errorf("taken over after %v: %v", took, err)
	}
}

// TestSleeperIsFenced: an owner that slept beyond takeover knows it by its own clock before it sends anything, and the database
// refuses whatever it still writes.
func TestSleeperIsFenced(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	sleepy, other := r.open("a", nil), r.open("b", nil)
	r.accept(sleepy, 1)
	r.accept(sleepy, 2)
	tenure, err := sleepy.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range sleepy.owned() { // as if it had slept: no sign of life, and its deadline has passed
		l.deadline.Store(0)
	}
	if tenure.Valid() {
		t.Error("valid after its deadline")
	}
	tenure.Advance(queue.Progress{Through: 2})
	taken, err := other.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("the sleeper to have lost it", func() bool {
		select {
		case <-tenure.Lost():
			return true
		default:
			return false
		}
	})
	if _, err := tenure.Read(r.ctx(), 0, 1, 1<<20); !errors.Is(err, queue.ErrLost) {
		t.Errorf("read: %v", err)
	}
	if !taken.Valid() {
		t.Error("the new owner has lost it")
	}
}

// TestDatabaseBackInTime: a database that has lost what was acknowledged gets a new identity, what the bridge still has is appended
// again, and what was skipped is told as lost.
func TestDatabaseBackInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	q := r.open("a", nil)
	var events []*queue.Event
	for n := range 10 {
		events = append(events, r.accept(q, n))
	}
	tenure, err := q.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	before, generation := q.Status().BridgeID, q.Generation()
	r.exec("DELETE FROM SCHEMA.event WHERE seq > 6", "DELETE FROM SCHEMA.seen WHERE seq > 6",
		"UPDATE SCHEMA.meta SET last_seq = 6, total = (SELECT max(total) FROM SCHEMA.event)")
	r.eventually("a new identity", func() bool { return q.Status().BridgeID != before })
	r.eventually("the lost ones again", func() bool { return q.Status().LastSeq == 14 })
	if tenure.Valid() || q.Generation() == generation {
		t.Error("the tenure and the generation outlive the change")
	}
	losses, err := q.Losses(r.ctx())
	if err != nil || len(losses) != 1 || losses[0].First != 7 || losses[0].Last != 10 {
		t.Errorf("losses %+v, %v", losses, err)
	}
	for n, e := range events {
		got, err := q.Append(r.ctx(), e, "")
		want := uint64(n + 1)
		if n >= 6 {
			want += 4
		}
		if err != nil || got.Verdict != queue.Duplicate || got.Seq != want {
			t.Errorf("event %d: %+v, %v, want a duplicate of %d", n, got, err, want)
		}
	}
	again, err := q.Claim(r.ctx(), "siem")
	if err != nil || again.BridgeID == before {
		t.Fatalf("%+v, %v", again, err)
	}
	b, err := again.Read(r.ctx(), 0, 100, 1<<20)
	if err != nil || len(b.Events) != 10 || len(b.Gaps) != 1 || b.Gaps[0] != (queue.Gap{First: 7, Last: 10, Outcome: queue.Lost}) {
		t.Errorf("read %d events, gaps %+v, %v", len(b.Events), b.Gaps, err)
	}
}

// TestBoundOfWaiting: while the database is away no more than so many bytes wait.
func TestBoundOfWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t).(*world)
	r := &rig{t: t, server: server, schema: w.schema}
	q := r.open("a", nil)
	w.StallWrites(true)
	defer w.StallWrites(false)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	body := make([]byte, 4<<20)
	refused := make(chan error, 40)
	for n := range 40 {
		wg.Go(func() {
			_, err := q.Append(ctx, &queue.Event{ReceivedAt: time.Now(), Endpoint: "e", DeliveryID: fmt.Sprint(n), Body: body}, "")
			if ctx.Err() == nil {
				refused <- err
			}
		})
	}
	if err := <-refused; !errors.Is(err, queue.ErrUnavailable) || !strings.Contains(err.Error(), "wait for the database") {
		t.Errorf("refused with %v", err)
	}
}

// TestNoPasswordInErrors: whatever goes wrong with a connection, its password is in no error.
func TestNoPasswordInErrors(t *testing.T) {
	t.Parallel()
	const password = "canary-4711"
	for _, host := range []string{server.Host, "127.255.255.1", "no-such-host.invalid"} {
		config, err := pgx.ParseConfig("postgres://stranger@" + host + ":" + postgres.Port + "/" + dbName + "?connect_timeout=2&sslmode=prefer")
		if err != nil {
			t.Fatal(err)
		}
		config.Password = password
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err = Open(ctx, Options{Connect: config, Schema: "q", Takeover: time.Second, ReplicatedBy: ByNothing})
		cancel()
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", host, err)
		}
		t.Log(err)
	}
}

// TestThroughPgBouncer: the queue works through a pooler in transaction mode, where a session's server changes with each transaction.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownServer(t))
	url, stop, err := r.server.Bouncer(r.ctx(), role)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	connect, err := pgx.ParseConfig(url(role, dbName))
	if err != nil {
		t.Fatal(err)
	}
	through := func(o *Options) { o.Connect, o.Pooler = connect, true }
	bridges := []*Queue{r.open("a", through), r.open("b", through)}
	var wg sync.WaitGroup
	for sender := range 6 {
		wg.Go(func() {
			for n := range 50 {
				if _, err := bridges[sender%2].Append(r.ctx(), r.event(n), ""); err != nil { // the same ones from everybody
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if last := bridges[0].Status().LastSeq; last != 50 {
		t.Errorf("%d events for 50 signals", last)
	}
	tenure, err := bridges[1].Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	b, err := tenure.Read(r.ctx(), 0, 100, 1<<20)
	if err != nil || len(b.Events) != 50 {
		t.Fatalf("read %d events, %v", len(b.Events), err)
	}
	if err := tenure.Quarantine(r.ctx(), []queue.DeadLetter{{Reason: "no", Event: *b.Events[0]}}); err != nil {
		t.Error(err)
	}
	tenure.Advance(queue.Progress{Through: 50, Outcomes: []queue.OutcomeRange{{First: 1, Last: 50, Outcome: queue.Delivered, Level: "stored", At: time.Now()}}})
	tenure.Release()
	again, err := bridges[0].Claim(r.ctx(), "siem")
	if err != nil || again.Cursor() != 50 {
		t.Errorf("cursor %d, %v", again.Cursor(), err)
	}
	items, err := bridges[0].ListDeadLetters(r.ctx(), 0, 10, false)
	if err != nil || len(items) != 1 {
		t.Fatalf("%+v, %v", items, err)
	}
	if seq, err := bridges[0].Resend(r.ctx(), items[0].ID, nil); err != nil || seq != 51 {
		t.Errorf("re-sent as %d, %v", seq, err)
	}
}

// TestInspect: what keeps a database from carrying the queue is said in a line, with what to do.
func TestInspect(t *testing.T) {
	t.Parallel()
	s := ownServer(t)
	r := newRig(t, s)
	inspect := func(who, schema string, by Replication) ([]string, error) {
		return Inspect(r.ctx(), connectAs(t, s, who), schema, by)
	}
	if err := s.Exec(r.ctx(), dbName, "CREATE ROLE stranger LOGIN", "CREATE SCHEMA bare", "GRANT USAGE ON SCHEMA bare TO "+role); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		who, schema string
		by          Replication
		want, warn  string // of the error and of the warnings
	}{
		"good":            {who: role, schema: r.schema, by: ByStorage},
		"one server":      {who: role, schema: r.schema, by: ByNothing, warn: "on one server only"},
		"no standby":      {who: role, schema: r.schema, by: ByStandby, want: "synchronous_standby_names is empty"},
		"no schema":       {who: role, schema: "nowhere", by: ByStorage, want: "linuxguard-bridge queue init"},
		"another schema":  {who: role, schema: "bare", by: ByStorage, want: "has no queue in it"},
		"without a right": {who: "stranger", schema: r.schema, by: ByStorage, want: "may not read the schema"},
	} {
		warnings, err := inspect(c.who, c.schema, c.by)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || !strings.Contains(strings.Join(warnings, "\n"), c.warn) {
			t.Errorf("%s: %q, %v", name, warnings, err)
		}
	}
	for _, c := range []struct{ change, want string }{
		{"UPDATE SCHEMA.meta SET state = 'moving'", "being filled"},
		{"UPDATE SCHEMA.meta SET schema_version = 99", "version 99"},
	} {
		r.exec(c.change)
		if _, err := inspect(role, r.schema, ByStorage); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.change, err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure("fsync = off"); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(role, r.schema, ByStorage); err == nil || !strings.Contains(err.Error(), "fsync") {
		t.Errorf("fsync = off: %v", err)
	}
}

// TestLateAnswer: what was read of an output before it was replayed, or got an owner, and is heard of afterwards, changes nothing: the tenure
// would skip what is to be sent again.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, server)
	q := r.open("a", func(o *Options) { o.Limits.Keep = time.Hour })
	began := time.Now().Add(-time.Minute)
	for n := range 10 {
		r.accept(q, n)
	}
	tenure, err := q.Claim(r.ctx(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	tenure.Advance(queue.Progress{Through: 10})
	r.eventually("the progress is in the database", func() bool { return q.Status().Outputs[0].Cursor == 10 })
	q.flushAll(r.ctx())
	var late facts
	if err := q.db.transact(r.ctx(), func(ctx context.Context, tx pgx.Tx) (err error) { late, err = q.readFacts(ctx, tx); return err }); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Replay(r.ctx(), "siem", began); err != nil {
		t.Fatal(err)
	}
	if tenure, err = q.Claim(r.ctx(), "siem"); err != nil {
		t.Fatal(err)
	}
	late.outputs["siem"].Owner = ""
	c := &commit{q: q, outputs: late.outputs, refused: -1}
	c.lastSeq = 10
	q.mu.Lock()
	q.learn(c)
	q.mu.Unlock()
	if at := tenure.Cursor(); at != 0 {
		t.Errorf("the tenure is at %d", at)
	}
	if s := q.Status().Outputs[0]; s.Cursor != 0 || s.Queued != 10 || s.Owner != "a" {
		t.Errorf("status %+v", s)
	}
}
