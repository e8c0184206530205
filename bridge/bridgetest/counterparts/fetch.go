package counterparts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/repo"
)

// debian is one program's set of packages. Names with a "|" are alternatives: releases rename libraries; an empty last
// one stands for none.
type debian struct {
	name     string
	packages []string
	binary   string // in the unpacked tree; "*" stands for a version
}

func rsyslogPackages() debian {
	return debian{"rsyslog", []string{"rsyslog", "rsyslog-relp", "rsyslog-openssl", "libestr0", "libfastjson4", "liblognorm5", "librelp0"},
		"usr/sbin/rsyslogd"}
}

func syslogNGPackages() debian {
	return debian{"syslog-ng", []string{"syslog-ng-core", "libivykis0|libivykis0t64", "libnet1|libnet9", "libpcre3|libpcre2-8-0",
		"libwrap0", "libjson-c5"}, "usr/sbin/syslog-ng"}
}

// tree is one unpacked set of packages.
type tree struct {
	root     string
	binary   string // absolute
	versions string // "rsyslog 8.2302.0-1+deb12u2, ..."
}

const stampFile = "unpacked-versions"

// fetch unpacks d into the cache, once: the stamp is written last and names the packages that it stands for.
func (d debian) fetch(ctx context.Context) (tree, error) {
	cache, err := repo.Cache("counterparts")
	if err != nil {
		return tree{}, err
	}
	t := tree{root: filepath.Join(cache, d.name)}
	want := strings.Join(d.packages, " ")
	err = repo.Locked(cache, func() error {
		stamp, err := os.ReadFile(filepath.Join(t.root, stampFile))
		if head, versions, ok := strings.Cut(string(stamp), "\n"); err == nil && ok && head == want {
			t.versions = versions
			return nil
		}
		t.versions, err = d.unpack(ctx, t.root, cache)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(t.root, stampFile), []byte(want+"\n"+t.versions), 0o644)
	})
	if err == nil {
		t.binary, err = d.find(t.root)
	}
	if err != nil {
		return tree{}, fmt.Errorf("%s can't be had from Debian's packages (needs apt-get, dpkg and a reachable archive): %w", d.name, err)
	}
	return t, nil
}

// unpack downloads with the system's package lists, and when those are missing or stale with lists of its own, which
// needs no root and leaves the system as it is.
func (d debian) unpack(ctx context.Context, root, cache string) (versions string, err error) {
	debs := root + ".debs"
	for _, dir := range []string{root, debs} {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	defer os.RemoveAll(debs) //nolint:errcheck // left-overs are removed at the next start
	if err := d.download(ctx, debs, nil); err != nil {
		own, ownErr := ownLists(ctx, filepath.Join(cache, "apt"))
		if ownErr != nil {
			return "", errors.Join(err, ownErr)
		}
		if err := d.download(ctx, debs, own); err != nil {
			return "", err
		}
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return "", err
	}
	var all []string
	for _, file := range files {
		if _, err := repo.Output(ctx, "", "dpkg", "-x", file, root); err != nil {
			return "", err
		}
		line, err := repo.Output(ctx, "", "dpkg-deb", "--showformat=${Package} ${Version}", "--show", file)
		if err != nil {
			return "", err
		}
		all = append(all, line)
	}
	binary, err := d.find(root)
	if err != nil {
		return "", err
	}
	return strings.Join(all, ", "), missingLibraries(ctx, binary, root)
}

// find returns the binary's path in an unpacked tree.
func (d debian) find(root string) (string, error) {
	found, err := filepath.Glob(filepath.Join(root, d.binary))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the packages have %d of %s", len(found), d.binary)
	}
	return found[0], nil
}

func (d debian) download(ctx context.Context, dir string, options []string) error {
	args := append([]string{"-q"}, options...)
	if os.Geteuid() == 0 {
		// apt would drop to its own user, which can't write into our folder.
		args = append(args, "-o", "APT::Sandbox::User=root")
	}
	args = append(args, "download")
	for _, alternatives := range d.packages {
		name, err := known(ctx, strings.Split(alternatives, "|"), options)
		if err != nil {
			return err
		}
		if name != "" {
			args = append(args, name)
		}
	}
	_, err := repo.Output(ctx, dir, "apt-get", args...)
	return err
}

// known is the first of names that the package lists have.
func known(ctx context.Context, names, options []string) (string, error) {
	for _, name := range names {
		if name == "" {
			return "", nil
		}
		args := append(append([]string{}, options...), "policy", name)
		text, err := repo.Output(ctx, "", "apt-cache", args...)
		if err != nil {
			return "", err
		}
		if strings.Contains(text, "Candidate:") && !strings.Contains(text, "Candidate: (none)") {
			return name, nil
		}
	}
	return "", fmt.Errorf("no package %s in apt's lists", strings.Join(names, " or "))
}

// ownLists fetches package lists into dir and returns the options by which apt uses them.
func ownLists(ctx context.Context, dir string) ([]string, error) {
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	options := []string{"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
		"-o", "APT::Sandbox::User=" + strconv.Itoa(os.Geteuid())}
	if os.Geteuid() == 0 {
		options[len(options)-1] = "APT::Sandbox::User=root"
	}
	_, err := repo.Output(ctx, "", "apt-get", append(append([]string{"-q"}, options...), "update")...)
	return options, err
}

// missingLibraries says by name what the system lacks to run binary.
func missingLibraries(ctx context.Context, binary, root string) error {
	if isScript(binary) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "ldd", binary)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraryPath(root))
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", binary, err)
	}
	var missing []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), " => not found"); ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s needs libraries that this system lacks: %s", filepath.Base(binary), strings.Join(missing, ", "))
	}
	return nil
}

func isScript(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.HasPrefix(b, []byte("#!"))
}

// libraryPath is LD_LIBRARY_PATH for an unpacked tree.
func libraryPath(root string) string {
	dirs := []string{filepath.Join(root, "usr/lib/syslog-ng")}
	for _, pattern := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		dirs = append(dirs, found...)
	}
	return strings.Join(dirs, ":")
}
