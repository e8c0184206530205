//go:build packages

package packagetest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// readmeTools makes the README's words work in a container without a terminal and without the internet: apt and dnf ask
// nothing and know no repository, and the editor adds an output to the configuration.
const readmeTools = `cd /root
apt() { apt-get -qq -y -o Dpkg::Use-Pty=0 "$@"; }
dnf() { command ` + dnf + `"$@"; }
editor() { cat >>"$1" </root/output.toml; }
set -x
`

// TestReadme does what the README says on installation, line by line, once with the .deb and once with the .rpm.
func TestReadme(t *testing.T) {
	t.Parallel()
	blocks := installBlocks(t)
	if len(blocks) != 5 {
		t.Fatalf("README's section has %d blocks of commands, want 5: apt, dnf, set up, port 443, remove", len(blocks))
	}
	stub := buildStub(t)
	for _, suite := range suites {
		for name, other := range map[string]string{"apt": "dnf ", "dnf": "apt "} {
			t.Run(suite+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := boot(t, suite)
				c.prepareRPM(stub)
				c.run("ln -s /packages/" + newVersion + " /root/dist")
				c.write("/root/output.toml", siemOutput)
				c.siemAndSecrets()
				before := c.files()
				for _, block := range blocks[:4] {
					c.follow(block, other)
				}
				c.run("linuxguard-bridge send --wait --url https://localhost/webhooks/linuxguard --secret file:" + secretFile + " --ca-file " + certFile)
				if name == "apt" {
					c.follow("apt purge linuxguard-bridge\n", other)
				} else {
					c.follow(blocks[4], other)
				}
				if left := c.leftSince(before); len(left) > 0 {
					t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
				}
			})
		}
	}
}

// follow runs the lines of a block but for those that begin with other, which are for the other kind of system.
func (c *container) follow(block, other string) {
	c.t.Helper()
	var script strings.Builder
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, other) {
			script.WriteString(line)
		}
	}
	deb, rpm := c.run("dpkg --print-architecture"), c.run("uname -m")
	c.run(readmeTools + strings.NewReplacer("VERSION", newVersion+"-1", "amd64.deb", deb+".deb", "x86_64.rpm", rpm+".rpm").Replace(script.String()))
}

// installBlocks are the blocks of commands in the README's section on installation.
func installBlocks(t *testing.T) []string {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(read(t, filepath.Join(root, "README.md")), "\n## Install and configure\n")
	if !found {
		t.Fatal("README has no section on installation")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for rest := section; ; {
		_, after, found := strings.Cut(rest, "\n```sh\n")
		if !found {
			return blocks
		}
		var block string
		block, rest, _ = strings.Cut(after, "```")
		blocks = append(blocks, block)
	}
}
