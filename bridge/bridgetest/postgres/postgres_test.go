package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestFailover: a standby has what the primary committed when that is killed, and takes over.
func TestFailover(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	primary, err := New(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer primary.Remove()
	if err := primary.Start(ctx); err != nil {
		t.Fatal(err)
	}
	standby, err := primary.Standby(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer standby.Remove()
	if err := primary.Exec(ctx, "postgres", "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	primary.Kill()
	if err := standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, standby.SocketURL(Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the end
	var n int
	if err := conn.QueryRow(ctx, "INSERT INTO t VALUES (2) RETURNING (SELECT count(*) FROM t)").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v\n%s", n, err, standby.LastWords())
	}
}
