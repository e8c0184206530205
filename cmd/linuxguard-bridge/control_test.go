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
		b.Source.Says.NotReady, b.Source.Says.Warnings, b.Source.Says.Certificates = nil, nil, nil
		b.Source.Says.Config.LastReloadError, b.Source.Says.Config.RestartNeeded = "", nil
		b.Source.Says.Receiver.Endpoints, b.Source.Says.Outputs = b.Source.Says.Receiver.Endpoints[:1], b.Source.Says.Outputs[:1]
	}
	noHole := func(b *admintest.Bridge) {
		b.Queue.Runs["siem"][1].Last = 1233502
	}
	for name, c := range map[string]struct {
		args string
		with func(*admintest.Bridge)
	}{
		"status":                    {args: "status"},
		"status-healthy":            {args: "status", with: healthy},
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
		"reconcile":                 {args: "reconcile"},
		"reconcile-whole":           {args: "reconcile", with: noHole},
		"reconcile-old":             {args: "reconcile --output archive --first 999991 --last 1000010"},
		"reconcile-ahead":           {args: "reconcile --output archive --first 1234560 --last 1234570"},
		"reconcile-json":            {args: "reconcile --output siem --json"},
		"reconcile-unknown":         {args: "reconcile --output nope"},
		"reconcile-reversed":        {args: "reconcile --first 5 --last 3"},
		"no-argument":               {args: "trace"},
		"no-such-flag":              {args: "reconcile --wat"},
		"help-status":               {args: "status --help"},
		"help-quarantine":           {args: "quarantine --help"},
		"help-quarantine-list":      {args: "quarantine list --help"},
		"help-quarantine-show":      {args: "quarantine show --help"},
		"help-quarantine-resend":    {args: "quarantine resend --help"},
		"help-quarantine-drop":      {args: "quarantine drop --help"},
		"help-reconcile":            {args: "reconcile --help"},
		"help-trace":                {args: "trace --help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := admintest.New(slog.New(slog.DiscardHandler))
			if c.with != nil {
				c.with(b)
			}
			args := strings.Fields(c.args)
			if !strings.HasPrefix(name, "help") && name != "quarantine" {
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
	for _, args := range [][]string{{"status"}, {"quarantine", "list"}, {"reconcile"}, {"trace", "x"}, {"quarantine", "drop", "1"}} {
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
	rows := [][]cell{{words("ä"), numeral(1200), words("x\x1b")}, {words("siem"), alarming(3, red), words("")}}
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
