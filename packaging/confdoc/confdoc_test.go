package confdoc_test

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/all"
	"github.com/linuxguard/linuxguard-bridge/packaging/confdoc"
)

var update = flag.Bool("update", false, "write the manual page anew")

const (
	configFile    = "../config.reference.toml"
	installedFile = "../config.toml"
	manPage       = "../man/linuxguard-bridge.toml.5"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T) *confdoc.Document {
	t.Helper()
	doc, err := confdoc.Parse(read(t, configFile))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// host is a machine on which the file's certificates and secrets exist.
type host struct{ dir string }

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t.TempDir()}
	for _, dir := range []string{"tls", "credentials"} {
		if err := os.Mkdir(filepath.Join(h.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	authority, err := throwaway.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(now.Add(-time.Hour), now.Add(90*24*time.Hour), "hooks.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client-ca.pem", "acme-ca.pem", "siem-ca.pem", "splunk-ca.pem", "queue-ca.pem"} {
		h.write(t, "tls/"+name, string(pair.CertPEM)) // any certificate will do
	}
	for _, name := range []string{"server", "client"} {
		if _, _, err := pair.WriteFiles(filepath.Join(h.dir, "tls"), name); err != nil {
			t.Fatal(err)
		}
	}
	h.write(t, "tls/cert.pem", read(t, filepath.Join(h.dir, "tls/server.pem")))
	h.write(t, "tls/key.pem", read(t, filepath.Join(h.dir, "tls/server.key")))
	for _, name := range []string{"webhook-secret", "webhook-auth", "admin-password", "splunk-token", "queue-password"} {
		h.write(t, "credentials/"+name, "0123456789abcdef-"+name)
	}
	h.write(t, "credentials/proxy-auth", "user:password")
	return h
}

func (h *host) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// made is one output and its settings as its constructor leaves them.
type made struct {
	settings any
	output   outputs.Output
}

// load checks text on the host with the real outputs.
func (h *host) load(text string) (cfg *config.Config, report *config.Report, outs map[string]*made) {
	text = strings.NewReplacer(
		"/etc/linuxguard-bridge/", h.dir+"/", "/var/log/linuxguard-bridge/", h.dir+"/",
		"/var/lib/linuxguard-bridge", h.dir+"/state", "/run/linuxguard-bridge", h.dir+"/run",
	).Replace(text)
	outs = map[string]*made{}
	getenv := func(name string) string {
		return map[string]string{
			"CREDENTIALS_DIRECTORY": filepath.Join(h.dir, "credentials"),
			"STATE_DIRECTORY":       filepath.Join(h.dir, "state"),
			"RUNTIME_DIRECTORY":     filepath.Join(h.dir, "run"),
		}[name]
	}
	resolver := secret.NewResolver(getenv)
	cfg, report = config.LoadFiles([]config.File{{Name: "config.toml", Data: []byte(text)}}, config.Options{
		Getenv: getenv, Resolver: resolver,
		FreeBytes: func(string) (int64, bool) { return 0, false },
		Construct: func(o *config.Output) (warnings []config.OutputWarning, err error) {
			kind, ok := all.Find(o.Type)
			if !ok {
				return nil, &outputs.KeyError{Key: "type", Err: os.ErrNotExist}
			}
			m := &made{}
			outs[o.Name] = m
			var found []outputs.Warning
			m.output, found, err = kind.New(env(resolver), func(settings any) error {
				m.settings = settings
				return o.Decode(settings)
			})
			for _, w := range found {
				warnings = append(warnings, config.OutputWarning(w))
			}
			return warnings, err
		},
	})
	return cfg, report, outs
}

func env(resolver *secret.Resolver) outputs.Env {
	return outputs.Env{
		Name: "test", Log: slog.New(slog.DiscardHandler), Secret: resolver.Resolve, Now: time.Now, Version: "1", Hostname: "host",
	}
}

// turnOn returns the file's text with every setting turned on for which on returns true; a table's own line is asked for
// with an empty key.
func turnOn(t *testing.T, on func(table confdoc.Table, key confdoc.Key) bool) string {
	t.Helper()
	lines := strings.Split(read(t, configFile), "\n")
	for _, table := range parse(t).Tables {
		for _, key := range append(slices.Clone(table.Keys), confdoc.Key{Line: table.Line, Off: table.Off}) {
			if on(table, key) {
				lines[key.Line-1] = strings.TrimPrefix(lines[key.Line-1], "#")
			}
		}
	}
	return strings.Join(lines, "\n")
}

func mustBeClean(t *testing.T, report *config.Report) {
	t.Helper()
	var b bytes.Buffer
	if err := report.WriteText(&b); err != nil || len(report.Problems) > 0 {
		t.Errorf("%v\n%s", err, &b)
	}
}

func TestAsShipped(t *testing.T) {
	t.Parallel()
	installed := read(t, installedFile)
	if n := strings.Count(installed, "\n"); n > 60 {
		t.Errorf("the installed file has %d lines: what one must decide fits into 60", n)
	}
	whole := strings.NewReplacer("#[", "[", "#type", "type", "#addresses", "addresses", "#urls", "urls", "#token", "token").Replace(installed)
	for _, text := range []string{read(t, configFile), installed, whole} {
		_, report, _ := newHost(t).load(text)
		mustBeClean(t, report)
	}
}

// TestWithoutSecretsSaysWhatIsMissing is what somebody sees who has just installed the package.
func TestWithoutSecretsSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, report, _ := (&host{t.TempDir()}).load(read(t, installedFile))
	var keys []string
	for _, p := range report.Errors() {
		keys = append(keys, p.Key)
	}
	want := []string{"server.tls_cert", "server.tls_key", "endpoint.linuxguard.secrets[0]"}
	if !slices.Equal(keys, want) {
		t.Errorf("got errors of %q, want %q", keys, want)
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	t.Parallel()
	text := turnOn(t, func(table confdoc.Table, key confdoc.Key) bool {
		return table.Name != "server.acme" && table.Name != "output.udp" && !isShared(table, key)
	})
	_, report, _ := newHost(t).load(text)
	mustBeClean(t, report)
}

// TestUDPExampleIsValid is apart because UDP is warned of wherever it is used.
func TestUDPExampleIsValid(t *testing.T) {
	t.Parallel()
	_, report, _ := newHost(t).load(turnOn(t, func(table confdoc.Table, _ confdoc.Key) bool { return table.Name == "output.udp" }))
	for _, p := range report.Problems {
		if p.Severity == config.Error || !strings.Contains(p.Text, "udp confirms nothing") {
			t.Errorf("%+v", p)
		}
	}
}

// isShared reports whether a key is for a queue that bridges share.
func isShared(table confdoc.Table, key confdoc.Key) bool {
	return table.Name == "queue" && slices.Contains([]string{"kind", "url", "password", "client_cert", "client_key", "ca_file", "schema", "replicated_by",
		"bridge_name", "takeover", "pooler"}, key.Name)
}

func TestSharedQueueExampleIsValid(t *testing.T) {
	t.Parallel()
	text := turnOn(t, func(table confdoc.Table, key confdoc.Key) bool {
		return isShared(table, key) || table.Name == "output.siem" || table.Name == "output.splunk"
	})
	text = strings.Replace(text, `kind = "local"`, `kind = "postgres"`, 1)
	h := newHost(t)
	_, report, _ := h.load(text)
	for _, p := range report.Errors() {
		t.Errorf("%+v", p)
	}
}

func TestACMEExampleIsValid(t *testing.T) {
	t.Parallel()
	text := turnOn(t, func(table confdoc.Table, _ confdoc.Key) bool { return table.Name == "server.acme" })
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\ntls_cert", "\n# tls_cert"), "\ntls_key", "\n# tls_key")
	_, report, _ := newHost(t).load(text)
	mustBeClean(t, report)
}

// TestShownDefaultsAreTheDefaults turns on every line that shows a default: nothing may change.
func TestShownDefaultsAreTheDefaults(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	needed := func(table confdoc.Table, key confdoc.Key) bool {
		return plain(table) && (key.Name == "" || strings.Contains(key.Text, "Required."))
	}
	shown := 0
	before, _, outsBefore := h.load(turnOn(t, needed))
	after, report, outsAfter := h.load(turnOn(t, func(table confdoc.Table, key confdoc.Key) bool {
		if key.Off && key.ShowsDefault() {
			shown++
		}
		return needed(table, key) || plain(table) && key.ShowsDefault()
	}))
	if shown < 40 {
		t.Errorf("only %d lines show a default: the prose isn't understood", shown)
	}
	if before == nil || after == nil {
		t.Fatal(report.Problems)
	}
	for _, cfg := range []*config.Config{before, after} {
		cfg.Hash = ""
		for i := range cfg.Settings {
			cfg.Settings[i].Source = ""
		}
		for i := range cfg.Outputs {
			cfg.Outputs[i].Decode, cfg.Outputs[i].Fingerprint = nil, ""
		}
	}
	for i, setting := range before.Settings {
		if other := after.Settings[i]; setting != other {
			t.Errorf("config show has %+v without its line and %+v with it", setting, other)
		}
	}
	before.Settings, after.Settings = nil, nil
	if !reflect.DeepEqual(before, after) {
		t.Errorf("without the lines:\n%+v\nwith them:\n%+v", before, after)
	}
	for name, m := range outsBefore {
		sameOutput(t, name, m, outsAfter[name])
	}
}

// plain reports whether a table is neither the other way to certificates nor one that must have something of its own.
func plain(table confdoc.Table) bool { return table.Name != "server.acme" && !table.List }

// sameOutput compares two outputs by their settings. Where a constructor leaves a default to the code that it calls, the
// first one's setting is zero: then both must write and batch alike.
func sameOutput(t *testing.T, name string, before, after *made) {
	t.Helper()
	a, b := reflect.ValueOf(before.settings).Elem(), reflect.ValueOf(after.settings).Elem()
	for _, f := range reflect.VisibleFields(a.Type()) {
		x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
		if f.IsExported() && !f.Anonymous && !x.IsZero() && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			t.Errorf("output %s: %s is %v without its line and %v with it", name, f.Name, x, y)
		}
	}
	if x, y := render(t, before.output), render(t, after.output); x != y {
		t.Errorf("output %s writes\n%s\nwithout the lines and with them\n%s", name, x, y)
	}
	if x, y := before.output.Batching(), after.output.Batching(); x != y {
		t.Errorf("output %s batches %+v without the lines and %+v with them", name, x, y)
	}
}

// render shows what an output makes of one signal.
func render(t *testing.T, o outputs.Output) string {
	t.Helper()
	body := []byte(`{"event_type":"signal_created","version":"v1","timestamp":"2026-06-01T12:00:00Z","tenant_id":"t",` +
		`"data":{"signal_id":"1","severity":3,"description":"d","server_name":"h","created_at":"2026-06-01T12:00:00Z"}}`)
	s, err := signal.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.(outputs.Renderer).Render(outputs.Record{Seq: 1, Body: body, Signal: s, ReceivedAt: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documented returns the file's keys in the form of config.KeysOf, those of one kind of output as KIND.KEY, with the
// prose of all their occurrences.
func documented(t *testing.T) map[string]string {
	t.Helper()
	kinds := map[string]string{}
	keys := map[string]string{}
	for _, table := range parse(t).Tables {
		parts := strings.Split(table.Name, ".")
		for _, key := range table.Keys {
			if parts[0] == "output" && key.Name == "type" {
				kinds[parts[1]] = strings.Trim(key.Value, `"`)
			}
			named := slices.Clone(parts)
			if named[0] == "endpoint" || named[0] == "output" {
				named[1] = "NAME"
			}
			name := strings.Join(append(named, key.Name), ".")
			if strings.HasPrefix(key.Value, "{") {
				name += ".NAME"
			}
			keys[name] += key.Text + "\n"
			if own, ok := strings.CutPrefix(name, "output.NAME."); ok {
				keys[kinds[parts[1]]+"."+own] += key.Text + "\n"
			}
		}
	}
	return keys
}

// known returns every key that the code takes, in the same form.
func known(t *testing.T) []string {
	t.Helper()
	keys := config.Keys()
	for _, kind := range all.Kinds() {
		var settings any
		_, _, err := kind.New(env(secret.NewResolver(os.Getenv)), func(s any) error {
			settings = s
			return os.ErrInvalid
		})
		if settings == nil {
			t.Fatalf("%s decodes no settings: %v", kind.Name, err)
		}
		for _, key := range config.KeysOf(settings) {
			keys = append(keys, kind.Name+"."+key)
		}
	}
	return keys
}

func TestEveryKeyIsExplained(t *testing.T) {
	t.Parallel()
	prose := documented(t)
	for _, key := range known(t) {
		switch text, ok := prose[key]; {
		case !ok:
			t.Errorf("%s is not in %s", key, configFile)
		case !strings.Contains(text, "Default: ") && !strings.Contains(text, "Required"):
			t.Errorf("%s: neither a default nor that it is required is said: %q", key, text)
		}
	}
	for _, table := range parse(t).Tables {
		if table.Text == "" {
			t.Errorf("%s is not explained", table.Name)
		}
		for _, key := range table.Keys {
			if key.Text == "" {
				t.Errorf("%s.%s is not explained", table.Name, key.Name)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"key = 1", "[t]\n  key = 1", "[t]\n#", "#!x", "[t]\nkey=1"} {
		if _, err := confdoc.Parse(text); (err == nil) != strings.HasSuffix(text, "#") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestManPageIsUpToDate(t *testing.T) {
	t.Parallel()
	got := parse(t).ManPage()
	if *update {
		if err := os.WriteFile(manPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != read(t, manPage) {
		t.Errorf("%s is not what %s says: run go test ./packaging/confdoc -update", manPage, configFile)
	}
}

// TestManPageRenders has groff look for mistakes, and looks for every key in what a reader sees.
func TestManPageRenders(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-ww", "-P-cbou")
	cmd.Stdin = strings.NewReader(parse(t).ManPage())
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("groff (Debian package groff-base): %v\n%s", err, &complaints)
	}
	page := joined(out.String())
	for _, table := range parse(t).Tables {
		for _, want := range []string{table.Header(), table.Text} {
			if !strings.Contains(page, joined(want)) {
				t.Errorf("the page doesn't show %q", want)
			}
		}
		for _, key := range table.Keys {
			if want := key.Name + " = " + key.Value + key.Text; !strings.Contains(page, joined(want)) {
				t.Errorf("the page doesn't show %q", want)
			}
		}
	}
}

// joined takes out all white space: where lines are broken is the reader's business.
func joined(text string) string { return strings.Join(strings.Fields(text), "") }
