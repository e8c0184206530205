package bridgetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/proc"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/testcert"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// Options are lines of TOML that go into the tables of the same name. Outputs holds whole tables.
type Options struct {
	Server   string
	Endpoint string
	Queue    string
	Outputs  string

	Plaintext bool // no TLS: a proxy in front of the daemon ends it

	Host        string        // an address of its own: the daemon listens at its ports 8443 and 9464; default: 127.0.0.1 and any port
	Secret      string        // of the endpoint; default: a new one
	SharedQueue bool          // Queue says which one
	TLS         *testcert.Set // default: one of its own
	QueueDir    string        // default: a folder of the test's own
	Wrap        []string      // a command that runs the daemon as its own process (nsenter), with the daemon's arguments behind it

	Env []string // of the daemon, beside the test's own

	Binary string // default: the one that Binary builds
	NoRace bool   // never the binary with the race detector, whose memory says nothing of the product's
}

// Bridge is one daemon under test. It is stopped when the test ends; an exit code other than 0 fails the test.
type Bridge struct {
	Dir        string // of configuration, secrets, queue and log
	Binary     string
	ConfigPath string
	Socket     string // the control socket
	TLS        *testcert.Set
	Secret     string
	Notify     *Notifications

	t        testing.TB
	settings settings
	process  *proc.Process
	readied  int // READY=1 seen before the present start
}

// New writes a configuration for o and prepares a daemon without starting it.
func New(t testing.TB, o Options) *Bridge {
	t.Helper()
	b := &Bridge{Dir: t.TempDir(), Binary: o.Binary, Secret: cmp.Or(o.Secret, "throw-away "+uuid.NewString()), t: t}
	if b.Binary == "" {
		b.Binary = binaryWith(t, raceDetector && !o.NoRace)
	}
	run := shortDir(t)
	b.ConfigPath, b.Socket = filepath.Join(b.Dir, "config.toml"), filepath.Join(run, "admin.sock")
	if b.TLS = o.TLS; b.TLS == nil {
		b.TLS = testcert.NewSet(t, b.Dir)
	}
	b.Notify = NewNotifications(t, filepath.Join(run, "notify"))
	secretFile := filepath.Join(b.Dir, "webhook-secret")
	if err := os.WriteFile(secretFile, []byte(b.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.settings = settings{
		Listen: "127.0.0.1:0", Cert: b.TLS.ServerCert, Key: b.TLS.ServerKey, SecretFile: secretFile,
		QueueDir: cmp.Or(o.QueueDir, filepath.Join(b.Dir, "queue")), Socket: b.Socket, EndpointPath: EndpointPath,
	}
	b.Configure(o)
	b.process = &proc.Process{
		Name: "linuxguard-bridge", Dir: b.Dir, Args: append(o.Wrap, b.Binary, "run", "--config", b.ConfigPath),
		Env: append([]string{"NOTIFY_SOCKET=" + b.Notify.Path}, o.Env...), Ready: b.ready,
	}
	return b
}

// Start prepares a daemon for o and starts it.
func Start(t testing.TB, o Options) *Bridge {
	t.Helper()
	b := New(t, o)
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// shortDir is a temporary folder whose path leaves room for a Unix socket's name (108 bytes, unix(7)).
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lgb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Configure writes the configuration anew; a running daemon learns of it by Reload or a restart.
func (b *Bridge) Configure(o Options) {
	b.t.Helper()
	b.settings.Options = o
	if err := b.settings.write(b.ConfigPath); err != nil {
		b.t.Fatalf("write the configuration: %v", err)
	}
}

func (b *Bridge) ready(int) (string, error) {
	if b.Notify.Count("READY=1") <= b.readied {
		return "no READY=1 yet", nil
	}
	return "", nil
}

// Start starts the daemon and waits for its READY=1.
func (b *Bridge) Start() {
	b.t.Helper()
	if err := b.TryStart(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// TryStart is Start for daemons that may not come up.
func (b *Bridge) TryStart(ctx context.Context) error {
	b.readied = b.Notify.Count("READY=1")
	return b.process.Start(ctx)
}

// Stop ends the daemon by SIGTERM and waits; the test fails unless it ends by itself with exit code 0.
func (b *Bridge) Stop() {
	b.t.Helper()
	if err := b.process.End(syscall.SIGTERM); err != nil {
		b.t.Error(err)
	}
	b.checkLog()
}

// checkLog looks for what a killed daemon's exit code can't tell.
func (b *Bridge) checkLog() {
	b.t.Helper()
	text := b.RawLog()
	for _, word := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if _, rest, found := strings.Cut(text, word); found {
			b.t.Errorf("the daemon's log has a %s%.4000s", word, rest)
		}
	}
}

// Kill ends the daemon by SIGKILL.
func (b *Bridge) Kill() { _ = b.process.End(syscall.SIGKILL) }

// Signal sends sig to the daemon and doesn't wait.
func (b *Bridge) Signal(sig syscall.Signal) {
	b.t.Helper()
	if err := b.process.Signal(sig); err != nil {
		b.t.Fatal(err)
	}
}

// Reload sends SIGHUP and waits until the daemon says READY=1 again, which it does for a refused file, too.
func (b *Bridge) Reload() {
	b.t.Helper()
	before := b.Notify.Count("READY=1")
	b.Signal(syscall.SIGHUP)
	Eventually(b.t, 20*time.Second, "READY=1 after a reload", func() bool { return b.Notify.Count("READY=1") > before })
}

// Starts is how often the daemon was started and became ready.
func (b *Bridge) Starts() int {
	b.t.Helper()
	n := 0
	for _, line := range b.Log() {
		if line["event"] == "ready" {
			n++
		}
	}
	return n
}

// QueueDir is the queue's folder, as the daemon sees it.
func (b *Bridge) QueueDir() string { return b.settings.QueueDir }

// PID is the running daemon's process ID.
func (b *Bridge) PID() int { return b.process.PID() }

// Address is host:port of the listener, which changes with every start.
func (b *Bridge) Address() string {
	b.t.Helper()
	address, err := b.TryAddress(b.t.Context())
	if err != nil {
		b.t.Fatalf("ask where the daemon listens: %v", err)
	}
	return address
}

// TryAddress is Address for daemons that may be down.
func (b *Bridge) TryAddress(ctx context.Context) (string, error) {
	status, err := b.TryStatus(ctx)
	if err != nil {
		return "", err
	}
	if len(status.Receiver.Listeners) == 0 {
		return "", fmt.Errorf("the status names no listener: %+v", status.Receiver)
	}
	return status.Receiver.Listeners[0], nil
}

// URL is where webhooks are posted to.
func (b *Bridge) URL() string {
	b.t.Helper()
	scheme := "https://"
	if b.settings.Plaintext {
		scheme = "http://"
	}
	return scheme + b.Address() + EndpointPath
}

// Signer signs with the endpoint's secret.
func (b *Bridge) Signer() *sender.Signer { return &sender.Signer{Secret: b.Secret, Now: time.Now} }

// Client posts to the daemon as it runs now; o may leave the roots out.
func (b *Bridge) Client(o sender.ClientOptions) *sender.Client {
	b.t.Helper()
	o.Roots, o.ServerName = b.TLS.Authority.Pool(), "localhost"
	client, err := sender.NewClient(b.URL(), nil, o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	return client
}

// MustPost posts body, signed, and fails the test unless the answer is 200 with the wanted outcome.
func (b *Bridge) MustPost(client *sender.Client, body []byte, outcome string) sender.Delivery {
	b.t.Helper()
	d := b.Signer().Deliver(body)
	answer, err := client.Post(b.t.Context(), d)
	if err != nil {
		b.t.Fatalf("%v\nthe daemon's last words: %s", err, b.process.LastWords())
	}
	if !answer.OK() || answer.Outcome != outcome {
		b.t.Fatalf("answer %v, want 200 %s\nthe daemon's last words: %s", answer, outcome, b.process.LastWords())
	}
	return d
}

// Log is what the daemon logged, of all its starts, a decoded JSON object a line.
func (b *Bridge) Log() []map[string]any {
	b.t.Helper()
	text, err := os.ReadFile(b.process.LogFile())
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []map[string]any
	for line := range bytes.Lines(text) {
		var object map[string]any
		if json.Unmarshal(line, &object) == nil {
			lines = append(lines, object)
		}
	}
	return lines
}

// RawLog is what the daemon printed, of all its starts.
func (b *Bridge) RawLog() string {
	b.t.Helper()
	text, err := os.ReadFile(b.process.LogFile())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// Command runs another command of the binary on the daemon's configuration and returns what it printed and its exit code.
func (b *Bridge) Command(stdin []byte, args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), b.Binary, append(args, "--config", b.ConfigPath)...)
	cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), b.settings.Env...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.t.Fatalf("run %v: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Eventually polls until holds, or fails the test.
func Eventually(t testing.TB, timeout time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := proc.Poll(ctx, func() (bool, error) { return holds(), nil }, func() string { return "waited for " + what })
	if err != nil {
		t.Fatal(err)
	}
}

// Count is short, or long when LINUXGUARD_LONG is set (make test-long): how often to repeat something.
func Count(short, long int) int {
	if os.Getenv("LINUXGUARD_LONG") == "" {
		return short
	}
	return long
}

// Quote is text as a TOML basic string.
func Quote(text string) string { return strconv.Quote(text) }
