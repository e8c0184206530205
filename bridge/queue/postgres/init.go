package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

//go:embed schema.sql
var schemaSQL string

const schemaVersion = 1

// InitSQL is what Init runs: the schema, and the rights that the daemon's role needs in it and no others. bridgeID is the
// identity of the new queue.
func InitSQL(schema, role, bridgeID string) string {
	name, to := pgx.Identifier{schema}.Sanitize(), pgx.Identifier{role}.Sanitize()
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE SCHEMA %s;\n", name)
	b.WriteString(strings.ReplaceAll(schemaSQL, "SCHEMA.", name+"."))
	fmt.Fprintf(&b, `
INSERT INTO %[1]s.meta (schema_version, state, bridge_id, last_seq, total, pruned_seq, pruned_total, last_item, forgotten, evicted)
  VALUES (%[3]d, 'ready', '%[4]s', 0, 0, 0, 0, 0, 0, 0);
GRANT USAGE ON SCHEMA %[1]s TO %[2]s;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s;
REVOKE INSERT, DELETE ON %[1]s.meta FROM %[2]s;
`, name, to, schemaVersion, strings.ReplaceAll(bridgeID, "'", "''"))
	return b.String()
}

// Init makes the schema of a new queue, as a role that may create it, and gives the daemon's role its rights.
func Init(ctx context.Context, connect *pgx.ConnConfig, schema, role, bridgeID string) error {
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return plain(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // what counts is committed
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, InitSQL(schema, role, bridgeID), pgx.QueryExecModeSimpleProtocol)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P06" {
		return fmt.Errorf("the schema %s is there already", schema)
	}
	return plain(err)
}

// Inspect finds out whether a server and its schema can carry a queue. warnings are what is unwise but works.
func Inspect(ctx context.Context, connect *pgx.ConnConfig, schema string, by Replication) (warnings []string, err error) {
	conn, err := pgx.ConnectConfig(ctx, connect)
	if err != nil {
		return nil, plain(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	return inspect(ctx, conn, pgx.Identifier{schema}.Sanitize(), schema, by)
}

// querier is a connection, a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func inspect(ctx context.Context, db querier, quoted, schema string, by Replication) (warnings []string, err error) {
	var version int
	var fsync, fullPages, standbys, recovery string
	err = db.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_standby_names'), pg_is_in_recovery()::text`).Scan(&version, &fsync, &fullPages, &standbys, &recovery)
	if err != nil {
		return nil, plain(err)
	}
	switch {
	case version < 140000:
		return nil, fmt.Errorf("the server is PostgreSQL %d; the queue needs 14 or later", version/10000)
	case fsync != "on":
		return nil, errors.New("the server has fsync = off, so what it commits can be lost; set fsync = on in postgresql.conf and restart it")
	case recovery == "true":
		return nil, errors.New("the server is a standby; name the primary too and add target_session_attrs=read-write to queue.url")
	case by == ByStandby && standbys == "":
		return nil, errNotReplicated
	}
	if fullPages != "on" {
		warnings = append(warnings, "the server has full_page_writes = off: a power cut can damage its tables, unless its file system writes whole pages")
	}
	if by == ByNothing {
		warnings = append(warnings, `replicated_by = "nothing": what is acknowledged is on one server only, and lost with its disk`)
	}
	return warnings, inspectSchema(ctx, db, quoted, schema)
}

func inspectSchema(ctx context.Context, db querier, quoted, schema string) error {
	var exists bool
	if err := db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
		return plain(err)
	}
	if !exists {
		return fmt.Errorf("the database has no schema %s; make it with: linuxguard-bridge queue init", schema)
	}
	var have int
	var state string
	err := db.QueryRow(ctx, "SELECT schema_version, state FROM "+quoted+".meta").Scan(&have, &state)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == "42501":
		return fmt.Errorf("the role may not read the schema %s; give it the rights that linuxguard-bridge queue init --print-sql shows", schema)
	case errors.As(err, &pg) && pg.Code == "42P01":
		return fmt.Errorf("the schema %s has no queue in it; drop it and run: linuxguard-bridge queue init", schema)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("the schema %s is not whole; drop it and run: linuxguard-bridge queue init", schema)
	case err != nil:
		return plain(err)
	case have != schemaVersion:
		return fmt.Errorf("the schema %s has version %d; this release knows version %d", schema, have, schemaVersion)
	case state != stateReady:
		return &stateError{schema}
	}
	return nil
}

// The states of a schema.
const (
	stateReady  = "ready"
	stateMoving = "moving"
)

// stateError says that a schema is not whole yet.
type stateError struct{ schema string }

// Error implements error.
func (e *stateError) Error() string {
	return fmt.Sprintf("the schema %s is being filled by linuxguard-bridge queue move; wait for its end, or run it again when it was broken off", e.schema)
}

// unavailable is err, as the engine says it.
func unavailable(err error) error {
	if err == nil || errors.Is(err, queue.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", queue.ErrUnavailable, plain(err))
}
