//go:build packages

package packagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lifetime bounds a container; a test that hangs ends with it.
const lifetime = 10 * time.Minute

// container is one booted system.
type container struct {
	t       *testing.T
	suite   string
	cgroup  string // of the unified hierarchy, with everything inside of the container below
	leader  string // its process 1, seen from outside
	systemd int    // version
}

// boot starts a fresh system of suite and waits until it is up. It ends with the test.
func boot(t *testing.T, suite string) *container {
	t.Helper()
	root, dist := rootfs(t, suite), packagesOf(t)
	probe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("lgpackage-%d-%s", os.Getpid(), strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())))
	name = strings.Trim(name[:min(len(name), 60)], "-")
	c := &container{t: t, suite: suite}
	folders := makeCgroups(t, name)
	c.cgroup = folders[0]
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	cmd := exec.CommandContext(ctx, "sh",
		"-ec", enterCgroups(folders)+`exec "$@"`, "boot", "systemd-nspawn",
		"--quiet", "--boot", "--directory="+root, "--volatile=overlay", "--machine="+name,
		"--register=no", "--keep-unit", "--private-network", "--link-journal=no", "--console=pipe",
		"--capability=all", "--drop-capability=CAP_SYS_MODULE", "--system-call-filter=bpf",
		"--bind-ro="+dist+":/packages", "--bind-ro="+probe+":/opt/probe",
	)
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	console, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.reportFailure(console.Name())
		// The kernel ends all that is in the container, however deep.
		_ = os.WriteFile(filepath.Join(c.cgroup, "cgroup.kill"), []byte("1"), 0)
		cancel()
		_ = cmd.Wait()
		_ = console.Close()
		for _, folder := range folders {
			removeCgroups(folder)
		}
	})
	c.awaitBoot()
	return c
}

// makeCgroups makes a cgroup of the container's own in the unified hierarchy, and in systemd's named one where the
// machine still has it (cgroup v1). The unified one is first.
func makeCgroups(t *testing.T, name string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var unified, named string
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		_, after, _ := strings.Cut(line, " - ")
		switch {
		case strings.HasPrefix(after, "cgroup2 ") && unified == "":
			unified = fields[4]
		case strings.HasPrefix(after, "cgroup ") && strings.Contains(after, "name=systemd"):
			named = fields[4]
		}
	}
	if unified == "" {
		t.Fatal("no cgroup2 file system is mounted here: systemd-nspawn can't boot a system without one")
	}
	folders := []string{filepath.Join(unified, name)}
	if named != "" {
		folders = append(folders, filepath.Join(named, name))
	}
	for _, folder := range append([]string{filepath.Join(folders[0], "visitors")}, folders...) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folders
}

// enterCgroups is the piece of shell that moves the shell itself.
func enterCgroups(folders []string) string {
	var b strings.Builder
	for _, folder := range folders {
		fmt.Fprintf(&b, "echo $$ >%s/cgroup.procs; ", folder)
	}
	return b.String()
}

// removeCgroups removes folder and what is below it, deepest first; the kernel needs a moment after the last process.
func removeCgroups(folder string) {
	for range 50 {
		var all []string
		_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append([]string{path}, all...)
			}
			return nil
		})
		for _, path := range all {
			_ = os.Remove(path)
		}
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *container) awaitBoot() {
	c.t.Helper()
	c.await("process 1", func() bool {
		b, _ := os.ReadFile(filepath.Join(c.cgroup, "payload/init.scope/cgroup.procs"))
		c.leader, _, _ = strings.Cut(string(b), "\n")
		return c.leader != ""
	})
	c.await("the end of the boot", func() bool {
		state, _ := c.try("systemctl is-system-running")
		return state == "running" || state == "degraded"
	})
	fields := strings.Fields(c.run("systemctl --version"))
	version, err := strconv.Atoi(fields[1])
	if err != nil {
		c.t.Fatalf("systemctl --version says %q", fields)
	}
	c.systemd = version
}

// await polls until done; a minute is much more than anything here takes.
func (c *container) await(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited for a minute for %s", what)
		}
	}
}

// command prepares a shell script in the container, with a cgroup, an environment and namespaces of the container's.
func (c *container) command(ctx context.Context, script string) *exec.Cmd {
	return exec.CommandContext(ctx, "sh", "-ec", `echo $$ >`+c.cgroup+`/visitors/cgroup.procs
		exec nsenter --target "$0" --mount --uts --ipc --net --pid --cgroup --root --wd \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		SYSTEMD_PAGER= sh -ec "$1"`, c.leader, script)
}

// try runs a shell script in the container and returns its standard output.
func (c *container) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	return output(c.command(ctx, script))
}

// run is try for what must succeed.
func (c *container) run(script string) string {
	c.t.Helper()
	out, err := c.try(script)
	if err != nil {
		c.t.Fatalf("%s: %s\n%v\n%s", c.suite, script, err, out)
	}
	return out
}

// expect runs a script that must succeed and print want.
func (c *container) expect(want, script string) {
	c.t.Helper()
	if got := c.run(script); got != want {
		c.t.Errorf("%s: %s\nsays %q, want %q", c.suite, script, got, want)
	}
}

// refuses runs a script that must fail with want as its exit code, and returns all that it said.
func (c *container) refuses(want int, script string) string {
	c.t.Helper()
	out, err := c.try(script + " 2>&1")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		c.t.Errorf("%s: %s\nends with %v, want exit code %d\n%s", c.suite, script, err, want, out)
	}
	return out
}

// write puts a file into the container, by way of a shell that keeps its owner and mode when it exists.
func (c *container) write(path, content string) {
	c.t.Helper()
	c.run(fmt.Sprintf("mkdir -p %s && cat >%s <<'END-OF-FILE'\n%s\nEND-OF-FILE", filepath.Dir(path), path, strings.TrimSuffix(content, "\n")))
}

// property is one of systemd's words about the service.
func (c *container) property(name string) string {
	c.t.Helper()
	return c.run("systemctl show --value --property=" + name + " linuxguard-bridge.service")
}

// reportFailure shows what helps to understand a failure.
func (c *container) reportFailure(console string) {
	if !c.t.Failed() {
		return
	}
	if b, err := os.ReadFile(console); err == nil && len(b) > 0 {
		c.t.Logf("console:\n%s", b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if out, err := output(c.command(ctx, "journalctl --no-pager -n 60 -u linuxguard-bridge.service -u linuxguard-bridge.socket")); err == nil {
		c.t.Logf("%s: journal:\n%s", c.suite, out)
	}
}

// output runs a command and returns its trimmed standard output; the error quotes the end of what it said otherwise.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err != nil {
		words := strings.TrimSpace(stderr.String())
		err = fmt.Errorf("%w: %s", err, words[max(0, len(words)-2000):])
	}
	return strings.TrimSpace(stdout.String()), err
}
