package counterparts

import (
	_ "embed"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
)

//go:embed rsyslog.conf.tmpl
var rsyslogConfig string

//go:embed syslog-ng.conf.tmpl
var syslogNGConfig string

// RsyslogOptions changes what the daemon does. The zero value takes every transport, client certificates asked for.
type RsyslogOptions struct {
	MaxMessageSize   string // rsyslog's own syntax; default "64k"
	EscapeControls   bool   // rsyslog's default, which is off here so that the record is seen as it was sent
	AnonymousClients bool   // TLS without client certificates
	Extra            string // lines put in front of the inputs
}

// Rsyslog starts a real rsyslog that writes all it receives as JSON lines. It is stopped when the test ends; a test
// that can't have it fails.
func Rsyslog(t testing.TB, o RsyslogOptions) *Daemon {
	t.Helper()
	if o.MaxMessageSize == "" {
		o.MaxMessageSize = "64k"
	}
	tree := mustFetch(t, rsyslogPackages())
	ports := map[string]int{"udp": 5140, "tcp": 5141, "tls": 5142, "relp": 5143, "relps": 5144, "newline": 5145}
	modules, _ := filepath.Glob(filepath.Join(tree.root, "usr/lib/*-linux-gnu/rsyslog"))
	if len(modules) != 1 {
		t.Fatalf("no rsyslog modules under %s", tree.root)
	}
	return startDaemon(t, "rsyslog", tree, ports, rsyslogConfig, o, func(conf, _ string) []string {
		return []string{tree.binary, "-n", "-i", "NONE", "-f", conf, "-M", modules[0]}
	})
}

// SyslogNGOptions changes what the daemon does. The zero value takes every transport, client certificates demanded.
type SyslogNGOptions struct {
	AnonymousClients bool   // TLS without client certificates
	Extra            string // lines put in front of the sources
}

// SyslogNG starts a real syslog-ng that writes all it receives as JSON lines. It is stopped when the test ends; a test
// that can't have it fails.
func SyslogNG(t testing.TB, o SyslogNGOptions) *Daemon {
	t.Helper()
	tree := mustFetch(t, syslogNGPackages())
	ports := map[string]int{"udp": 5140, "tcp": 5141, "tls": 5142, "newline": 5145}
	modules, _ := filepath.Glob(filepath.Join(tree.root, "usr/lib/syslog-ng/[0-9]*"))
	if len(modules) != 1 {
		t.Fatalf("no syslog-ng modules under %s", tree.root)
	}
	config := "@version: " + filepath.Base(modules[0]) + "\n" + syslogNGConfig
	return startDaemon(t, "syslog-ng", tree, ports, config, o, func(conf, dir string) []string {
		return []string{tree.binary, "-F", "--no-caps", "-f", conf, "--module-path=" + modules[0], "-R", filepath.Join(dir, "persist"),
			"-c", filepath.Join(dir, "ctl"), "-p", filepath.Join(dir, "pid"), "--stderr"}
	})
}

func mustFetch(t testing.TB, d debian) tree {
	t.Helper()
	tree, err := d.fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// startDaemon fills the configuration template for one private address and starts the daemon there.
func startDaemon(t testing.TB, name string, tree tree, ports map[string]int, config string, options any,
	args func(conf, dir string) []string,
) *Daemon {
	t.Helper()
	d := &Daemon{Version: tree.versions, Dir: t.TempDir(), t: t, ports: ports}
	d.out.path = filepath.Join(d.Dir, "received.ndjson")
	text, err := template.New(name).Funcs(template.FuncMap{"port": func(in string) int { return ports[in] }}).Parse(config)
	if err != nil {
		t.Fatal(err)
	}
	d.host = startSomewhere(t, func(host string) (*proc.Process, error) {
		d.TLS = testcert.NewSet(t, d.Dir, host)
		var b strings.Builder
		if err := text.Execute(&b, map[string]any{"Host": host, "Dir": d.Dir, "Out": d.out.path, "TLS": d.TLS, "Options": options}); err != nil {
			return nil, err
		}
		conf := filepath.Join(d.Dir, name+".conf")
		if err := os.WriteFile(conf, []byte(b.String()), 0o600); err != nil {
			return nil, err
		}
		d.process = &proc.Process{Name: name, Dir: d.Dir, Args: args(conf, d.Dir), Env: []string{"LD_LIBRARY_PATH=" + libraryPath(tree.root)},
			Ready: bound(wanted(host, ports)...)}
		return d.process, nil
	})
	return d
}

func wanted(host string, ports map[string]int) []string {
	var all []string
	for input, port := range ports {
		network := "tcp"
		if input == "udp" {
			network = "udp"
		}
		all = append(all, network+" "+net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return all
}
