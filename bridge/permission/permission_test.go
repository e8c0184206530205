package permission_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
)

// TestRemedy needs a user who can be refused something; root is none. The command's TestCheckAsService tries it as another user.
func TestRemedy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	if err := errors.Join(os.WriteFile(file, nil, 0), os.Mkdir(folder, 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	us, group := permission.Us()
	for _, c := range []struct {
		path string
		use  permission.Use
		want string
	}{
		{file, permission.Read, fmt.Sprintf("(mode 0000) and this runs as %s: chgrp %s %s && chmod g+r %s", us, group, file, file)},
		{file, permission.Write, fmt.Sprintf("chown %s: %s", us, file)},
		{filepath.Join(folder, "x"), permission.Read, fmt.Sprintf("%s belongs to %s:", folder, us)},
		{filepath.Join(folder, "x"), permission.Read, "chmod g+x " + folder},
		{folder, permission.Write, fmt.Sprintf("chown -R %s: %s", us, folder)},
		{filepath.Join(dir, "none"), permission.Write, ""},
		{filepath.Join(dir, "none"), permission.Read, ""},
		{"relative", permission.Read, ""},
	} {
		got := permission.Remedy(c.path, c.use)
		if os.Geteuid() == 0 {
			c.want = "" // nothing is refused to root
		}
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
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
	if !errors.Is(got, fs.ErrPermission) || os.Geteuid() != 0 && !strings.Contains(got.Error(), "chown ") {
		t.Errorf("got %v", got)
	}
}
