package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/throwaway"
)

const readmePath = "../../README.md"

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
	for what, credentials := range map[string]string{"with its secrets": dir, "without": ""} { // root at a shell has none of them
		var stdout, stderr bytes.Buffer
		g := &globals{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now, Getenv: func(name string) string {
			return map[string]string{"STATE_DIRECTORY": dir, "RUNTIME_DIRECTORY": dir, "CREDENTIALS_DIRECTORY": credentials}[name]
		}}
		if code := execute(t.Context(), g, []string{"check", "--config", filepath.Join(dir, "config.toml")}); code != exitOK {
			t.Errorf("%s: check answers %d\n%s%s", what, code, &stdout, &stderr)
		}
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
	found := regexp.MustCompile(`packaging/[A-Za-z./-]*[a-z]|contrib/[A-Za-z./-]*[a-z]|[a-z/]*[A-Z]+\.md|LICENSE`).FindAllString(string(text), -1)
	if len(found) < 5 {
		t.Fatalf("README.md names %q only", found)
	}
	for _, name := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(readmePath), name)); err != nil {
			t.Errorf("README.md names %s: %v", name, err)
		}
	}
}
