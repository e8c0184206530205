//go:build packages

package packagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// suites are the systems: Debian 12 with systemd 252, Debian 13 with systemd 257.
var suites = []string{"bookworm", "trixie"}

// include is what a small server has, rsyslog as the SIEM, and rpm's tools.
const include = "systemd,systemd-sysv,dbus,rsyslog,logrotate,openssl,ca-certificates,iproute2,man-db,rpm,dnf"

// rootfs returns the folder with suite's files, made on the first use. Containers leave it as it is.
func rootfs(t *testing.T, suite string) string {
	t.Helper()
	cache, err := repo.Cache("package-test")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, suite)
	err = repo.Locked(cache, func() error {
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
		t.Logf("making %s", dir)
		return bootstrap(suite, dir)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// bootstrap makes the folder under another name first, so that a half-made one is never taken for whole.
func bootstrap(suite, dir string) error {
	mirror, err := debianMirror()
	if err != nil {
		return err
	}
	half := dir + ".half"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	// mmdebstrap mounts /proc, /sys and /dev: in a mount namespace of its own, never in the host's.
	cmd := exec.CommandContext(context.Background(), "unshare", "--mount", "--propagation", "private",
		"mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
		"--components=main", "--include="+include, suite, half, mirror)
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("make a Debian %s: %w", suite, err)
	}
	return os.Rename(half, dir)
}

// debianMirror asks apt where this machine gets Debian from.
func debianMirror() (string, error) {
	out, err := output(exec.CommandContext(context.Background(), "apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if uri, ok := strings.CutPrefix(line, "Debian/Debian "); ok {
			return strings.TrimSpace(uri), nil
		}
	}
	return "", errors.New("apt on this machine knows no mirror of Debian: add one to its sources and run apt-get update")
}
