package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// errNotReplicated says that a commit would be on one server only.
var errNotReplicated = errors.New(`the server has no synchronous standby (synchronous_standby_names is empty), so a commit would not outlive it; ` +
	`set synchronous_standby_names, or say in queue.replicated_by who else keeps commits`)

// database is the connections to a server, and the names of a schema's tables.
type database struct {
	pool   *pgxpool.Pool
	schema string // quoted
	plain  string // as configured
	wrap   func(context.Context) error

	warnings sync.Map // *pgconn.PgConn to the text of the last warning that its server has given
}

// errNotWaited says that a commit was answered before it was replicated.
var errNotWaited = errors.New("the server has committed without waiting for its standby")

// noteWarning keeps what a server warns of. Somebody who cancels a COMMIT that waits for a standby makes the server answer COMMIT, with a
// warning that it may be on this server only.
func (d *database) noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		d.warnings.Store(conn, n.Message)
	}
}

// warned returns an error when the server has warned since the last call.
func (d *database) warned(conn *pgconn.PgConn) error {
	text, ok := d.warnings.LoadAndDelete(conn)
	if !ok {
		return nil
	}
	return fmt.Errorf("%w: %v", errNotWaited, text)
}

func newDatabase(ctx context.Context, o *Options) (*database, error) {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.ConnConfig = o.Connect.Copy()
	config.MaxConns = o.MaxConns
	config.MaxConnIdleTime = time.Minute
	config.HealthCheckPeriod = 10 * time.Second
	if o.Pooler {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > attemptTime/2 {
		config.ConnConfig.ConnectTimeout = attemptTime / 2
	}
	d := &database{schema: pgx.Identifier{o.Schema}.Sanitize(), plain: o.Schema, wrap: o.wrap}
	config.ConnConfig.OnNotice = d.noteWarning
	config.BeforeClose = func(conn *pgx.Conn) { d.warnings.Delete(conn.PgConn()) }
	if d.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, plain(err)
	}
	return d, nil
}

// close closes the connections. One whose statement was broken off waits up to 15 s for its server, which may be gone: that one is left to
// end by itself.
func (d *database) close() {
	closed := make(chan struct{})
	go func() {
		d.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// sql puts the schema's name into a statement.
func (d *database) sql(text string) string { return strings.ReplaceAll(text, "SCHEMA.", d.schema+".") }

// table is the name of one of its tables.
func (d *database) table(name string) pgx.Identifier { return pgx.Identifier{d.plain, name} }

// settings are those of every transaction: none is answered before it is replicated, and none that falls asleep keeps a lock.
const settings = `SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '5s', true),
	set_config('idle_in_transaction_session_timeout', '2s', true)`

// transact runs one transaction, once.
func (d *database) transact(ctx context.Context, run func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if d.wrap != nil {
		if err := d.wrap(ctx); err != nil {
			return err
		}
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	_ = d.warned(conn.Conn().PgConn()) // of a statement before
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, settings); err != nil {
			return err
		}
		return run(ctx, tx)
	})
	return errors.Join(err, d.warned(conn.Conn().PgConn()))
}

// retry runs one transaction until it succeeds, fails for good or ctx ends.
func (d *database) retry(ctx context.Context, run func(context.Context, pgx.Tx) error) error {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := d.transact(ctx, run)
		if err == nil || !passing(err) {
			return plain(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", queue.ErrUnavailable, errors.Join(plain(err), ctx.Err()))
		case <-time.After(delay):
		}
	}
}

// passing reports whether a transaction that failed so may succeed later: the connection, a lock, a standby, a failover.
func passing(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return !errors.Is(err, queue.ErrFull) && !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, queue.ErrLost) && !isRefusal(err)
	}
	switch pg.Code {
	case "40001", "40P01", "25006", "25P03", "55P03":
		return true
	}
	return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57")
}

// refusal is an error of ours: another try would say the same.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// state is the SQLSTATE of an error, or "connection".
func state(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return "connection"
}

// oneLineError is an error whose lines stand on one, each once: pgx has one for every address and for every try with and without TLS.
type oneLineError struct{ error }

// Error implements error.
func (e oneLineError) Error() string {
	var lines []string
	for line := range strings.SplitSeq(e.error.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// Unwrap implements errors.Unwrap's contract.
func (e oneLineError) Unwrap() error { return e.error }

// plain is an error as users see it: pgx repeats the connection's settings in some of its own.
func plain(err error) error {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg):
		return fmt.Errorf("%s (SQLSTATE %s)", pg.Message, pg.Code)
	case errors.As(err, &connect):
		cause := err
		for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
			cause = next
		}
		return fmt.Errorf("connect to the database: %w", oneLineError{cause})
	default:
		return err
	}
}
