package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

// serviceWorld is a folder with a configuration, its files, and a systemctl that knows the unit.
type serviceWorld struct {
	t    *testing.T
	dir  string
	user string
	root bool
}

// newServiceWorld makes everything right. Root stands beside the service's user, "nobody"; somebody else is the service's user.
func newServiceWorld(t *testing.T) *serviceWorld {
	t.Helper()
	w := &serviceWorld{t: t, dir: t.TempDir(), root: os.Geteuid() == 0, user: "nobody"}
	if !w.root {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		w.user = me.Username
	}
	for dir := w.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) { // t.TempDir's are nobody else's
		_ = os.Chmod(dir, 0o755)
	}
	authority, err := throwaway.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(60*24*time.Hour), "hooks.example.com")
	if err != nil {
		t.Fatal(err)
	}
	w.write("tls/cert.pem", string(pair.CertPEM), 0o644)
	w.write("tls/key.pem", string(pair.KeyPEM), 0o600)
	w.write("credentials/webhook-secret", "0123456789abcdef0123456789abcdef\n", 0o400)
	w.write("state/made", "", 0o600)
	w.write("logs/made", "", 0o600)
	w.write("run/made", "", 0o600)
	w.give("tls/key.pem", "state", "logs", "run")
	w.write("config.toml", fmt.Sprintf("[server]\ntls_cert = \"%[1]s/tls/cert.pem\"\ntls_key = \"%[1]s/tls/key.pem\"\n[endpoint.linuxguard]\npath = \"/\"\n"+
		"secrets = [\"credential:webhook-secret\"]\n[queue]\ndirectory = \"%[1]s/state\"\n[admin]\nsocket = \"%[1]s/run/admin.sock\"\n"+
		"[output.archive]\ntype = \"file\"\npath = \"%[1]s/logs/signals\"\n", w.dir), 0o644)
	return w
}

func (w *serviceWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *serviceWorld) write(name, text string, mode os.FileMode) {
	w.t.Helper()
	_ = os.MkdirAll(filepath.Dir(w.path(name)), 0o755)
	if err := errors.Join(os.WriteFile(w.path(name), []byte(text), mode), os.Chmod(w.path(name), mode)); err != nil {
		w.t.Fatal(err)
	}
}

// give makes files the service's.
func (w *serviceWorld) give(names ...string) {
	w.t.Helper()
	if !w.root {
		return
	}
	for _, name := range names {
		if out, err := exec.CommandContext(w.t.Context(), "chown", "nobody", w.path(name)).CombinedOutput(); err != nil {
			w.t.Fatalf("%v: %s", err, out)
		}
	}
}

// lock makes a file one that the service can't read.
func (w *serviceWorld) lock(name string) {
	w.t.Helper()
	mode := os.FileMode(0)
	if w.root {
		mode = 0o600
	}
	if err := errors.Join(os.Chown(w.path(name), os.Geteuid(), -1), os.Chmod(w.path(name), mode)); err != nil {
		w.t.Fatal(err)
	}
}

// check runs the built program with a systemctl that says what unit says beside what every unit has.
func (w *serviceWorld) check(unit string, args ...string) (said string, code int) {
	w.t.Helper()
	shown := fmt.Sprintf("LoadState=loaded\nUser=%s\nExecStart={ path=/usr/bin/x ; argv[]=/usr/bin/x run --config %s ; }\nProtectSystem=strict\n"+
		"ReadWritePaths=%[3]s/state %[3]s/logs %[3]s/run\nMemoryHigh=536870912\n%[4]s", w.user, w.path("config.toml"), w.dir, unit)
	if !strings.Contains(unit, "LoadCredential") {
		shown += "LoadCredential=webhook-secret:" + w.path("credentials/webhook-secret") + "\n"
	}
	socket, _, _ := strings.Cut(unit, "\n")
	if !strings.HasPrefix(socket, "ActiveState=") {
		socket = "ActiveState=inactive"
	}
	var files string
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "LoadCredential=") {
			files += line
		}
	}
	w.write("bin/systemctl", "#!/bin/sh\n[ \"$1\" = show ] || { printf '%s' '# a unit\n[Service]\n"+files+"'; exit; }\ncase \"$2\" in *.socket) echo LoadState=loaded; echo "+socket+" ;; *) cat <<'END'\n"+shown+"\nEND\n;; esac\n", 0o755)
	cmd := exec.CommandContext(w.t.Context(), bridgetest.Binary(w.t), append([]string{"check", "--config", w.path("config.toml")}, args...)...)
	cmd.Env = []string{"PATH=" + w.path("bin") + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), w.dir, "DIR"), cmd.ProcessState.ExitCode()
}

// TestCheckAsService: check judges as the service's user, with the unit's credentials and sandbox, and gives the line to type for each thing that
// would keep the service from its work. What is wrong is wrong for the service alone: whoever asks can read and write all of it, when root asks.
func TestCheckAsService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong func(w *serviceWorld)
		unit  string
		code  int
		says  []string
	}{
		"all right": {func(*serviceWorld) {}, "", exitOK, []string{"valid, 0 errors", "judged as linuxguard-bridge.service will find it"}},
		"no credential file": {func(w *serviceWorld) { _ = os.Remove(w.path("credentials/webhook-secret")) }, "", exitUsage,
			[]string{"credential:webhook-secret: the service manager can't load it from DIR/credentials/webhook-secret: no such file or directory", "243/CREDENTIALS"}},
		"a credential that the unit does not load": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "credential:webhook-secret", "credential:other"), 0o644)
		}, "", exitUsage, []string{"systemctl edit linuxguard-bridge", "LoadCredential=other:/etc/linuxguard-bridge/credentials/other"}},
		"a file missing that nothing names": {func(*serviceWorld) {}, "LoadCredential=webhook-secret:DIR/credentials/webhook-secret\nLoadCredential=spare:/nonexistent\n", exitUsage,
			[]string{"linuxguard-bridge.service: error: credential spare: the service manager can't load it from /nonexistent"}},
		"configuration unreadable": {func(w *serviceWorld) {
			if w.root {
				w.lock("config.toml")
			} else {
				w.lock("tls/key.pem") // its own user can't ask for what it can't read
			}
		}, "", exitUsage, []string{"chgrp ", "chmod g+r DIR/"}},
		"key unreadable": {func(w *serviceWorld) { w.lock("tls/key.pem") }, "", exitUsage,
			[]string{`server.tls_key: "DIR/tls/key.pem" can't be read: permission denied (DIR/tls/key.pem belongs to `, "&& chmod g+r DIR/tls/key.pem"}},
		"output outside of the sandbox": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "/logs/signals", "/elsewhere/signals"), 0o644)
		}, "", exitUsage, []string{"output.archive.path: linuxguard-bridge.service lets the service write below DIR/logs, DIR/run, DIR/state only", "ReadWritePaths=DIR/elsewhere"}},
		"queue of root": {func(w *serviceWorld) {
			if w.root {
				_ = os.Chown(w.path("state"), 0, 0)
			} else {
				_ = os.Chmod(w.path("state"), 0o500)
			}
		}, "", exitUsage, []string{"queue.directory: can't write \"DIR/state\"", "chown -R "}},
		"hidden": {func(*serviceWorld) {}, "InaccessiblePaths=-DIR/tls\n", exitUsage,
			[]string{"server.tls_cert: linuxguard-bridge.service hides DIR/tls/cert.pem from the service"}},
		"memory": {func(w *serviceWorld) {
			w.write("config.toml", w.read("config.toml")+"[dedupe]\ncapacity = 9000000\n", 0o644)
		}, "", exitOK,
			[]string{"dedupe.capacity: the memory of 9000000 deliveries takes up to", "raise MemoryHigh="}},
		"a socket unit is active, but its socket is not used": {func(*serviceWorld) {}, "ActiveState=active\n", exitOK,
			[]string{"server.listen: the socket unit is active and holds its port", "systemctl disable --now linuxguard-bridge.socket"}},
		"no socket": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "[server]", "[server]\nlisten = [\"systemd\"]"), 0o644)
		}, "", exitUsage, []string{"systemctl enable --now linuxguard-bridge.socket"}},
		"environment of the unit": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "credential:webhook-secret", "env:SECRET"), 0o644)
		}, "Environment=SECRET=0123456789abcdef \"OTHER=two words\"\n", exitOK, []string{"valid, 0 errors"}},
		"environment that is not there": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "credential:webhook-secret", "env:SECRET"), 0o644)
		}, "", exitUsage, []string{"env:SECRET: the secret is empty: the variable is not set"}},
		"environment in a file": {func(w *serviceWorld) {
			w.write("config.toml", strings.ReplaceAll(w.read("config.toml"), "credential:webhook-secret", "env:SECRET"), 0o644)
		}, "EnvironmentFiles=/etc/x (ignore_errors=no)\n", exitOK, []string{"env:SECRET is out of reach and not checked"}},
		"no unit": {func(*serviceWorld) {}, "LoadState=not-found\n", exitOK, []string{"the service linuxguard-bridge is not installed here"}},
		"no user": {func(w *serviceWorld) { w.user = "no-such-user" }, "", exitOK, []string{"runs as no-such-user, a user that does not exist here"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newServiceWorld(t)
			c.wrong(w)
			unit := strings.ReplaceAll(c.unit, "DIR", w.dir)
			if strings.HasPrefix(unit, "LoadState=") {
				w.write("bin/systemctl", "#!/bin/sh\necho "+unit, 0o755)
			}
			said, code := w.check(unit)
			if name == "no unit" {
				said, code = w.checkWithoutUnit()
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if code != c.code || strings.Contains(said, "0123456789abcdef") {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}

func (w *serviceWorld) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// checkWithoutUnit is check where the unit is not installed.
func (w *serviceWorld) checkWithoutUnit() (said string, code int) {
	w.t.Helper()
	w.write("bin/systemctl", "#!/bin/sh\necho LoadState=not-found\n", 0o755)
	cmd := exec.CommandContext(w.t.Context(), bridgetest.Binary(w.t), "check", w.path("config.toml"))
	cmd.Env = []string{"PATH=" + w.path("bin") + ":" + os.Getenv("PATH")}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// TestCheckUnwritable: where no service manager runs the bridge, check warns of what run would fail at.
func TestCheckUnwritable(t *testing.T) {
	t.Parallel()
	w := newServiceWorld(t)
	program, err := os.ReadFile(bridgetest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	w.write("bin/linuxguard-bridge", string(program), 0o755) // the other one's folder may be closed to nobody
	w.write("bin/systemctl", "#!/bin/sh\necho LoadState=not-found\n", 0o755)
	check := func() string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), w.path("bin/linuxguard-bridge"), "check", w.path("config.toml"))
		cmd.Env = []string{"PATH=" + w.path("bin") + ":" + os.Getenv("PATH")}
		if w.root {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return string(out)
	}
	if said := check(); strings.Contains(said, "can't write") || !strings.Contains(said, "is not installed here") {
		t.Errorf("all can be written, and it says\n%s", said)
	}
	for _, folder := range []string{"state", "run", "logs"} {
		w.lock(folder)
	}
	said := check()
	for _, key := range []string{"queue.directory", "admin.socket", "output.archive.path"} {
		if !strings.Contains(said, "warning: "+key+": can't write") {
			t.Errorf("it warns of no %s:\n%s", key, said)
		}
	}
}

// TestUsage: whatever is wrong with a command line is one line in our own words, and exit code 2.
func TestUsage(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"chek":                       "did you mean check?",
		"quarantine lst":             "did you mean list?",
		"config shw":                 "did you mean show?",
		"help statsu":                "did you mean status?",
		"nonsense":                   "see linuxguard-bridge --help",
		"check --foo":                "has no flag --foo",
		"check -x":                   "has no flag -x",
		"check a b":                  "it is linuxguard-bridge check [FILE]",
		"trace":                      "it is linuxguard-bridge trace ID",
		"version now":                "it is linuxguard-bridge version",
		"status --interval fast":     `is no duration such as "30s"`,
		"send --count many":          "is no whole number",
		"check --config":             "--config needs a value",
		"status --json=perhaps":      "is no true or false",
		"":                           "name a command",
		"quarantine":                 "name a command",
		"losses":                     "name a command",
		"queue":                      "name a command",
		"config":                     "name a command",
		"quarantine resend first":    "",
		"send --secret env:X":        "",
		"render --output a --output": "needs a value",
	} {
		_, stderr, code := command(context.Background(), strings.Fields(args)...)
		last := stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:]
		if code != exitUsage || !strings.Contains(last, says) || strings.Contains(stderr, "unknown command") || strings.Contains(stderr, "accepts ") {
			t.Errorf("%q: exit code %d, said %q, want %q", args, code, stderr, says)
		}
	}
	for _, args := range []string{"--version", "version", "--help", "help", "help quarantine list", "completion bash"} {
		stdout, stderr, code := command(context.Background(), strings.Fields(args)...)
		if code != exitOK || stdout == "" || stderr != "" {
			t.Errorf("%q: exit code %d, said %q", args, code, stderr)
		}
	}
	if stdout, _, _ := command(context.Background(), "--help"); strings.Contains(stdout, "completion") {
		t.Error("--help shows the command that the packages use up")
	}
}

// TestConfigShow: every key has a value and a source, what is shown is a configuration again, and no secret is in it.
func TestConfigShow(t *testing.T) {
	t.Parallel()
	w := newServiceWorld(t)
	w.write("conf.d/10-siem.toml", "[output.siem]\ntype = \"syslog\"\naddresses = [\"tcp://127.0.0.1:601\"]\nmax_message_bytes = \"4KiB\"\n[output.siem.match]\nmin_severity = 3\n", 0o644)
	w.write("conf.d/20-splunk.toml", "[output.splunk]\ntype = \"splunk_hec\"\nurls = [\"https://127.0.0.1:8088\"]\ntoken = \"env:TOKEN\"\nindex_rules = [{ index = \"x\", signal_type = [\"a*\"] }]\n", 0o644)
	show := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		g := &globals{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now, Getenv: func(name string) string {
			return map[string]string{"TOKEN": "CANARY-0123456789", "CREDENTIALS_DIRECTORY": w.path("credentials"), "STATE_DIRECTORY": w.path("state")}[name]
		}}
		if code := execute(t.Context(), g, append([]string{"config", "show"}, args...)); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		if strings.Contains(stdout.String(), "CANARY") {
			t.Error("a secret is shown")
		}
		return stdout.String()
	}
	said := show(w.path("config.toml"))
	lines := strings.Join(strings.Fields(strings.ReplaceAll(said, w.dir, "DIR")), " ")
	for _, want := range []string{
		`[server] #listen = ["0.0.0.0:8443"] # default tls_cert = "DIR/tls/cert.pem" # DIR/config.toml:2`,
		`directory = "DIR/state" # DIR/config.toml:8`, `window = "72h" # default`, `secrets = ["credential:webhook-secret"] # DIR/config.toml:6`,
		`[output.siem] type = "syslog" # DIR/conf.d/10-siem.toml:2`, `max_message_bytes = "4KiB" # DIR/conf.d/10-siem.toml:4`, `[output.siem.match] min_severity = 3 # DIR/conf.d/10-siem.toml:6`,
		`token = "env:TOKEN" # DIR/conf.d/20-splunk.toml:4`, `index_rules = [{ index = "x", signal_type = ["a*"] }]`, `gzip = true # default`,
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	w.write("again/config.toml", said, 0o644)
	values := func(text string) string {
		var all []string
		for line := range strings.Lines(text) {
			value, _, _ := strings.Cut(line, " # ")
			all = append(all, strings.TrimSpace(value))
		}
		return strings.Join(all, "\n")
	}
	if again := show(w.path("again/config.toml")); values(again) != values(said) {
		t.Errorf("what is shown says something else when it is read again:\n%s\nat first\n%s", again, said)
	}
	if json := show("--json", w.path("config.toml")); !strings.Contains(json, `"source": "default"`) {
		t.Errorf("got %s", json)
	}
	if t.Failed() {
		t.Log(said)
	}
}
