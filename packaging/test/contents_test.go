//go:build packages

package packagetest

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// both is what each package has, beside what lintian and rpmlint look for.
var both = []string{
	"/usr/bin/linuxguard-bridge", "/etc/linuxguard-bridge/config.toml",
	"/usr/lib/systemd/system/linuxguard-bridge.service", "/usr/lib/systemd/system/linuxguard-bridge.socket",
	"/usr/lib/sysusers.d/linuxguard-bridge.conf", "/usr/lib/tmpfiles.d/linuxguard-bridge.conf",
	"/etc/logrotate.d/linuxguard-bridge", "/usr/share/doc/linuxguard-bridge/config.reference.toml", "/usr/share/doc/linuxguard-bridge/examples/low-ports.conf",
	"/usr/share/doc/linuxguard-bridge/README.md", "/usr/share/doc/linuxguard-bridge/contrib/README.md",
	"/usr/share/man/man8/linuxguard-bridge.8.gz", "/usr/share/man/man5/linuxguard-bridge.toml.5.gz",
	"/usr/share/bash-completion/completions/linuxguard-bridge", "/usr/share/fish/vendor_completions.d/linuxguard-bridge.fish",
}

// commands have a page of section 1 each.
var commands = []string{"run", "check", "config-show", "reload", "tail", "status", "trace", "audit", "quarantine", "quarantine-resend", "losses", "losses-acknowledge", "queue-replay", "send", "render", "demo", "version"}

// TestContents looks at what is in the packages, and at the list of it.
func TestContents(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(packagesOf(t), newVersion)
	want := slices.Clone(both)
	for _, command := range commands {
		want = append(want, "/usr/share/man/man1/linuxguard-bridge-"+command+".1.gz")
	}
	inDeb := listed(t, "dpkg-deb", "--fsys-tarfile", find(t, dir, "*.deb"))
	inRPM := listed(t, "rpm", "-qlp", find(t, dir, "*.rpm"))
	missing(t, "the .deb", inDeb, append(slices.Clone(want), "/usr/share/doc/linuxguard-bridge/copyright",
		"/usr/share/doc/linuxguard-bridge/changelog.Debian.gz", "/usr/share/zsh/vendor-completions/_linuxguard-bridge"))
	missing(t, "the .rpm", inRPM, append(slices.Clone(want), "/usr/share/licenses/linuxguard-bridge/LICENSE",
		"/usr/share/zsh/site-functions/_linuxguard-bridge"))
	run(t, dir, "sha256sum", "--check", "--strict", "SHA256SUMS")
	sbom := read(t, find(t, dir, "*.cdx.json"))
	for _, module := range []string{`"bomFormat": "CycloneDX"`, `"pkg:golang/github.com/spf13/cobra@v`, `"name": "std"`} {
		if !strings.Contains(sbom, module) {
			t.Errorf("the list of what is inside lacks %s", module)
		}
	}
}

// TestManualPages: what a page says is what --help says; cobra makes pages by way of Markdown, which eats underscores.
func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "dpkg-deb", "--extract", find(t, filepath.Join(packagesOf(t), newVersion), "*.deb"), dir)
	for page, want := range map[string]string{
		"man1/linuxguard-bridge-send.1.gz": "IDs of its own that begin with sig_test_", "man8/linuxguard-bridge.8.gz": "--config", "man5/linuxguard-bridge.toml.5.gz": "max_message_bytes",
	} {
		text := run(t, dir, "sh", "-c", `zcat "$0" | sed 's/\\-/-/g; s/\\//g'`, filepath.Join(dir, "usr/share/man", page))
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %q", page, want)
		}
	}
	if said := run(t, dir, filepath.Join(dir, "usr/bin/linuxguard-bridge"), "__complete", "quarantine", ""); !strings.Contains(said, "resend\t") {
		t.Errorf("the completion of quarantine says %q", said)
	}
}

// listed returns the paths in a package.
func listed(t *testing.T, command ...string) []string {
	t.Helper()
	if command[0] == "dpkg-deb" {
		command = []string{"sh", "-c", `dpkg-deb --fsys-tarfile "$0" | tar -t | sed 's/^\.//'`, command[2]}
	}
	return strings.Split(run(t, ".", command...), "\n")
}

func missing(t *testing.T, name string, have, want []string) {
	t.Helper()
	for _, path := range want {
		if !slices.Contains(have, path) {
			t.Errorf("%s lacks %s", name, path)
		}
	}
}

func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	out, err := repo.Output(t.Context(), dir, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBinary: position-independent, and all that it asks of the system is the loader, so that it runs with any libc's
// version, from Debian 11 and RHEL 8 on.
func TestBinary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "dpkg-deb", "--extract", find(t, filepath.Join(packagesOf(t), newVersion), "*.deb"), dir)
	f, err := elf.Open(filepath.Join(dir, "usr/bin/linuxguard-bridge"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs the libraries %q (%v)", libraries, err)
	}
	flags, err := f.DynValue(elf.DT_FLAGS_1)
	if err != nil || f.Type != elf.ET_DYN || len(flags) != 1 || elf.DynFlag1(flags[0])&elf.DF_1_PIE == 0 {
		t.Errorf("it is no position-independent executable: %v, flags %v (%v)", f.Type, flags, err)
	}
	if interpreter := f.Section(".interp"); interpreter != nil {
		name, _ := interpreter.Data()
		if path := strings.TrimRight(string(name), "\x00"); !slices.Contains([]string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"}, path) {
			t.Errorf("its loader is %s", path)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "etc/linuxguard-bridge/config.toml")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the configuration's mode: %v (%v)", info.Mode(), err)
	}
}
