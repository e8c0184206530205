package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin/admintest"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var update = flag.Bool("update", false, "write the golden files anew")

// command runs one command line in this process and returns what a user would see.
func command(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	g := &globals{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Now: admintest.Now,
		Getenv: func(string) string { return "" },
	}
	code = execute(ctx, g, args)
	return out.String(), err.String(), code
}

// TestControlCommands compares the output of every command that asks the running bridge with its golden file, and
// makes sure that nothing in any of them can steer a terminal. The bridge is admintest's, whose names and payloads
// are hostile.
func TestControlCommands(t *testing.T) {
	t.Parallel()
	healthy := func(b *admintest.Bridge) {
		b.Source.Says.Warnings, b.Source.Says.Certificates, b.Queue.Lost = nil, nil, nil
		b.Source.Says.Config.LastReloadError, b.Source.Says.Config.RestartNeeded = "", nil
		b.Source.Says.Receiver.Endpoints, b.Source.Says.Outputs = b.Source.Says.Receiver.Endpoints[:1], b.Source.Says.Outputs[:1]
	}
	noLoss := func(b *admintest.Bridge) {
		b.Queue.Lost = nil
		b.Queue.Noted["siem"][2].Outcome = queue.Filtered
	}
	standby := func(b *admintest.Bridge) {
		healthy(b)
		o := &b.Source.Says.Outputs[0]
		o.State, o.Level, o.Peer, o.Dropped, o.Lost = "standby", "", "", 1, 2
		b.Queue.State.Outputs[0].Owner = "bridge-2"
	}
	shared := func(b *admintest.Bridge) {
		standby(b)
		now := admintest.Now()
		b.Queue.State.Bridges = []queue.BridgeStatus{
			{Name: "bridge-1", Host: "web-01", Version: "1.2.3", ConfigHash: "5f70bf18a086007016e948b0", SeenAt: now.Add(-time.Second), Running: true, This: true},
			{Name: "bridge-2", Host: "web-02", Version: "1.2.3", ConfigHash: "0123456789abcdef01234567", SeenAt: now.Add(-time.Second), Running: true},
			{Name: "bridge-2", Host: "web-03", Version: "1.2.3", ConfigHash: "0123456789abcdef01234567", SeenAt: now.Add(-2 * time.Second), Running: true},
			{Name: "bridge-3", Host: "web-04", Version: "1.2.2", ConfigHash: "5f70bf18a086007016e948b0", SeenAt: now.Add(-time.Hour)},
		}
	}
	troubled := func(b *admintest.Bridge) {
		healthy(b)
		b.Queue.State.Full, b.Queue.State.Problem = true, "max_bytes is used up"
		b.Queue.State.Outputs[0].QuarantineFull, b.Queue.State.Evicted = true, 17
		b.Queue.Lost = []queue.Loss{{ID: 1, At: admintest.Now().Add(-time.Hour), What: "a segment is missing"}}
	}
	for name, c := range map[string]struct {
		args string
		with func(*admintest.Bridge)
	}{
		"status":                    {args: "status"},
		"status-healthy":            {args: "status", with: healthy},
		"status-standby":            {args: "status", with: standby},
		"status-troubled":           {args: "status", with: troubled},
		"status-json":               {args: "status --json"},
		"status-interval":           {args: "status --watch --interval 1ms"},
		"quarantine":                {args: "quarantine"},
		"quarantine-list":           {args: "quarantine list"},
		"quarantine-list-limit":     {args: "quarantine list --limit 1"},
		"quarantine-list-output":    {args: "quarantine list --output splunk"},
		"quarantine-list-json":      {args: "quarantine list --json"},
		"quarantine-list-empty":     {args: "quarantine list", with: func(b *admintest.Bridge) { b.Queue.Items = nil }},
		"quarantine-show":           {args: "quarantine show 17"},
		"quarantine-show-json":      {args: "quarantine show 17 --json"},
		"quarantine-show-refused":   {args: "quarantine show 18"},
		"quarantine-show-damaged":   {args: "quarantine show 21"},
		"quarantine-show-unknown":   {args: "quarantine show 99"},
		"quarantine-show-bad":       {args: "quarantine show first"},
		"quarantine-resend":         {args: "quarantine resend 17 18"},
		"quarantine-resend-to":      {args: "quarantine resend 17 --to siem --json"},
		"quarantine-resend-nowhere": {args: "quarantine resend 17 --to nope"},
		"quarantine-resend-all":     {args: "quarantine resend --all --output splunk"},
		"quarantine-resend-none":    {args: "quarantine resend"},
		"quarantine-resend-some":    {args: "quarantine resend 99 17"},
		"quarantine-resend-full":    {args: "quarantine resend 17", with: func(b *admintest.Bridge) { b.Queue.Fail = queue.ErrFull }},
		"quarantine-drop":           {args: "quarantine drop 17"},
		"quarantine-drop-all":       {args: "quarantine drop --all"},
		"quarantine-drop-all-yes":   {args: "quarantine drop --all --yes --json"},
		"quarantine-drop-filter":    {args: "quarantine drop 17 --output siem"},
		"trace":                     {args: "trace sig-9"},
		"trace-json":                {args: "trace d-17 --json"},
		"trace-refused":             {args: "trace forged\x1b"},
		"trace-unknown":             {args: "trace nothing\x1b[31m"},
		"audit":                     {args: "audit"},
		"audit-whole":               {args: "audit", with: noLoss},
		"audit-old":                 {args: "audit --output archive --first 999991 --last 1000010"},
		"audit-ahead":               {args: "audit --output archive --first 1234560 --last 1234570"},
		"audit-since":               {args: "audit --since 30m"},
		"audit-since-bad":           {args: "audit --since yesterday"},
		"audit-since-first":         {args: "audit --since 30m --first 7"},
		"audit-json":                {args: "audit --output siem --json"},
		"audit-unknown":             {args: "audit --output nope"},
		"audit-reversed":            {args: "audit --first 5 --last 3"},
		"losses":                    {args: "losses"},
		"losses-list":               {args: "losses list", with: troubled},
		"losses-list-json":          {args: "losses list --json"},
		"losses-list-empty":         {args: "losses list", with: noLoss},
		"losses-acknowledge":        {args: "losses acknowledge 3"},
		"losses-acknowledge-all":    {args: "losses acknowledge --all --json"},
		"losses-acknowledge-some":   {args: "losses acknowledge 99 3"},
		"losses-acknowledge-none":   {args: "losses acknowledge"},
		"losses-acknowledge-bad":    {args: "losses acknowledge first"},
		"queue":                     {args: "queue"},
		"queue-replay":              {args: "queue replay --output splunk --since 24h"},
		"queue-replay-json":         {args: "queue replay --output splunk --since 24h --json"},
		"queue-replay-bad":          {args: "queue replay --output splunk --since -1h"},
		"queue-replay-nothing":      {args: "queue replay --output splunk"},
		"queue-forget-output":       {args: "queue forget old-siem"},
		"queue-forget-bridge":       {args: "queue forget --bridge bridge-2"},
		"queue-forget-json":         {args: "queue forget old-siem --json"},
		"queue-forget-unknown":      {args: "queue forget nope"},
		"queue-forget-both":         {args: "queue forget siem --bridge bridge-2"},
		"queue-forget-nothing":      {args: "queue forget"},
		"help-queue-forget":         {args: "queue forget --help"},
		"help-queue-init":           {args: "queue init --help"},
		"status-shared":             {args: "status", with: shared},
		"queue-replay-unknown":      {args: "queue replay --output nope --since 24h"},
		"quarantine-list-receipt":   {args: "quarantine list --on-receipt"},
		"quarantine-list-both":      {args: "quarantine list --on-receipt --output splunk"},
		"no-argument":               {args: "trace"},
		"no-such-flag":              {args: "audit --wat"},
		"help-status":               {args: "status --help"},
		"help-quarantine":           {args: "quarantine --help"},
		"help-quarantine-list":      {args: "quarantine list --help"},
		"help-quarantine-show":      {args: "quarantine show --help"},
		"help-quarantine-resend":    {args: "quarantine resend --help"},
		"help-quarantine-drop":      {args: "quarantine drop --help"},
		"help-audit":                {args: "audit --help"},
		"help-losses":               {args: "losses --help"},
		"help-losses-list":          {args: "losses list --help"},
		"help-losses-acknowledge":   {args: "losses acknowledge --help"},
		"help-queue":                {args: "queue --help"},
		"help-queue-replay":         {args: "queue replay --help"},
		"help-trace":                {args: "trace --help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := admintest.New(slog.New(slog.DiscardHandler))
			if c.with != nil {
				c.with(b)
			}
			args := strings.Fields(c.args)
			if command := args[0]; !strings.HasPrefix(name, "help") && (len(args) > 1 || command == "status" || command == "audit") {
				args = append(args, "--socket", b.Control(t))
			}
			stdout, stderr, code := command(t.Context(), args...)
			got := fmt.Sprintf("$ linuxguard-bridge %q\n%s", c.args, stdout)
			if stderr != "" {
				got += "--- standard error\n" + stderr
			}
			got += fmt.Sprintf("--- exit code %d\n", code)
			checkTame(t, got)
			checkGolden(t, filepath.Join("testdata", "control", name+".golden"), got)
		})
	}
}

// checkTame fails on anything that a terminal would obey.
func checkTame(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U at %d reaches the terminal: %q", r, i, text[max(0, i-20):min(len(text), i+20)])
		}
	}
}

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update accepts it):\n%s", path, got)
	}
}

func TestNoBridgeAnswers(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"status"}, {"quarantine", "list"}, {"audit"}, {"losses", "list"}, {"trace", "x"}, {"quarantine", "drop", "1"}} {
		_, stderr, code := command(t.Context(), append(args, "--socket", filepath.Join(t.TempDir(), "s"))...)
		if code != exitFailed || !strings.Contains(stderr, "is it running?") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: code %d, %q", args, code, stderr)
		}
	}
}

func TestTheSocketComesFromTheConfiguration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.toml")
	socket := admintest.New(slog.New(slog.DiscardHandler)).Control(t)
	if err := os.WriteFile(file, fmt.Appendf(nil, "[admin]\nsocket = %q\n", socket), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := command(t.Context(), "quarantine", "list", "--config", file); code != exitOK {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// TestCheckAsksTheRunningBridge: check says for how long the file's capacity lasts, if somebody can tell.
func TestCheckAsksTheRunningBridge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := admintest.New(slog.New(slog.DiscardHandler)) // remembers 99,321 deliveries in 72 hours
	file := filepath.Join(dir, "config.toml")
	for capacity, want := range map[int]string{
		10_000_000: "10,000,000 deliveries are remembered for 302d1h\n",
		50_000:     "50,000 deliveries are remembered for 1d12h, less than dedupe.window (3d): raise it\n",
	} {
		text := fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:0\"]\nplaintext = true\n[endpoint.e]\npath = \"/\"\nsecrets = [\"credential:s\"]\n"+
			"[queue]\ndirectory = %q\n[dedupe]\ncapacity = %d\n[admin]\nsocket = %q\n[output.a]\ntype = \"file\"\npath = %q\n",
			dir, capacity, b.Control(t), filepath.Join(dir, "a"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if stdout, stderr, code := command(t.Context(), "check", "--config", file); code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("code %d, %s%s, want %s", code, stdout, stderr, want)
		}
	}
}

func TestWatchEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	socket := admintest.New(slog.New(slog.DiscardHandler)).Control(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := &globals{Stderr: new(bytes.Buffer), Now: time.Now, Getenv: func(string) string { return "" }}
	looks := 0
	g.Stdout = writerFunc(func(p []byte) (int, error) {
		if looks += bytes.Count(p, []byte("pid 4242")); looks == 3 {
			cancel()
		}
		return len(p), nil
	})
	if code := execute(ctx, g, []string{"status", "--watch", "--interval", "100ms", "--socket", socket}); code != exitOK || looks != 3 {
		t.Errorf("code %d after %d looks", code, looks)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTableAlignsWithAndWithoutColour(t *testing.T) {
	t.Parallel()
	rows := [][]cell{{textCell("ä"), numberCell(1200), textCell("x\x1b")}, {textCell("siem"), alarming(3, red), textCell("")}}
	for colour, want := range map[bool]string{
		false: "NAME      N  LAST\nä     1,200  x\\x1b\nsiem      3\n",
		true:  "\x1b[1mNAME\x1b[0m      \x1b[1mN\x1b[0m  \x1b[1mLAST\x1b[0m\nä     1,200  x\\x1b\nsiem      \x1b[31m3\x1b[0m\n",
	} {
		var out bytes.Buffer
		p := &printer{w: &out, colour: colour}
		p.table([]string{"NAME", "N", "LAST"}, rows)
		if got := out.String(); got != want {
			t.Errorf("colour %v:\n%q\n%q", colour, got, want)
		}
	}
}

func TestPrintJSONEscapesWhatATerminalObeys(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printJSON(&out, map[string]string{"a": "\x1b\x7f\u009b\u202e\U000e0041 é 日"}); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": \"\\u001b\\u007f\\u009b\\u202e\\udb40\\udc41 é 日\"\n}\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
