package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/port"
)

// The shapes in which a person may type a secret into the place of a reference, or an address with a password into an address.
var (
	typedSecrets = []string{
		`CANARY`, `"CANARY"`, `'CANARY'`, `"CANARY`, `“CANARY”`, `CANARY"`, `["CANARY"]`, `[CANARY]`, `["CANARY"`, `{ a = "CANARY" }`, `{ a: "CANARY" }`,
		"\"\"\"\nCANARY\n\"\"\"", "\n  CANARY", `"\CANARY"`, `"CANARY" CANARY`, `"credential: CANARY"`, `"CANARY:CANARY"`, `file:CANARY`, `4711CANARY`, `4711.0CANARY`,
		`["a", "CANARY", ]`, `[["CANARY"]]`, `"CANARY" // CANARY`, "\"CANARY\"\nKEY = \"CANARY\"", "\"CAN\xffARY CANARY\"", "\"CANARY\r\"",
	}
	typedAddresses = []string{
		`"https://user:CANARY@host:1/"`, `"https://CANARY@host"`, `"tls://user:CANARY@host:1"`, `"udp://user:CANARY@[::1"`, `"https://host/?token=CANARY"`,
		`"https://user:CANARY@host:port"`, `"postgres://user:CANARY@host/db"`, `"postgres://host/db?password=CANARY"`, `"host=h password=CANARY"`, `"user:CANARY@host"`,
		`"https://user:CAN%zzCANARY@host"`, `https://user:CANARY@host`,
	}
)

// keysWithSecrets are the keys that take a secret, keysWithAddresses those into which one may be put with an address.
var (
	keysWithSecrets = map[string]string{
		"secrets":          "[endpoint.linuxguard]\npath = \"/\"\nKEY = VALUE\n",
		"X-Key":            "[endpoint.linuxguard]\npath = \"/\"\nsecrets = [\"env:SECRET\"]\n[endpoint.linuxguard.required_headers]\nKEY = VALUE\n",
		"required_headers": "[endpoint.linuxguard]\npath = \"/\"\nsecrets = [\"env:SECRET\"]\nKEY = VALUE\n",
		"password":         "[admin]\nKEY = VALUE\n[queue]\nkind = \"postgres\"\nKEY = VALUE\n",
		"token":            "[output.x]\ntype = \"splunk_hec\"\nurls = [\"https://h\"]\nKEY = VALUE\n",
		"proxy_auth":       "[output.x]\ntype = \"splunk_hec\"\nurls = [\"https://h\"]\nproxy = \"http://p:1\"\nKEY = VALUE\n",
		"secret":           "[endpoint.linuxguard]\nKEY = VALUE\n", // which is no key at all
	}
	keysWithAddresses = map[string]string{
		"addresses":     "[output.x]\ntype = \"syslog\"\nKEY = [VALUE]\n",
		"urls":          "[output.x]\ntype = \"splunk_hec\"\ntoken = \"env:SECRET\"\nKEY = [VALUE]\n",
		"proxy":         "[output.x]\ntype = \"splunk_hec\"\ntoken = \"env:SECRET\"\nurls = [\"https://h\"]\nKEY = VALUE\n",
		"url":           "[queue]\nkind = \"postgres\"\nKEY = VALUE\n",
		"directory_url": "[server.acme]\ndomains = [\"a.example.com\"]\nKEY = VALUE\n",
	}
)

// mistypedFiles is every key with every shape.
func mistypedFiles() map[string]string {
	files := map[string]string{}
	add := func(keys map[string]string, values []string) {
		for key, text := range keys {
			for i, value := range values {
				value = strings.ReplaceAll(value, "KEY", key)
				files[fmt.Sprintf("%s %d", key, i)] = strings.NewReplacer("KEY", key, "VALUE", value).Replace(text)
			}
		}
	}
	add(keysWithSecrets, typedSecrets)
	add(keysWithAddresses, typedAddresses)
	return files
}

// TestNoCommandRepeatsASecret: whatever is wrong with the place where a secret stands, no command and no start of the daemon repeats it.
func TestNoCommandRepeatsASecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.toml")
	for name, text := range mistypedFiles() {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"check", path}, {"check", "--json", path}, {"config", "show", path}, {"config", "show", "--json", path}, {"run", "--config", path},
			{"send", "--config", path}, {"render", "--config", path}, {"status", "--config", path}, {"reload", "--config", path},
			{"queue", "init", "--config", path},
		} {
			var out bytes.Buffer
			g := &globals{Stdin: strings.NewReader("{}"), Stdout: &out, Stderr: &out, Now: time.Now, Getenv: func(string) string { return "" }}
			if code := execute(t.Context(), g, args); code == exitOK {
				t.Errorf("%s: %q accepts\n%s", name, args, text)
			}
			if strings.Contains(out.String(), "CANARY") {
				t.Errorf("%s: %q repeats it:\n%s\nof\n%s", name, args, &out, text)
			}
		}
	}
}

// TestNoDaemonRepeatsASecret: a daemon with good secrets, at every level and in every format of its log, that is asked to reload files in which
// secrets stand in clear. Neither its log nor its page, metrics, status and commands show one.
func TestNoDaemonRepeatsASecret(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		for _, level := range []string{"debug", "error"} {
			t.Run(format+" "+level, func(t *testing.T) {
				t.Parallel()
				watchDaemon(t, format, level)
			})
		}
	}
}

func watchDaemon(t *testing.T, format, level string) {
	refusing := bridgetest.Options{
		Secret:   "CANARY-webhook-0123456789",
		Endpoint: "required_headers = { X-Key = [\"env:HEADER\"] }",
		Outputs: "[output.hec]\ntype = \"splunk_hec\"\nurls = [\"http://127.0.0.1:9\"]\ntoken = \"env:TOKEN\"\nproxy = \"http://127.0.0.1:9\"\nproxy_auth = \"env:PROXY\"\n" +
			"[output.archive]\ntype = \"file\"\npath = \"/dev/null/x\"\n",
		Env: []string{"HEADER=CANARY-header-0123456789", "TOKEN=CANARY-token-0123456789", "PROXY=user:CANARY-proxy"},
	}
	b := bridgetest.New(t, refusing)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(b.ConfigPath, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(b.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	admin := port.HoldTCP(t)
	good := strings.Replace(strings.Replace(string(text), `format = "json"`, `format = "`+format+`"`, 1), `level = "info"`, `level = "`+level+`"`, 1)
	head, tail, _ := strings.Cut(good, "[admin]")
	good = head + "[admin]" + strings.Replace(tail, `listen = "127.0.0.1:0"`, `listen = "`+admin+`"`, 1)
	write(good)
	b.Start()
	t.Cleanup(b.Stop)
	var seen strings.Builder
	ask := func(args ...string) {
		stdout, stderr, _ := b.Command(nil, args...)
		fmt.Fprintf(&seen, "\n$ %s\n%s%s", args[0], stdout, stderr)
	}
	ask("send", "--socket", b.Socket)
	ask("send", "--socket", b.Socket, "--forge")
	ask("send", "--socket", b.Socket, "--header", "X-Key: CANARY-header-0123456789-wrong")
	for name, mistyped := range mistypedFiles() {
		if strings.HasSuffix(name, " 0") || strings.HasSuffix(name, " 5") || strings.HasSuffix(name, " 13") {
			write(good + "\n" + mistyped)
			ask("reload", "--socket", b.Socket)
		}
	}
	write(good)
	for _, args := range [][]string{
		{"reload", "--socket", b.Socket}, {"status", "--socket", b.Socket}, {"status", "--json", "--socket", b.Socket}, {"config", "show"}, {"check", "--probe"},
		{"quarantine", "list", "--socket", b.Socket}, {"audit", "--socket", b.Socket},
	} {
		ask(args...)
	}
	for _, page := range []string{"/", "/metrics", "/readyz", "/healthz"} {
		seen.WriteString(get(t, "http://"+admin+page))
	}
	seen.WriteString(b.RawLog())
	if !strings.Contains(seen.String(), "the configuration is in force") || !strings.Contains(seen.String(), "linuxguard_bridge_") {
		t.Errorf("nothing was asked:\n%s", &seen)
	}
	for line := range strings.Lines(seen.String()) {
		if strings.Contains(line, "CANARY") {
			t.Errorf("a secret is shown: %s", line)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
