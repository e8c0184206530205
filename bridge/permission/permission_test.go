package permission_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// TestRemedy needs a user who can be refused something. Root is none, and tries it as another user.
func TestRemedy(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	if err := errors.Join(os.WriteFile(file, nil, 0), os.Mkdir(folder, 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	us, group := permission.Us()
	const system = "/usr/share" // a folder of root's on every machine
	if ours := os.Getenv(oursVariable); ours != "" {
		for path, want := range map[string]string{
			ours + "/queue":       "chown -R " + us + ": " + ours + "/queue",
			ours + "/queue/log":   "chown -R " + us + ": " + ours + "/queue",
			ours + "/signals":     "chown " + us + ": " + ours + "/signals",
			ours + "/logs/a/file": "chown -R " + us + ": " + ours + "/logs",
		} {
			if got := permission.Remedy(path, permission.Write); !strings.HasSuffix(got, want) {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	}
	for _, c := range []struct {
		path string
		use  permission.Use
		want string
	}{
		{file, permission.Read, fmt.Sprintf("(mode 0000) and this runs as %s: chmod u+r %s", us, file)},
		{file, permission.Write, "chmod u+rwx " + file},
		{filepath.Join(folder, "x"), permission.Read, "chmod u+x " + folder},
		{folder, permission.WriteFolder, "chmod u+rwx " + folder},
		{filepath.Join(dir, "none"), permission.Write, ""},
		{filepath.Join(dir, "none"), permission.WriteFolder, ""},
		{filepath.Join(dir, "none"), permission.Listen, ""},
		{filepath.Join(dir, "none"), permission.Read, ""},
		{"relative", permission.Read, ""},
		{"/etc/shadow", permission.Read, "chgrp " + group + " /etc/shadow && chmod g+r /etc/shadow"},
		{"/var/lib", permission.WriteFolder, "name a folder of the bridge's own: install -d -o " + us + " -g " + group + " -m 700 /var/lib/linuxguard-bridge"},
		{"/srv", permission.WriteFolder, "-m 700 /srv/linuxguard-bridge"},
		{system + "/queue", permission.WriteFolder, "as root: install -d -o " + us + " -g " + group + " -m 700 " + system + "/queue"},
		{system + "/a/queue", permission.WriteFolder, "-m 700 " + system + "/a/queue"},
		{system + "/signals.ndjson", permission.Write, "as root: install -o " + us + " -g " + group + " -m 600 /dev/null " + system + "/signals.ndjson"},
		{system + "/a/signals.ndjson", permission.Write, "as root: install -d -o " + us + " -g " + group + " -m 700 " + system + "/a"},
		{system + "/a/control.sock", permission.Listen, "-m 700 " + system + "/a"},
		{system + "/control.sock", permission.Listen, "-m 700 " + system + "/linuxguard-bridge, and let the socket be in there"},
	} {
		got := permission.Remedy(c.path, c.use)
		if !strings.HasSuffix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
		if strings.Contains(got, "chown") {
			t.Errorf("%s: %q would give away what is not the bridge's", c.path, got)
		}
	}
}

// oursVariable names a folder of this process's user in which root has made things.
const oursVariable = "PERMISSION_OURS"

// asNobody runs the same test as the user nobody, from a copy of this program that nobody may run.
func asNobody(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "permission")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	copied := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(copied, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(dir, "ours")
	if err := errors.Join(os.MkdirAll(filepath.Join(ours, "queue"), 0o755), os.Mkdir(filepath.Join(ours, "logs"), 0o755),
		os.WriteFile(filepath.Join(ours, "signals"), nil, 0o600), os.Chown(ours, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run=^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), oursVariable+"="+ours)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	plain := errors.New("something else")
	missing := &fs.PathError{Op: "open", Path: "/nonexistent", Err: fs.ErrNotExist}
	for _, err := range []error{nil, plain, missing} {
		if got := permission.Explain(err); !errors.Is(got, err) || got != err { //nolint:errorlint // it is the same one
			t.Errorf("%v became %v", err, got)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	refused := fmt.Errorf("opening: %w", &fs.PathError{Op: "open", Path: file, Err: fs.ErrPermission})
	got := permission.Explain(refused)
	if !errors.Is(got, fs.ErrPermission) || os.Geteuid() != 0 && got.Error() == refused.Error() {
		t.Errorf("got %v", got)
	}
}
