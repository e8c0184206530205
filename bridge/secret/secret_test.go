package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

const clear = "hunter2-in-clear"

// holder is what secrets look like inside of other types.
type holder struct {
	Value   secret.Value
	Pointer *secret.Value
	List    []secret.Value
	Map     map[string]secret.Value
	Any     any
	hidden  secret.Value
}

func newHolder() holder {
	v := secret.NewValue(clear)
	return holder{v, &v, []secret.Value{v}, map[string]secret.Value{"k": v}, v, v}
}

// TestNoVerbPrintsAValue tries every letter as a verb, with every flag, on a value and on what holds one.
func TestNoVerbPrintsAValue(t *testing.T) {
	t.Parallel()
	v, h := secret.NewValue(clear), newHolder()
	forms := 0
	for verb := 'A'; verb <= 'z'; verb++ {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3", "#20.3"} {
			for _, arg := range []any{v, &v, h, &h, []any{h}, map[string]any{"k": v}, errors.Join(fmt.Errorf("%v", v))} {
				got := fmt.Sprintf("%"+flags+string(verb), arg)
				if verb != 'p' && verb != 'T' {
					forms++
				}
				leaks(t, fmt.Sprintf("%%%s%c of %T", flags, verb, arg), got)
			}
		}
	}
	if forms == 0 {
		t.Fatal("nothing was tried")
	}
	leaks(t, "Sprint", fmt.Sprint(v, h))
	leaks(t, "String", v.String()+v.GoString())
	if got := fmt.Sprintf("%s", v); got != "[redacted]" {
		t.Errorf("got %q", got)
	}
}

// leaks looks for the secret and for its hexadecimal and decimal forms.
func leaks(t *testing.T, where, got string) {
	t.Helper()
	for _, form := range []string{
		clear, fmt.Sprintf("%x", clear), fmt.Sprintf("%X", clear), fmt.Sprintf("% x", clear),
		strings.Trim(fmt.Sprintf("%d", []byte(clear)), "[]"), clear[:6],
	} {
		if strings.Contains(got, form) {
			t.Errorf("%s shows the secret: %s", where, got)
		}
	}
}

func TestNoLogPrintsAValue(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, options), slog.NewJSONHandler(&b, options)} {
		log := slog.New(handler)
		v, h := secret.NewValue(clear), newHolder()
		log.Info("m", "value", v, "pointer", &v, "holder", h, "any", []any{v, h})
		log.With("v", v).WithGroup("g").Info("m", slog.Group("h", slog.Any("v", v)), slog.Any("h", &h))
	}
	leaks(t, "slog", b.String())
	if !strings.Contains(b.String(), "[redacted]") {
		t.Errorf("nothing was logged: %s", &b)
	}
}

func TestNoEncoderPrintsAValue(t *testing.T) {
	t.Parallel()
	h := newHolder()
	type flat struct {
		V secret.Value
		P *secret.Value
		L []secret.Value
	}
	f := flat{h.Value, h.Pointer, h.List}
	for name, encode := range map[string]func(*bytes.Buffer) error{
		"json": func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(h) },
		"keys": func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(map[secret.Value]int{h.Value: 1}) },
		"toml": func(b *bytes.Buffer) error { return toml.NewEncoder(b).Encode(f) },
		"xml":  func(b *bytes.Buffer) error { return xml.NewEncoder(b).Encode(f) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		leaks(t, name, b.String())
		if !strings.Contains(b.String(), "[redacted]") {
			t.Errorf("%s: got %q", name, &b)
		}
	}
}

// TestGobRefusesAValue is about the one encoder of the standard library that asks for no text.
func TestGobRefusesAValue(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(newHolder().List); err == nil {
		t.Error("gob encodes a secret")
	}
	leaks(t, "gob", b.String())
}

func TestEqual(t *testing.T) {
	t.Parallel()
	a, b := secret.NewValue(clear), secret.NewValue(string([]byte(clear)))
	if a != b || a == secret.NewValue("x") || a == (secret.Value{}) || !secret.NewValue("").IsZero() {
		t.Error("values compare otherwise than their secrets")
	}
	if got := (secret.Value{}).Reveal(); got != "" {
		t.Errorf("the zero value reveals %q", got)
	}
}

// resolver returns a Resolver with a credentials directory and the variables given as NAME, value pairs.
func resolver(dir string, pairs ...string) *secret.Resolver {
	env := map[string]string{"CREDENTIALS_DIRECTORY": dir}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return secret.NewResolver(func(name string) string { return env[name] })
}

func TestCheckResolver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "there"), "s", 0o600)
	none := func(string) string { return "" }
	r := secret.NewCheckResolver(none, dir)
	if v, err := r.Resolve("credential:there"); err != nil || v.Reveal() != "s" || r.Unseen("credential:there") {
		t.Errorf("got %v, %v", v.Reveal(), err)
	}
	a, errA := r.Resolve("credential:a")
	b, errB := r.Resolve("credential:b")
	if err := errors.Join(errA, errB); err != nil || a == b || len(a.Reveal()) < 16 || !r.Unseen("credential:a") {
		t.Errorf("got %v and %v, %v", a.Reveal(), b.Reveal(), err)
	}
	if v, err := r.Resolve("env:NONE"); err != nil || v.IsZero() || !r.Unseen("env:NONE") { // it may be the service's
		t.Errorf("got %v, %v", v, err)
	}
	for _, ref := range []secret.Ref{"credential:../a", "file:/none", "none", "env:"} {
		if _, err := r.Resolve(ref); err == nil || r.Unseen(ref) {
			t.Errorf("%s is made up", ref)
		}
	}
	first := t.TempDir()
	write(t, filepath.Join(first, "there"), "first", 0o600)
	if v, err := secret.NewOutsideResolver(none, t.TempDir(), first, dir).Resolve("credential:there"); err != nil || v.Reveal() != "first" {
		t.Errorf("got %v, %v", v.Reveal(), err)
	}
	outside := secret.NewOutsideResolver(none, dir)
	if v, err := outside.Resolve("credential:there"); err != nil || v.Reveal() != "s" {
		t.Errorf("got %v, %v", v.Reveal(), err)
	}
	if _, err := outside.Resolve("credential:a"); err == nil || !strings.Contains(err.Error(), "it is not in "+dir) {
		t.Errorf("got %v", err)
	}
	inside := secret.NewCheckResolver(func(string) string { return dir }, "/none")
	if _, err := inside.Resolve("credential:a"); err == nil || inside.Unseen("credential:a") {
		t.Error("a credential that is missing inside of the service is made up")
	}
	if _, err := secret.NewResolver(none).Resolve("credential:a"); err == nil {
		t.Error("the service's own resolver makes up a credential")
	}
}

func TestServiceResolver(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such file")
	handed := secret.Handed{
		Credentials: map[string]secret.Credential{"there": {Clear: "s\n"}, "broken": {Err: broken}, "far": {Unseen: true}},
		Getenv: func(name string) string {
			return map[string]string{"SET": "e", "CREDENTIALS_DIRECTORY": "/nonexistent"}[name]
		},
	}
	for ref, c := range map[secret.Ref]struct{ clear, says string }{
		"credential:there": {"s", ""}, "env:SET": {"e", ""},
		"credential:broken": {"", "no such file"}, "credential:other": {"", "LoadCredential=other:"}, "env:UNSET": {"", "not set"},
		"credential:far": {"", "only root and the service manager can read it"},
	} {
		v, err := secret.NewServiceResolver(handed, false).Resolve(ref)
		if v.Reveal() != c.clear || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %q, %v", ref, v.Reveal(), err)
		}
	}
	pretending := secret.NewServiceResolver(handed, true)
	if v, err := pretending.Resolve("credential:far"); err != nil || v.IsZero() || !pretending.Unseen("credential:far") || pretending.Unseen("credential:there") {
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := pretending.Resolve("env:UNSET"); err == nil || pretending.Unseen("env:UNSET") {
		t.Error("a variable that the service won't have is made up")
	}
	handed.MoreEnv = true
	if _, err := secret.NewServiceResolver(handed, true).Resolve("env:UNSET"); err != nil {
		t.Errorf("a variable that a file may set: %v", err)
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask may have taken bits away
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	for _, c := range []struct{ content, want string }{
		{"s", "s"},
		{"s\n", "s"},
		{"s\r\n", "s"},
		{"s\n\n", "s\n"},
		{"s\r", "s\r"},
		{" s ", " s "},
		{"s\nt\n", "s\nt"},
		{"ünï\x00\xff", "ünï\x00\xff"},
		{strings.Repeat("x", secret.MaxBytes), strings.Repeat("x", secret.MaxBytes)},
	} {
		write(t, file, c.content, 0o640)
		r := resolver(dir, "V", c.content)
		for _, ref := range []secret.Ref{"credential:f", secret.Ref("file:" + file), "env:V"} {
			got, err := r.Resolve(ref)
			if err != nil || got.Reveal() != c.want || got.IsZero() {
				t.Errorf("%s of %q: got %q, %v", ref.Name(), c.content, got.Reveal(), err)
			}
		}
	}
}

func TestResolveEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	for _, content := range []string{"", "\n", "\r\n"} {
		write(t, file, content, 0o600)
		r := resolver(dir, "V", content)
		for _, ref := range []secret.Ref{"credential:f", secret.Ref("file:" + file), "env:V", "env:UNSET"} {
			got, err := r.Resolve(ref)
			if !errors.Is(err, secret.ErrEmpty) || !got.IsZero() {
				t.Errorf("%s of %q: got %v", ref, content, err)
			}
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", secret.MaxBytes+1), 0o600)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[secret.Ref]string{
		"":                                  "a secret is a reference",
		"file":                              "a secret is a reference",
		"file:":                             "a secret is a reference",
		"vault:hunter2":                     "a secret is a reference",
		"FILE:/x":                           "a secret is a reference",
		"file:x":                            "a secret is a reference",
		"credential:../x":                   "no slash",
		"credential:..":                     "no slash",
		"credential:.":                      "no slash",
		"credential:/etc/passwd":            "no slash",
		"credential:none":                   "LoadCredential=none:/etc/linuxguard-bridge/credentials/none",
		"credential:large":                  "longer than 64 KiB",
		"credential:fifo":                   "not a regular file",
		secret.Ref("file:" + dir):           "not a regular file",
		secret.Ref("file:" + dir + "/x"):    "no such file",
		secret.Ref("file:" + dir + "/fifo"): "not a regular file",
	} {
		got, err := resolver(dir).Resolve(ref)
		if err == nil || !strings.Contains(err.Error(), want) || !got.IsZero() {
			t.Errorf("%s: got %v, want %q", ref, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v repeats what may be the secret", err)
		}
	}
	_, err := resolver("").Resolve("credential:x")
	if err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("got %v", err)
	}
}

// TestModes proves that any permission of other users refuses a file, and none of the owner's or group's does.
func TestModes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, "s", 0o600)
	for mode := os.FileMode(0o400); mode <= 0o777; mode++ {
		if mode&0o400 == 0 {
			continue // not even we could read it
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := resolver("").Resolve(secret.Ref("file:" + file))
		if open := mode&0o007 != 0; open != errors.Is(err, fs.ErrPermission) || !open && err != nil {
			t.Errorf("mode %04o: got %v", mode, err)
		}
	}
}

// TestModeOfTheTargetCounts proves that a symbolic link, whose own mode is always 0777, is judged by what it points to.
func TestModeOfTheTargetCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "closed"), "s", 0o600)
	write(t, filepath.Join(dir, "open"), "s", 0o604)
	for name, ok := range map[string]bool{"closed": true, "open": false} {
		link := filepath.Join(dir, "to-"+name)
		if err := os.Symlink(name, link); err != nil {
			t.Fatal(err)
		}
		if _, err := resolver("").Resolve(secret.Ref("file:" + link)); (err == nil) != ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for ref, want := range map[secret.Ref]string{
		"credential:webhook-secret": "webhook-secret",
		"file:/etc/x/secret":        "secret",
		"env:SECRET":                "SECRET",
		"hunter2":                   "invalid",
		"hunter2:in/clear":          "invalid",
		"file:":                     "invalid",
		"":                          "invalid",
	} {
		if got := ref.Name(); got != want || ref.IsValid() != (want != "invalid") {
			t.Errorf("%q: got %q", string(ref), got)
		}
	}
}
