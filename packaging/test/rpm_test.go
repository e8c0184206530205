//go:build packages

package packagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// systemStub stands for what Debian's own packages provide, of which rpm's database knows nothing.
const systemStub = `name: system
arch: all
platform: linux
version: "1"
description: what the system provides
maintainer: nobody <nobody@example.com>
provides: [systemd, /bin/sh]`

// TestRPM is the life of an .rpm, once by rpm and once by dnf.
func TestRPM(t *testing.T) {
	t.Parallel()
	stub := buildStub(t)
	for _, suite := range suites {
		for _, tool := range []rpmTool{
			{"rpm", "rpm --install", "rpm --upgrade", "rpm --upgrade --oldpackage", "rpm --erase"},
			{"dnf", dnf + "install", dnf + "upgrade", dnf + "downgrade", dnf + "remove"},
		} {
			t.Run(suite+"/"+tool.name, func(t *testing.T) {
				t.Parallel()
				c := boot(t, suite)
				c.prepareRPM(stub)
				c.rpmLife(tool)
			})
		}
	}
}

// dnf knows no repository: what it installs is the file that it is given.
const dnf = "dnf --assumeyes --disablerepo='*' --setopt=releasever=1 --setopt=gpgcheck=0 "

type rpmTool struct{ name, install, upgrade, downgrade, erase string }

// buildStub builds the stub and returns its path in a container.
func buildStub(t *testing.T) string {
	t.Helper()
	dir := packagesOf(t)
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	recipe := filepath.Join(t.TempDir(), "nfpm.yaml")
	if err := os.WriteFile(recipe, []byte(systemStub), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Output(t.Context(), root, filepath.Join(root, ".cache/tools/nfpm"), "package", "--config", recipe,
		"--packager", "rpm", "--target", filepath.Join(dir, "system.rpm")); err != nil {
		t.Fatal(err)
	}
	return "/packages/system.rpm"
}

// prepareRPM gives the system rpm's database, and the folders that all of rpm's distributions have.
func (c *container) prepareRPM(stub string) {
	c.t.Helper()
	c.run("mkdir -p /usr/share/licenses /usr/share/zsh/site-functions /usr/share/fish/vendor_completions.d")
	c.run("rpm --initdb && rpm --install " + stub)
}

func rpmFile(version string) string {
	return fmt.Sprintf("/packages/%s/linuxguard-bridge-%s-1.$(uname -m).rpm", version, version)
}

func (c *container) rpmLife(tool rpmTool) {
	c.t.Helper()
	before := c.files()
	said := c.run(tool.install + " " + rpmFile(oldVersion) + " 2>&1")
	if !strings.Contains(said, "linuxguard-bridge is installed, not started.") {
		c.t.Errorf("the three lines are missing:\n%s", said)
	}
	c.expect("inactive", "systemctl is-active linuxguard-bridge || true")
	c.expect("640 root linuxguard-bridge", "stat -c '%a %U %G' "+configFile)
	c.expect("", "rpm --verify --nodeps linuxguard-bridge")
	c.refuses(2, "linuxguard-bridge check")

	configure(c)
	start(c)
	c.run("linuxguard-bridge send --count 20 >/root/sent")
	c.version(oldVersion)
	c.run(tool.upgrade + " " + rpmFile(newVersion))
	c.version(newVersion)
	c.run(tool.downgrade + " " + rpmFile(oldVersion))
	c.version(oldVersion)
	c.run("grep -c siem " + configFile) // the operator's changes stay
	c.expect("enabled", "systemctl is-enabled linuxguard-bridge")
	c.run("linuxguard-bridge send --wait && linuxguard-bridge audit")

	c.run(tool.erase + " linuxguard-bridge")
	c.expect("inactive", "systemctl is-active linuxguard-bridge || true")
	c.run("ls /var/lib/linuxguard-bridge/* " + secretFile)
	c.run("test -s " + configFile + ".rpmsave && getent passwd linuxguard-bridge")
	// What stays is the operator's data, and the README says how to delete it.
	c.run("rm -r /etc/linuxguard-bridge /var/lib/linuxguard-bridge /var/log/linuxguard-bridge && userdel linuxguard-bridge")
	if left := c.leftSince(before); len(left) > 0 {
		c.t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// version checks which program the running service is.
func (c *container) version(want string) {
	c.t.Helper()
	c.expect("active", "systemctl is-active linuxguard-bridge")
	c.expect("linuxguard-bridge "+want, "/proc/$(systemctl show --value --property=MainPID linuxguard-bridge)/exe version | cut -d' ' -f1,2")
}
