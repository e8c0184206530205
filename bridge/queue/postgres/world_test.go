package postgres

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
)

// The suite's worlds are schemas of one server, which TestMain starts.
const (
	role   = "bridge"
	dbName = "linuxguard_bridge"
)

var server *postgres.Server //nolint:gochecknoglobals // it belongs to the test binary, as TestMain does

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if server, err = newServer(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "the tests need a PostgreSQL server:", err)
		return 1
	}
	defer server.Remove()
	return m.Run()
}

// newServer starts a server with the daemon's role and database.
func newServer(ctx context.Context) (*postgres.Server, error) {
	s, err := postgres.New(ctx, postgres.Options{})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		s.Remove()
		return nil, err
	}
	if err := s.Exec(ctx, "postgres", "CREATE ROLE "+role+" LOGIN", "CREATE DATABASE "+dbName); err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// schemas numbers the worlds of this binary.
var schemas atomic.Int64 //nolint:gochecknoglobals // as server

// world is a schema of its own.
type world struct {
	t      testing.TB
	schema string

	mu    sync.Mutex
	stall *pgx.Conn
}

func newWorld(t testing.TB) queuetest.World {
	t.Helper()
	w := &world{t: t, schema: fmt.Sprint("q", schemas.Add(1))}
	if err := Init(t.Context(), connectAs(t, server, postgres.Superuser), w.schema, role, uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	return w
}

func connectAs(t testing.TB, s *postgres.Server, who string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(s.SocketURL(who, dbName))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// takeover is long: a loaded machine must not lose a tenure in the middle of a test. Kill frees what the dead one had.
const takeover = 20 * time.Second

// Open implements queuetest.World.
func (w *world) Open(ctx context.Context, o queuetest.Options) (queue.Queue, error) {
	q, err := Open(ctx, Options{
		Connect: connectAs(w.t, server, role), Schema: w.schema, ReplicatedBy: ByNothing, Takeover: takeover, MaxConns: 4,
		Bridge: o.Bridge, Limits: o.Limits, Capacity: o.Capacity, Window: o.Window, ProgressInterval: o.ProgressInterval, Log: o.Log, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	return q, nil
}

// Kill implements queuetest.World: the connections end in the middle of whatever they do, and nothing is released. That the dead one's
// outputs are free only after takeover has a test of its own; here it would be most of the suite's time.
func (w *world) Kill(opened queue.Queue) {
	w.StallWrites(false)
	q := opened.(*Queue)
	die(q)
	for _, table := range []string{"output", "role"} {
		if err := server.Exec(context.Background(), dbName, "UPDATE "+w.schema+"."+table+" SET owner = NULL WHERE owner = '"+q.instance+"'"); err != nil {
			w.t.Errorf("kill: %v", err)
		}
	}
}

// die ends q as SIGKILL would.
func die(q *Queue) {
	q.cancel()
	q.stop()
}

// StallWrites implements queuetest.Staller: somebody else has the lock that every append needs.
func (w *world) StallWrites(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on == (w.stall != nil) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuetest.Patience())
	defer cancel()
	if !on {
		_ = w.stall.Close(ctx)
		w.stall = nil
		return
	}
	conn, err := pgx.ConnectConfig(ctx, connectAs(w.t, server, postgres.Superuser))
	if err == nil {
		_, err = conn.Exec(ctx, "BEGIN")
	}
	if err == nil {
		_, err = conn.Exec(ctx, "SELECT FROM "+w.schema+".meta FOR UPDATE")
	}
	if err != nil {
		w.t.Errorf("stall: %v", err)
	}
	w.stall = conn
}

func engine() queuetest.Engine {
	return queuetest.Engine{Name: "postgres", Shared: true, New: newWorld, ShortChecks: 20}
}

func TestSuite(t *testing.T) { t.Parallel(); queuetest.Run(t, engine()) }

func TestModel(t *testing.T) { queuetest.RunModel(t, engine()) }
