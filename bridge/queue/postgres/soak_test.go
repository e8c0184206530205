package postgres

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/postgres"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
)

// TestSoak: under a steady load what nobody needs is deleted, the tables and indexes stop growing, and the rows that every append changes are
// updated in place (HOT), so that no index grows with them. An hour in the long form.
func TestSoak(t *testing.T) {
	t.Parallel()
	r := newRig(t, ownServer(t))
	capacity := 600
	if os.Getenv(queuetest.LongVariable) != "" {
		capacity = 2000
	}
	q := r.open("a", func(o *Options) { o.Capacity, o.Takeover = capacity, 10*time.Second })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for sender := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := q.Append(ctx, r.event(sender*100_000_000+n), ""); err != nil && ctx.Err() == nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() { deliverAll(ctx, q) })
	r.soak(q, 20*time.Minute, 700) // until what is kept is full: the rest must not grow
	early := r.tables()
	r.soak(q, 40*time.Minute, 1600)
	late := r.tables()
	stop()
	wg.Wait()
	for name, then := range early {
		now := late[name]
		t.Logf("%-10s %8d rows, %8d KiB, then %8d rows, %8d KiB; %d updates, %d of them HOT", name, then.live, then.bytes/1024, now.live, now.bytes/1024, now.updates, now.hot)
		if now.bytes > 3*then.bytes+16<<20 {
			t.Errorf("%s has grown from %d to %d bytes", name, then.bytes, now.bytes)
		}
	}
	for _, name := range []string{"meta", "output"} {
		if s := late[name]; s.updates < 100 || s.hot*10 < s.updates*9 {
			t.Errorf("%s: of %d updates %d were HOT", name, s.updates, s.hot)
		}
	}
	if s := q.Status(); s.LastSeq < 1000 || late["event"].live > 20_000 || late["seen"].live > 20_000 {
		t.Errorf("after %d events: %+v", s.LastSeq, late)
	}
}

// soak waits until so many events are appended and each row has been updated often enough to judge by, or in the long form for long.
func (r *rig) soak(q *Queue, long time.Duration, events uint64) {
	if os.Getenv(queuetest.LongVariable) != "" {
		time.Sleep(long)
		return
	}
	r.eventually("enough events and updates", func() bool {
		if q.Status().LastSeq < events {
			return false
		}
		now := r.tables()
		return now["meta"].updates >= 100 && now["output"].updates >= 100
	})
}

// deliverAll reads for the output and says at once that it has delivered.
func deliverAll(ctx context.Context, q *Queue) {
	for ctx.Err() == nil {
		tenure, err := q.Claim(ctx, "siem")
		if err != nil {
			return
		}
		for at := tenure.Cursor(); ctx.Err() == nil; {
			b, err := tenure.Read(ctx, at, 500, 1<<20)
			if errors.Is(err, queue.ErrLost) {
				break
			}
			if err != nil {
				continue
			}
			tenure.Advance(queue.Progress{Through: b.Through, Outcomes: []queue.OutcomeRange{
				{First: at + 1, Last: b.Through, Outcome: queue.Delivered, Level: "stored", At: time.Now()}}})
			at = b.Through
		}
		tenure.Release()
	}
}

// size is what PostgreSQL says of a table.
type size struct{ live, bytes, updates, hot int64 }

func (r *rig) tables() map[string]size {
	r.t.Helper()
	conn, err := pgx.ConnectConfig(r.ctx(), connectAs(r.t, r.server, postgres.Superuser))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the end
	rows, err := conn.Query(r.ctx(), `SELECT relname, n_live_tup, pg_total_relation_size(relid), n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = $1`, r.schema)
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]size{}
	var name string
	var s size
	if _, err := pgx.ForEachRow(rows, []any{&name, &s.live, &s.bytes, &s.updates, &s.hot}, func() error { all[name] = s; return nil }); err != nil {
		r.t.Fatal(err)
	}
	return all
}
