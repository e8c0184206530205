// Package repo knows where the repository and its ignored cache folder are, for tests that build or fetch programs.
package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const module = "github.com/linuxguard/linuxguard-bridge"

// Root is the repository's top folder, found upwards from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		first, _, _ := strings.Cut(string(b), "\n")
		if err == nil && strings.TrimSpace(first) == "module "+module {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not in the repository of " + module)
		}
		dir = parent
	}
}

// Cache is the folder name in .cache of the repository; it is made when it is missing.
func Cache(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Locked runs f while no other process that uses the same folder runs its own: test packages run in parallel.
func Locked(dir string, f func() error) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // closing releases the lock; nothing was written
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return f()
}

// Build builds package pkg of the module in dir into the file binary; the Go tool leaves one that is up to date alone.
func Build(ctx context.Context, dir, pkg, binary string, flags ...string) error {
	return Locked(filepath.Dir(binary), func() error {
		// The stamp of the commit is left out: it needs a git that trusts the folder's owner.
		args := append([]string{"build", "-buildvcs=false", "-o", binary}, append(flags, pkg)...)
		_, err := Output(ctx, dir, "go", args...)
		return err
	})
}

// Output runs a program in dir and returns what it printed, or an error that quotes its last words.
func Output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, lastLines(stderr.String(), 3))
	}
	return string(text), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
