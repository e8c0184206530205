package config

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
	"github.com/linuxguard/linuxguard-bridge/bridge/permission"
	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// Bounds of [queue] and [dedupe].
const (
	minQueueBytes    = 64 << 10
	maxQueueBytes    = 1 << 50
	lowCapacity      = 1000 // warned of
	maxCapacity      = 100_000_000
	deliveryBytes    = 130       // what remembering one delivery takes of memory
	besideDeliveries = 128 << 20 // what senders without the secret can make the receiver hold at the defaults
	maxWindow        = 2 * 365 * 24 * time.Hour
)

// Where the daemon keeps its things when systemd doesn't say.
const (
	defaultStateDirectory   = "/var/lib/linuxguard-bridge"
	defaultRuntimeDirectory = "/run/linuxguard-bridge"
)

// directory returns the first of the folders that systemd names in a variable (several are separated by colons), or
// the fallback.
func (l *loader) directory(variable, fallback string) string {
	first, _, _ := strings.Cut(l.opts.Getenv(variable), ":")
	if first == "" {
		return fallback
	}
	return first
}

// checkQueue reads [queue].
func (l *loader) checkQueue() {
	at, q := path("queue"), l.file.Queue
	l.oneOf(at.key("kind"), q.Kind, "local", "postgres")
	shared := q.Kind == "postgres"
	if q.Directory == "" && !shared {
		q.Directory = l.directory("STATE_DIRECTORY", defaultStateDirectory)
		l.file.Queue.Directory = q.Directory
	}
	l.cfg.Queue = Queue{Directory: q.Directory, MaxBytes: int64(q.MaxBytes), QuarantineMaxBytes: int64(q.QuarantineMaxBytes), Keep: time.Duration(q.Keep)}
	within(l, at.key("max_bytes"), q.MaxBytes, minQueueBytes, maxQueueBytes, setting.Size.String)
	within(l, at.key("quarantine_max_bytes"), q.QuarantineMaxBytes, minQueueBytes, maxQueueBytes, setting.Size.String)
	if q.Keep != 0 {
		within(l, at.key("keep"), time.Duration(q.Keep), time.Second, maxWindow, formatDuration)
	}
	l.checkRoom(at, q)
	if l.cfg.Server.StateDirectory == "" {
		l.cfg.Server.StateDirectory = q.Directory
		l.file.Server.StateDirectory = q.Directory
	}
	if l.cfg.Server.ACME != nil {
		l.canWrite(path("server", "state_directory"), l.cfg.Server.StateDirectory, permission.WriteFolder)
	}
	if shared {
		l.checkSharedQueue(at, q)
		return
	}
	l.onlyWith(at, "kind = \"postgres\"", "url", "password", "client_cert", "client_key", "ca_file", "schema", "replicated_by", "bridge_name", "takeover", "pooler")
	l.checkDirectory(at.key("directory"), q)
}

// checkRoom demands that the largest webhook, with what is stored beside its body, fits: four times into the queue, so that one
// doesn't drive out everything else, and into the half of the quarantine that is the receiver's and each output's share of the
// other half.
func (l *loader) checkRoom(at keyPath, q queueTable) {
	body := int64(l.file.Server.MaxBodyBytes)
	largest := body + FrameBytes
	if need := 4 * largest; q.MaxBytes >= minQueueBytes && int64(q.MaxBytes) < need {
		l.errorf(at.key("max_bytes"), "raise it, or lower server.max_body_bytes", "must be at least %s, room for four of the largest webhooks "+
			"(server.max_body_bytes is %s, and each takes up to %s more)", setting.FormatSize(need), setting.FormatSize(body), setting.FormatSize(FrameBytes))
	}
	named, _ := l.tree["output"].(map[string]any)
	outputs := max(1, int64(len(named)))
	if need := 2 * outputs * largest; q.QuarantineMaxBytes >= minQueueBytes && int64(q.QuarantineMaxBytes) < need {
		l.errorf(at.key("quarantine_max_bytes"), "raise it, or lower server.max_body_bytes", "must be at least %s, so that the largest webhook fits "+
			"into an output's share of it (server.max_body_bytes is %s, half of the quarantine is shared by the outputs, of which there are %d)",
			setting.FormatSize(need), setting.FormatSize(body), outputs)
	}
}

// checkDirectory looks at the queue's folder. It need not exist: the daemon makes it.
func (l *loader) checkDirectory(at keyPath, q queueTable) {
	if !filepath.IsAbs(q.Directory) {
		l.errorf(at, "", "must begin with a slash, not %q", q.Directory)
		return
	}
	l.canWrite(at, q.Directory, permission.WriteFolder)
	info, err := os.Stat(q.Directory)
	switch {
	case err != nil && !os.IsNotExist(err):
		l.errorf(at, "", "can't use %q: %s", q.Directory, permission.Reason(err))
	case err == nil && !info.IsDir():
		l.errorf(at, "", "%q is not a directory", q.Directory)
	case err == nil && info.Mode().Perm()&0o007 != 0:
		l.warnf(at, "chmod o= "+q.Directory, "other users have access to the queue's directory (mode %04o)", info.Mode().Perm())
	}
	wanted := int64(q.MaxBytes + q.QuarantineMaxBytes)
	if free, ok := l.opts.FreeBytes(q.Directory); ok && free < wanted && err == nil {
		l.warnf(at, "make room, or lower max_bytes", "the file system has %s left, less than queue.max_bytes and queue.quarantine_max_bytes (%s)",
			display.Size(free), display.Size(wanted))
	}
}

// freeBytes asks the kernel how much a file system has left for us.
func freeBytes(directory string) (int64, bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil || stat.Bavail > math.MaxInt64/uint64(max(stat.Bsize, 1)) {
		return 0, false
	}
	return int64(stat.Bavail) * stat.Bsize, true //nolint:gosec // bounded above
}

// checkDedupe reads [dedupe].
func (l *loader) checkDedupe() {
	at, d := path("dedupe"), l.file.Dedupe
	l.cfg.Dedupe = Dedupe(d)
	within(l, at.key("capacity"), d.Capacity, 1, maxCapacity, formatInt)
	within(l, at.key("window"), d.Window, time.Second, maxWindow, formatDuration)
	if need := int64(d.Capacity) * deliveryBytes; l.opts.MemoryLimit > 0 && need+besideDeliveries > l.opts.MemoryLimit {
		l.warnf(at.key("capacity"), "raise MemoryHigh= and MemoryMax= of the unit, or lower it",
			"the memory of %d deliveries takes up to %s of the %s that the service manager grants", d.Capacity, display.Size(need), display.Size(l.opts.MemoryLimit))
	}
	if d.Capacity > 0 && d.Capacity < lowCapacity {
		l.warnf(at.key("capacity"), "", "a memory of %d deliveries is soon full, and what it forgets too early can't be told from a replay", d.Capacity)
	}
	for _, e := range l.cfg.Endpoints {
		l.checkWindow(at.key("window"), d.Window, e)
	}
}

// checkWindow demands that what freshness admits is still remembered, else a replay could be taken for new.
func (l *loader) checkWindow(at keyPath, window time.Duration, e Endpoint) {
	needed := e.MaxAge + e.ClockSkew
	switch {
	case needed <= window:
	case l.isSet(at):
		l.errorf(at, "a replay could be taken for new", "must be at least %s, the max_age and clock_skew of endpoint %s",
			formatDuration(needed), e.Name)
	default:
		l.errorf(path("endpoint", e.Name, "max_age"), "a replay could be taken for new: set dedupe.window",
			"max_age and clock_skew are %s together, more than dedupe.window (%s)", formatDuration(needed), formatDuration(window))
	}
}
