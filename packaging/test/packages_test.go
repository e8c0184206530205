//go:build packages

package packagetest

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// The two versions between which the tests go up and down. Both are built from this tree.
const oldVersion, newVersion = "1.0.0", "1.1.0"

// buildTime is when the packages were made, by their own words: any fixed time does.
const buildTime = "SOURCE_DATE_EPOCH=1767225600"

// given is for working on the tests: go test -tags packages ./packaging/test -packages FOLDER.
var given = flag.String("packages", "", "`folder` with the packages of both versions, instead of building them")

// packages builds, once, both versions for this machine's architecture and returns their folder.
var packages = sync.OnceValues(func() (string, error) {
	if *given != "" {
		return filepath.Abs(*given)
	}
	root, err := repo.Root()
	if err != nil {
		return "", err
	}
	dir, err := repo.Cache("package-test/packages")
	if err != nil {
		return "", err
	}
	for _, version := range []string{oldVersion, newVersion} {
		if err := build(root, filepath.Join(dir, version), version, runtime.GOARCH); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// build runs packaging/build of the tree in root.
func build(root, out, version, arches string, environment ...string) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(root, "packaging/build"))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "VERSION=v"+version, "DIST="+out, "ARCHES="+arches, buildTime)
	cmd.Env = append(cmd.Env, environment...)
	_, err := output(cmd)
	return err
}

// packagesOf returns the folder of packages or ends the test.
func packagesOf(t *testing.T) string {
	t.Helper()
	dir, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// find returns the one file in dir that pattern matches.
func find(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in %s: want one file, found %d (%v)", pattern, dir, len(found), err)
	}
	return found[0]
}

// TestLint: lintian and rpmlint have nothing to say but what the override files explain.
func TestLint(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := repo.Output(t.Context(), root, "packaging/lint", filepath.Join(packagesOf(t), newVersion)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestReproducible builds a second time in a copy of the tree at another place: each file must be the same byte for
// byte. The long form has both architectures and compiles everything anew.
func TestReproducible(t *testing.T) {
	t.Parallel()
	first := filepath.Join(packagesOf(t), newVersion)
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "a", "longer", "path")
	copyTree(t, root, copied)
	arches, environment := runtime.GOARCH, []string(nil)
	if os.Getenv("LINUXGUARD_LONG") != "" {
		arches, environment = "amd64 arm64", []string{"GOCACHE=" + filepath.Join(t.TempDir(), "gocache")}
		first = filepath.Join(t.TempDir(), "first")
		if err := build(root, first, newVersion, arches); err != nil {
			t.Fatal(err)
		}
	}
	second := filepath.Join(t.TempDir(), "second")
	if err := build(copied, second, newVersion, arches, environment...); err != nil {
		t.Fatal(err)
	}
	want, got := read(t, filepath.Join(first, "SHA256SUMS")), read(t, filepath.Join(second, "SHA256SUMS"))
	if want != got || strings.Count(want, "\n") < 3 {
		t.Errorf("built twice from the same sources:\n%s\nand\n%s", want, got)
	}
}

// copyTree copies what git knows of and what is new, not what it ignores, with git's own folder, from which the binary
// has its commit, and the built tools, which nothing of the product goes through.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(to, ".cache", "tools"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := `git -C "$0" ls-files -z --cached --others --exclude-standard | tar -C "$0" --null --ignore-failed-read -T - -c | tar -C "$1" -x
		cp -a "$0/.git" "$1/"
		cp -p "$0/.cache/tools/nfpm" "$1/.cache/tools/"`
	if out, err := repo.Output(t.Context(), from, "sh", "-ec", script, from, to); err != nil {
		t.Fatalf("copy the tree: %v\n%s", err, out)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
