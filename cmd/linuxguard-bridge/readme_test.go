package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

const readmePath = "../../README.md"

// webhookNames are the fields that the bridge calls otherwise than the webhook does.
var webhookNames = map[string]string{"server_hostname": "server_name"}

// fieldTable is README's table of fields, made from the mapping's own.
func fieldTable() string {
	var b strings.Builder
	b.WriteString("| field | Splunk, `layout = \"cim\"` | CEF | LEEF | what it is |\n|---|---|---|---|---|\n")
	code := func(name string) string {
		if name == "" {
			return "header"
		}
		return "`" + name + "`"
	}
	for _, f := range mapping.Fields() {
		doc := f.Doc
		if f.ID {
			doc += " (never cut)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, code(f.CIM), code(f.CEF), code(f.LEEF), strings.ReplaceAll(doc, "|", "\\|"))
	}
	return b.String()
}

// TestReadmeFields holds the table in README.md against the mapping.
func TestReadmeFields(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile(`(?s)(<!-- fields: [^\n]*\n)(.*)(<!-- end of fields -->)`)
	found := part.FindSubmatchIndex(text)
	if found == nil {
		t.Fatal("README.md has no table of fields")
	}
	want := fieldTable()
	if *update {
		text = slices.Concat(text[:found[4]], []byte(want), text[found[5]:])
		if err := os.WriteFile(readmePath, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := string(text[found[4]:found[5]]); got != want {
		t.Errorf("README.md's table of fields is not the mapping's; run this test with -update\n%s", want)
	}
	for name, webhook := range webhookNames {
		if !strings.Contains(want, "`"+name+"`") || !bytes.Contains(text, []byte(webhook)) {
			t.Errorf("README.md doesn't say that %s is the webhook's %s", name, webhook)
		}
	}
}

// TestReadmeConfiguration runs check on the configuration in README.md, with its files in a temporary folder.
func TestReadmeConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```toml\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("README.md has no configuration")
	}
	dir := t.TempDir()
	config := strings.ReplaceAll(string(block[1]), "/etc/linuxguard-bridge", dir)
	authority, err := throwaway.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(60*24*time.Hour), "hooks.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"tls/cert.pem": pair.CertPEM, "tls/key.pem": pair.KeyPEM, "webhook-secret": []byte("0123456789abcdef0123456789abcdef"),
		"splunk-token": []byte("00000000-0000-4000-8000-000000000000"), "config.toml": []byte(config),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	g := &globals{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now, Getenv: func(name string) string {
		return map[string]string{"STATE_DIRECTORY": dir, "RUNTIME_DIRECTORY": dir, "CREDENTIALS_DIRECTORY": dir}[name]
	}}
	if code := execute(t.Context(), g, []string{"check", "--config", filepath.Join(dir, "config.toml")}); code != exitOK {
		t.Errorf("check answers %d\n%s%s", code, &stdout, &stderr)
	}
}

// TestReadmeCommands looks every command up that README.md names.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	root := newRootCommand(&globals{Getenv: func(string) string { return "" }, Now: time.Now})
	for _, match := range regexp.MustCompile("(?m)(?:^|`)linuxguard-bridge ([a-z]+)((?: --[a-z-]+)*)").FindAllStringSubmatch(string(text), -1) {
		c, _, err := root.Find([]string{match[1]})
		if err != nil {
			t.Errorf("README.md names %q: %v", match[0], err)
			continue
		}
		for _, name := range strings.Fields(match[2]) {
			if c.Flags().Lookup(strings.TrimPrefix(name, "--")) == nil {
				t.Errorf("README.md names %q: there is no flag %s", match[0], name)
			}
		}
	}
}

// TestReadmeFiles looks every file up that README.md installs or links to.
func TestReadmeFiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`packaging/[a-z./-]*[a-z]|contrib/[a-z./-]*[a-z]|[A-Z]+\.md|LICENSE`).FindAllString(string(text), -1)
	if len(found) < 5 {
		t.Fatalf("README.md names %q only", found)
	}
	for _, name := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(readmePath), name)); err != nil {
			t.Errorf("README.md names %s: %v", name, err)
		}
	}
}
