// Package postgres runs real PostgreSQL servers for tests: a primary, synchronous standbys of it, and what becomes of them. They
// listen on a Unix socket and on a loopback address of their own.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
)

// Superuser is the role that owns a server. It needs no password over the Unix socket.
const Superuser = "postgres"

// Port is what every server listens at, each on an address of its own.
const Port = "5432"

// Server is one PostgreSQL server. Its folder outlives it until Remove.
type Server struct {
	Host string // a loopback address
	Dir  string // of the Unix socket, the data and the log

	program counterparts.Program
	process *proc.Process
	config  []string
}

// Options change a server. The zero value is one that makes commits durable.
type Options struct {
	Config []string // lines of postgresql.conf behind the defaults
	HBA    []string // lines of pg_hba.conf in front of those that let everybody in with a password
}

// New makes a database cluster without starting it. Its folder is a new one below the temporary folder, short enough for the path of a
// Unix socket.
func New(ctx context.Context, o Options) (*Server, error) {
	s, err := empty(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx, "initdb", "-D", s.data(), "-U", Superuser, "--auth=trust", "--no-sync", "--encoding=UTF8", "--no-locale"); err != nil {
		s.Remove()
		return nil, err
	}
	hba := strings.Join(append(append([]string{"local all all trust"}, o.HBA...), "host all all 127.0.0.0/8 scram-sha-256",
		"host replication all 127.0.0.0/8 trust", "local replication all trust"), "\n")
	s.config = o.Config
	if err := errors.Join(os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba+"\n"), 0o600), s.own(), s.configure()); err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

func empty(ctx context.Context) (*Server, error) {
	program, err := counterparts.PostgreSQL(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lgpg")
	if err != nil {
		return nil, err
	}
	s := &Server{Host: fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(126), rand.IntN(256), 1+rand.IntN(254)), Dir: dir, program: program}
	s.process = &proc.Process{Name: "postgres", Dir: dir, Env: program.Env, Ready: s.ready,
		Args: s.command(program.Path, "-D", s.data())}
	return s, s.own()
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// nobody is who runs the server when the test is root: PostgreSQL refuses to.
const nobody = 65534

func (s *Server) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(s.Dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, nobody, nobody))
	})
}

// command is how a program of PostgreSQL is run.
func (s *Server) command(args ...string) []string {
	if os.Geteuid() != 0 {
		return args
	}
	id := fmt.Sprint(nobody)
	return append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--pdeathsig=KILL", "--"}, args...)
}

func (s *Server) run(ctx context.Context, name string, args ...string) error {
	line := s.command(append([]string{filepath.Join(filepath.Dir(s.program.Path), name)}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), s.program.Env...), s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// configure writes what every server has, and its own lines.
func (s *Server) configure() error {
	lines := append([]string{
		"listen_addresses = '" + s.Host + "'", "port = " + Port, "unix_socket_directories = '" + s.Dir + "'",
		"shared_buffers = 32MB", "max_connections = 300", "jit = off", "log_min_messages = warning", "wal_sender_timeout = 5s",
		"max_wal_size = 256MB", "hot_standby_feedback = on", "cluster_name = '" + filepath.Base(s.Dir) + "'",
	}, s.config...)
	return os.WriteFile(filepath.Join(s.data(), "postgresql.auto.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (s *Server) ready(int) (string, error) { return answers(s.SocketURL(Superuser, "postgres")), nil }

// answers returns what keeps a server from being used, or "".
func answers(url string) (missing string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err.Error()
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err.Error()
	}
	defer conn.Close(ctx) //nolint:errcheck // it has answered
	if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
		return err.Error()
	}
	return ""
}

// Start starts the server and waits until it takes connections.
func (s *Server) Start(ctx context.Context) error { return s.process.Start(ctx) }

// Stop ends the server in good order, without waiting for its clients.
func (s *Server) Stop() error { return s.process.End(syscall.SIGINT) }

// Kill ends the server with all its processes by SIGKILL.
func (s *Server) Kill() {
	pids := s.pids()
	_ = s.process.End(syscall.SIGKILL)
	for _, pid := range pids { // they would see it by themselves, in a moment
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Pause stops all of the server's processes by SIGSTOP, until Continue.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue lets a paused server go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	pids := s.pids()
	_ = s.process.Signal(sig)
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// pids are the server's processes but the first.
func (s *Server) pids() []int {
	parent := s.process.PID()
	if parent == 0 {
		return nil
	}
	var all []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		var state string
		_, rest, _ := strings.Cut(string(text), ") ")
		if _, err := fmt.Sscan(rest, &state, &ppid); err == nil && ppid == parent {
			if _, err := fmt.Sscan(string(text), &pid); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// Remove ends the server and deletes its folder.
func (s *Server) Remove() {
	if err := s.Stop(); err != nil {
		s.Kill()
	}
	_ = os.RemoveAll(s.Dir)
}

// LastWords is the end of the server's log.
func (s *Server) LastWords() string { return s.process.LastWords() }

// SocketURL is how role reaches a database over the Unix socket.
func (s *Server) SocketURL(role, database string) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s&port=%s", role, database, url.QueryEscape(s.Dir), Port)
}

// Address is host:port.
func (s *Server) Address() string { return s.Host + ":" + Port }

// Exec runs statements as the superuser in a database.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.SocketURL(Superuser, database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // what counts is done
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Configure changes the settings of a stopped server.
func (s *Server) Configure(settings ...string) error {
	s.config = append(s.config, settings...)
	return s.configure()
}

// Set changes a running server's settings, and returns when new connections have them: pg_reload_conf only asks for it.
func (s *Server) Set(ctx context.Context, settings ...string) error {
	before, err := s.configuredAt(ctx)
	if err != nil {
		return err
	}
	if err := s.Configure(settings...); err != nil {
		return err
	}
	if err := s.Exec(ctx, "postgres", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	return proc.Poll(ctx, func() (bool, error) {
		at, err := s.configuredAt(ctx)
		return at.After(before), err
	}, func() string { return "the server has not read its settings" })
}

// configuredAt is when the settings of a new connection were read.
func (s *Server) configuredAt(ctx context.Context) (at time.Time, err error) {
	conn, err := pgx.Connect(ctx, s.SocketURL(Superuser, "postgres"))
	if err != nil {
		return at, err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	err = conn.QueryRow(ctx, "SELECT pg_conf_load_time()").Scan(&at)
	return at, err
}

// Standby makes a standby of a running primary, starts it and waits until it has all that the primary has. The primary's commits wait
// for one standby from then on.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	standby, err := empty(ctx)
	if err != nil {
		return nil, err
	}
	standby.config = append(standby.config, s.config...)
	err = standby.run(ctx, "pg_basebackup", "-D", standby.data(), "-h", s.Dir, "-p", Port, "-U", Superuser, "-R", "-X", "stream", "--no-sync", "-c", "fast")
	if err != nil {
		standby.Remove()
		return nil, err
	}
	if err := standby.Follow(s); err != nil {
		standby.Remove()
		return nil, err
	}
	if err := standby.Start(ctx); err != nil {
		standby.Remove()
		return nil, err
	}
	if err := s.Set(ctx, "synchronous_standby_names = 'ANY 1 (*)'"); err != nil {
		standby.Remove()
		return nil, err
	}
	return standby, s.awaitStandby(ctx)
}

// Follow has a stopped standby follow another primary at its next start.
func (s *Server) Follow(primary *Server) error {
	s.config = append(s.config, "primary_conninfo = 'host="+primary.Dir+" port="+Port+" user="+Superuser+" application_name="+filepath.Base(s.Dir)+"'",
		"recovery_target_timeline = 'latest'")
	return errors.Join(s.configure(), s.own())
}

func (s *Server) awaitStandby(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.SocketURL(Superuser, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	return proc.Poll(ctx, func() (bool, error) {
		var n int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'").Scan(&n)
		return n > 0, err
	}, func() string { return "no standby is in step" })
}

// Promote makes a standby a primary that waits for no standby, and returns when it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	if err := s.Set(ctx, "synchronous_standby_names = ''"); err != nil {
		return err
	}
	return s.PromoteAsIs(ctx)
}

// PromoteAsIs makes a standby a primary with the settings that it has.
func (s *Server) PromoteAsIs(ctx context.Context) error {
	return s.run(ctx, "pg_ctl", "promote", "-D", s.data(), "-w")
}
