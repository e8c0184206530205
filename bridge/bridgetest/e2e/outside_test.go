package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// withSpool builds the program with one folder more under outputs and one line more in outputs/all, as CONTRIBUTING.md
// says, without a change of the tree.
func withSpool(t *testing.T) (binary string) {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	all := filepath.Join(root, "outputs", "all", "all.go")
	text, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	kind, imported := "\t\tsyslog.Kind(),\n", "\t\"github.com/linuxguard/linuxguard-bridge/outputs/syslog\"\n"
	longer := strings.Replace(string(text), kind, "\t\tspool.Kind(),\n"+kind, 1)
	longer = strings.Replace(longer, imported, strings.Replace(imported, "syslog", "spool", 1)+imported, 1)
	if strings.Count(longer, "\n") != strings.Count(string(text), "\n")+2 {
		t.Fatal("outputs/all/all.go has no place for the lines")
	}
	changed := filepath.Join(dir, "all.go")
	if err := os.WriteFile(changed, []byte(longer), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(filepath.Join("testdata", "spool", "spool.go"))
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		all: changed, filepath.Join(root, "outputs", "spool", "spool.go"): here,
	}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "linuxguard-bridge")
	if err := repo.Build(t.Context(), root, "./cmd/linuxguard-bridge", binary, "-overlay="+overlay); err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestOutputFromOutside: an output is one folder and one line. The rest of the program knows it by that: check and config show
// by its settings' types, reload by what its files and secrets hold, status and metrics by its name.
func TestOutputFromOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("token", "first-token\n")
	write("greeting", "hello")
	table := func(name, more string) string {
		return fmt.Sprintf("[output.%s]\ntype = \"spool\"\nto = %q\ngreeting = %q\ntoken = %q\n%s\n", name, at("spool"), at("greeting"), "file:"+at("token"), more)
	}
	good := bridgetest.Options{Binary: withSpool(t), Outputs: table("store", "budget = \"64KiB\"\npause = \"2s\"")}
	b := bridgetest.New(t, good)

	bad := good
	bad.Outputs = table("store", "budget = \"12B\"\npause = 2\nbugdet = 1") + table("twin", "")
	b.Configure(bad)
	said, _, code := b.Command(nil, "check")
	for _, want := range []string{
		"output.store.bugdet: unknown key (did you mean budget?)", "output.store.pause: must be a duration", "is the file of output store too",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("check does not say %q", want)
		}
	}
	bad.Outputs = table("store", "budget = \"12B\"")
	b.Configure(bad)
	if more, _, _ := b.Command(nil, "check"); code != 2 || !strings.Contains(more, "output.store.budget: must be 1KiB at least") {
		t.Errorf("check ends with %d:\n%s%s", code, said, more)
	}

	b.Configure(good)
	shown, _, _ := b.Command(nil, "config", "show")
	if !strings.Contains(shown, `budget = "64KiB"`) || !strings.Contains(shown, "token = \"file:") || strings.Contains(shown, "first-token") {
		t.Errorf("config show:\n%s", shown)
	}
	if rendered, stderr, code := b.Command(sender.Sample(3, time.Now(), nil).JSON(), "render", "--output", "store"); code != 0 || !strings.Contains(rendered, `"signal_id"`) {
		t.Errorf("render: %d\n%s%s", code, rendered, stderr)
	}
	b.Start()
	t.Cleanup(b.Stop)
	client := b.Client(sender.ClientOptions{})
	b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted")
	delivered := func(n uint64) {
		t.Helper()
		bridgetest.Eventually(t, arrive, "the output to have it", func() bool { return b.Status().Outputs[0].Delivered == n })
	}
	delivered(1)
	if o := b.Status().Outputs[0]; o.Name != "store" || o.Kind != "spool" || o.Peer != at("spool") {
		t.Errorf("status: %+v", o)
	}
	if metrics := b.Metrics(); !strings.Contains(metrics, `linuxguard_bridge_spool_lines_total{output="store"} 1`) {
		t.Error("the output's own metric is not there")
	}
	// What a secret's file and a read file hold is part of the configuration: either change replaces the output.
	write("token", "a much longer token\n")
	b.Reload()
	b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted")
	delivered(1) // of the new worker
	write("greeting", "hello again")
	b.Reload()
	b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted")
	delivered(1)
	b.Reload() // nothing has changed
	b.MustPost(client, sender.Sample(3, time.Now(), nil).JSON(), "accepted")
	delivered(2)
	var sizes []any
	for _, line := range bridgetest.JSONLines(t, at("spool")) {
		if n, ok := line["token_bytes"]; ok {
			sizes = append(sizes, n)
		}
	}
	if got := fmt.Sprint(sizes); got != "[11 19 19]" {
		t.Errorf("the output was opened with tokens of %s bytes", got)
	}
}
