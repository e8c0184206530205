package counterparts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
)

// Program is an unpacked program that a test runs with a configuration of its own.
type Program struct {
	Path    string // of the binary
	Root    string // of the unpacked packages
	Version string // of the packages
	Env     []string
}

func nginxPackages() debian {
	return debian{"nginx", []string{"nginx"}, "usr/sbin/nginx"}
}

func haproxyPackages() debian {
	return debian{"haproxy", []string{"haproxy", "liblua5.3-0|", "liblua5.4-0|", "libopentracing-c-wrapper0|", "libopentracing1|"},
		"usr/sbin/haproxy"}
}

func caddyPackages() debian {
	return debian{"caddy", []string{"caddy"}, "usr/bin/caddy"}
}

func prometheusPackages() debian {
	return debian{"prometheus", []string{"prometheus"}, "usr/bin/promtool"}
}

func fail2banPackages() debian {
	return debian{"fail2ban", []string{"fail2ban"}, "usr/bin/fail2ban-regex"}
}

func postgresPackages() debian {
	return debian{"postgresql", []string{"postgresql-15|postgresql-17|postgresql-16", "postgresql-client-15|postgresql-client-17|postgresql-client-16",
		"libpq5"}, "usr/lib/postgresql/*/bin/postgres"}
}

func pgbouncerPackages() debian {
	return debian{"pgbouncer", []string{"pgbouncer", "libcares2|libc-ares2", "libevent-2.1-7t64|libevent-2.1-7"}, "usr/sbin/pgbouncer"}
}

// programs are all that make counterparts fetches.
func programs() []debian {
	return []debian{rsyslogPackages(), syslogNGPackages(), nginxPackages(), haproxyPackages(), caddyPackages(), prometheusPackages(),
		fail2banPackages(), postgresPackages(), pgbouncerPackages()}
}

// Nginx is Debian's nginx; a test that can't have it fails.
func Nginx(t testing.TB) Program { t.Helper(); return program(t, nginxPackages()) }

// HAProxy is Debian's haproxy; a test that can't have it fails.
func HAProxy(t testing.TB) Program { t.Helper(); return program(t, haproxyPackages()) }

// Caddy is Debian's caddy; a test that can't have it fails.
func Caddy(t testing.TB) Program { t.Helper(); return program(t, caddyPackages()) }

// Promtool is Debian's promtool, of the package prometheus; a test that can't have it fails.
func Promtool(t testing.TB) Program { t.Helper(); return program(t, prometheusPackages()) }

// PostgreSQL is Debian's postgres; initdb, pg_basebackup and pg_ctl lie beside it.
func PostgreSQL(ctx context.Context) (Program, error) {
	tree, err := postgresPackages().fetch(ctx)
	return tree.program(), err
}

// PgBouncer is Debian's pgbouncer.
func PgBouncer(ctx context.Context) (Program, error) {
	tree, err := pgbouncerPackages().fetch(ctx)
	return tree.program(), err
}

// Fail2banRegex is Debian's fail2ban-regex, which needs the system's Python 3; a test that can't have it fails.
func Fail2banRegex(t testing.TB) Program {
	t.Helper()
	p := program(t, fail2banPackages())
	p.Env = append(p.Env, "PYTHONPATH="+filepath.Join(p.Root, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1")
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Fatalf("fail2ban needs Debian's python3: %v", err)
	}
	return p
}

// RsyslogProgram is rsyslogd for a configuration of the test's own, with the arguments that every run needs.
func RsyslogProgram(t testing.TB) (p Program, args []string) {
	t.Helper()
	p = program(t, rsyslogPackages())
	return p, []string{"-n", "-i", "NONE", "-M", modules(t, p.Root, "usr/lib/*-linux-gnu/rsyslog")}
}

// SyslogNGProgram is syslog-ng likewise; version is what belongs into the configuration's first line. The arguments name
// files in dir.
func SyslogNGProgram(t testing.TB, dir string) (p Program, args []string, version string) {
	t.Helper()
	p = program(t, syslogNGPackages())
	found := modules(t, p.Root, "usr/lib/syslog-ng/[0-9]*")
	return p, []string{"-F", "--no-caps", "--stderr", "--module-path=" + found, "-R", filepath.Join(dir, "persist"),
		"-c", filepath.Join(dir, "ctl"), "-p", filepath.Join(dir, "pid")}, filepath.Base(found)
}

func modules(t testing.TB, root, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("no modules like %s under %s", pattern, root)
	}
	return found[0]
}

func program(t testing.TB, d debian) Program {
	t.Helper()
	return mustFetch(t, d).program()
}

func (tree tree) program() Program {
	return Program{Path: tree.binary, Root: tree.root, Version: tree.versions, Env: []string{"LD_LIBRARY_PATH=" + libraryPath(tree.root)}}
}

// Command is one run of the program.
func (p Program) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Env = append(os.Environ(), p.Env...)
	return cmd
}

// Serve starts the program in dir with what prepare returns for a private loopback address, and waits until it listens
// at all of listens ("tcp 127.1.2.3:443"). It is stopped when the test ends.
func (p Program) Serve(t testing.TB, dir string, prepare func(host string) (args, listens []string, err error)) *proc.Process {
	t.Helper()
	var process *proc.Process
	startSomewhere(t, func(host string) (*proc.Process, error) {
		args, listens, err := prepare(host)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", p.Path, err)
		}
		process = &proc.Process{Name: filepath.Base(p.Path), Dir: dir, Args: append([]string{p.Path}, args...), Env: p.Env, Ready: bound(listens...)}
		return process, nil
	})
	return process
}
