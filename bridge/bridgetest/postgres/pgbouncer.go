package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
)

// Bouncer starts PgBouncer in transaction mode in front of a server, for these roles, and returns how a role reaches a database through
// it. stop ends it.
func (s *Server) Bouncer(ctx context.Context, roles ...string) (url func(role, database string) string, stop func(), err error) {
	program, err := counterparts.PgBouncer(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(s.Dir, "pgbouncer")
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(126), rand.IntN(256), 1+rand.IntN(254))
	users := ""
	for _, role := range roles {
		users += fmt.Sprintf("%q %q\n", role, "")
	}
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = %s\nlisten_port = 6432\nunix_socket_dir =\nauth_type = trust\n"+
		"auth_file = %s\npool_mode = transaction\ndefault_pool_size = 20\n", s.Dir, Port, host, filepath.Join(dir, "users"))
	err = errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o600), s.own())
	if err != nil {
		return nil, nil, err
	}
	url = func(role, database string) string {
		return fmt.Sprintf("postgres://%s@%s:6432/%s?sslmode=disable", role, host, database)
	}
	process := &proc.Process{Name: "pgbouncer", Dir: dir, Env: program.Env, Args: s.command(program.Path, filepath.Join(dir, "pgbouncer.ini")),
		Ready: func(int) (string, error) { return answers(url(roles[0], "postgres")), nil }} //nolint:contextcheck // bounds itself
	if err := process.Start(ctx); err != nil {
		return nil, nil, err
	}
	return url, func() { _ = process.End(syscall.SIGINT) }, nil
}
