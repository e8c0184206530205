package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/survived"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
)

// diskRig is a daemon whose one output can't deliver until release, so that what was acknowledged is on the disk alone.
type diskRig struct {
	*bridgetest.Bridge
	t         *testing.T
	archive   string
	options   bridgetest.Options
	failpoint string
	oracle    *oracle
	client    *sender.Client
	held      map[string]sender.Delivery // acknowledged, by signal ID
}

func newDiskRig(t *testing.T, o bridgetest.Options) *diskRig {
	t.Helper()
	dir := t.TempDir()
	r := &diskRig{t: t, archive: filepath.Join(dir, "archive.ndjson"), failpoint: filepath.Join(dir, "failpoint"),
		oracle: &oracle{acknowledged: map[string]string{}}, held: map[string]sender.Delivery{}}
	o.Outputs = fileOutput("/dev/null/nowhere")
	o.Env = append(o.Env, "LINUXGUARD_BRIDGE_FAILPOINT="+r.failpoint)
	r.options = o
	r.Bridge = bridgetest.New(t, o)
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// Start starts the daemon and connects to it.
func (r *diskRig) Start() {
	r.t.Helper()
	r.Bridge.Start()
	r.connect()
}

func (r *diskRig) connect() {
	r.t.Helper()
	r.client = r.Client(sender.ClientOptions{Timeout: 20 * time.Second})
}

// post sends one new signal of about size bytes and returns the answer's status; a signal that was acknowledged is remembered.
func (r *diskRig) post(size int) int {
	r.t.Helper()
	e := sender.Sample(3, time.Now(), nil)
	e.Data.Description = strings.Repeat("x", size)
	d := r.Signer().Deliver(e.JSON())
	answer, err := r.client.Post(r.t.Context(), d)
	if err != nil {
		r.t.Fatalf("post: %v", err)
	}
	if answer.OK() {
		r.oracle.add(e.Data.SignalID, answer.Outcome)
		r.held[e.Data.SignalID] = d
	}
	return answer.Status
}

// accept posts n signals that must be acknowledged.
func (r *diskRig) accept(n int) {
	r.t.Helper()
	for range n {
		if status := r.post(500); status != 200 {
			r.t.Fatalf("a signal was answered %d", status)
		}
	}
}

// acceptSoon posts until a signal is acknowledged.
func (r *diskRig) acceptSoon() {
	r.t.Helper()
	bridgetest.Eventually(r.t, arrive, "a signal to be acknowledged again", func() bool { return r.post(500) == 200 })
}

// fail has the disk go wrong until recover.
func (r *diskRig) fail(what string) {
	r.t.Helper()
	if err := os.WriteFile(r.failpoint+".new", []byte(what), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.failpoint+".new", r.failpoint); err != nil {
		r.t.Fatal(err)
	}
}

func (r *diskRig) recover() {
	r.t.Helper()
	if err := os.Remove(r.failpoint); err != nil {
		r.t.Fatal(err)
	}
}

// release lets the output deliver.
func (r *diskRig) release() {
	r.t.Helper()
	r.options.Outputs = fileOutput(r.archive)
	r.Configure(r.options)
	r.Reload()
}

// delivered counts the archive's records by signal.
func (r *diskRig) delivered() map[string]int {
	return countIDs(bridgetest.JSONLinesAfterKills(r.t, r.archive))
}

// verify waits until everything acknowledged is delivered.
func (r *diskRig) verify() {
	r.t.Helper()
	missing := 0
	done := func() bool {
		missing = 0
		arrived := r.delivered()
		for id := range r.oracle.acknowledged {
			if arrived[id] == 0 {
				missing++
			}
		}
		return missing == 0
	}
	defer func() {
		if r.t.Failed() {
			r.t.Logf("%d of %d acknowledged signals are missing", missing, r.oracle.count())
		}
	}()
	bridgetest.Eventually(r.t, arrive, "all that was acknowledged", done)
}

// verifyNoLoss asks the daemon what it thinks that it has lost.
func (r *diskRig) verifyNoLoss() {
	r.t.Helper()
	if s := r.Status(); s.Queue.Losses != 0 || s.Lost != "" {
		r.t.Errorf("the daemon tells of a loss that was none: %d, %q", s.Queue.Losses, s.Lost)
	}
}

// problem waits until the daemon isn't ready and its reasons hold text, and readyz agrees.
func (r *diskRig) problem(text string) {
	r.t.Helper()
	var s admin.Status
	defer func() {
		if r.t.Failed() {
			r.t.Logf("ready: %v, reasons: %q", s.Ready, s.NotReady)
		}
	}()
	bridgetest.Eventually(r.t, arrive, "not ready: "+text, func() bool {
		s = r.Status()
		return !s.Ready && strings.Contains(strings.Join(s.NotReady, "\n"), text)
	})
}

// files is every file of the queue's folder with the digest of what is in it.
func files(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = sha256.Sum256(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReadErrorAtStart: what can't be read for some seconds is not damaged. The daemon waits, touches nothing, and has lost nothing.
func TestReadErrorAtStart(t *testing.T) {
	t.Parallel()
	r := newDiskRig(t, bridgetest.Options{})
	r.accept(100)
	r.Stop()
	before := files(t, filepath.Join(r.QueueDir(), "log"))
	r.fail("reads fail")
	started := make(chan error, 1)
	go func() { started <- r.TryStart(t.Context()) }()
	bridgetest.Eventually(t, arrive, "a word about the error", func() bool { return strings.Contains(r.RawLog(), "input/output error") })
	if len(started) > 0 {
		t.Fatalf("the start has ended: %v", <-started)
	}
	if after := files(t, filepath.Join(r.QueueDir(), "log")); !maps.Equal(before, after) {
		t.Errorf("files were changed although nothing could be read: %x, before %x", after, before)
	}
	r.recover()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	r.connect()
	r.accept(10)
	r.release()
	r.verify()
	r.verifyNoLoss()
	survived.Note(t, survived.Row{What: "every read of the queue fails while the bridge starts", Times: 1, Acknowledged: r.oracle.count()})
}

// TestReadErrorWhileRunning: reads that fail stop no append and lose nothing, also when a sync fails meanwhile.
func TestReadErrorWhileRunning(t *testing.T) {
	t.Parallel()
	r := newDiskRig(t, bridgetest.Options{})
	r.accept(100)
	r.release() // the output begins to read
	r.fail("reads fail")
	var first sender.Delivery
	for _, first = range r.held {
		break
	}
	bridgetest.Eventually(t, arrive, "a look-up that can't be read", func() bool {
		r.post(500)
		answer, err := r.client.Post(t.Context(), first)
		return err == nil && (answer.Status == 503 || answer.Outcome == "duplicate")
	})
	r.fail("a sync fails")
	bridgetest.Eventually(t, arrive, "the failed sync", func() bool {
		r.post(500)
		_, err := os.Stat(r.failpoint)
		return os.IsNotExist(err)
	})
	r.fail("reads fail")
	r.acceptSoon()
	r.recover()
	r.acceptSoon()
	r.Kill()
	r.Start()
	r.verify()
	r.verifyNoLoss()
	survived.Note(t, survived.Row{What: "every read of the queue fails under way, and a sync too, then a kill", Times: 1, Acknowledged: r.oracle.count()})
}

// TestFolderTaken: whatever becomes of the folder while the daemon runs, no signal is acknowledged that isn't at its path, and what
// was acknowledged is there again as soon as it can be.
func TestFolderTaken(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, r *diskRig){
		"deleted": func(t *testing.T, r *diskRig) {
			if err := os.RemoveAll(r.QueueDir()); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, r *diskRig) {
			if err := os.Rename(r.QueueDir(), r.QueueDir()+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(r.QueueDir(), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"cut short": func(t *testing.T, r *diskRig) {
			segments, err := filepath.Glob(filepath.Join(r.QueueDir(), "log", "*.seg"))
			if err != nil || len(segments) == 0 {
				t.Fatalf("%v, %v", segments, err)
			}
			for _, segment := range segments {
				if err := os.Truncate(segment, 4096); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newDiskRig(t, bridgetest.Options{})
			r.accept(50)
			take(t, r)
			before := r.oracle.count()
			r.post(500)
			if refused := r.oracle.count() == before; !refused && name != "cut short" {
				t.Error("a signal was acknowledged right after the folder was taken")
			}
			bridgetest.Eventually(t, arrive, "a word about it", func() bool { return strings.Contains(r.RawLog(), "was deleted, replaced, mounted over or cut short") })
			r.acceptSoon()
			r.accept(20)
			r.Kill()
			r.Start()
			r.release()
			if name == "cut short" {
				r.verifyTold()
				return
			}
			r.verify()
			survived.Note(t, survived.Row{What: "the queue's folder is " + name + " while the bridge runs, then a kill", Times: 1, Acknowledged: r.oracle.count()})
		})
	}
}

// verifyTold waits until the output is done and holds that whatever has not arrived is told as lost, by number.
func (r *diskRig) verifyTold() {
	r.t.Helper()
	bridgetest.Eventually(r.t, arrive, "an empty queue", func() bool {
		s := r.Status()
		return len(s.Outputs) == 1 && s.Outputs[0].Queued.Events == 0 && s.Outputs[0].InFlight == 0
	})
	arrived, missing := r.delivered(), 0
	for id := range r.oracle.acknowledged {
		if arrived[id] == 0 {
			missing++
		}
	}
	if s := r.Status(); missing > 0 && s.Queue.Losses == 0 {
		r.t.Errorf("%d signals are missing and no loss is told", missing)
	}
	r.t.Logf("%d of %d acknowledged signals are missing", missing, r.oracle.count())
}

// TestMountedOver: another file system at the folder's path is not the queue.
func TestMountedOver(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "queue")
	ns := newNamespace(t, "mkdir "+dir)
	r := newDiskRig(t, bridgetest.Options{QueueDir: dir, Wrap: ns.enter()})
	r.accept(50)
	ns.run("mount -t tmpfs -o size=64m,mode=700 none " + dir)
	if r.post(500) == 200 {
		t.Error("a signal was acknowledged right after another file system was mounted over the queue")
	}
	bridgetest.Eventually(t, arrive, "a word about it", func() bool { return strings.Contains(r.RawLog(), "was deleted, replaced, mounted over or cut short") })
	r.acceptSoon()
	r.accept(20)
	r.Kill()
	r.Start()
	r.release()
	r.verify()
}

// TestDiskFull: a file system that is full refuses what is new, makes room once events are delivered, and goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for name, mount := range map[string]string{
		"tmpfs": "mount -t tmpfs -o size=12m,mode=700 none DIR",
		"ext4":  "truncate -s 14M DIR.image && mkfs.ext4 -q -O ^has_journal -m 0 DIR.image && mount -o loop DIR.image DIR",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "ext4" && os.Geteuid() != 0 {
				if bridgetest.Count(0, 1) > 0 {
					t.Fatal("mounting an ext4 image needs root; the long form wants it")
				}
				t.Skip("mounting an ext4 image needs root; the long form wants it, and tmpfs was tried")
			}
			testDiskFull(t, mount)
		})
	}
}

func testDiskFull(t *testing.T, mount string) {
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ns := newNamespace(t, strings.ReplaceAll(mount, "DIR", dir))
	r := newDiskRig(t, bridgetest.Options{QueueDir: filepath.Join(dir, "queue"), Wrap: ns.enter(), Queue: `max_bytes = "64MiB"
quarantine_max_bytes = "8MiB"`, Server: `max_body_bytes = "256KiB"`})
	bridgetest.Eventually(t, 2*arrive, "the disk to be full", func() bool { return r.post(100_000) == 503 })
	r.problem("no space left")
	full := r.oracle.count()
	if full < 10 {
		t.Fatalf("full after %d signals", full)
	}
	r.Kill() // a full disk is no reason not to start
	r.Start()
	r.release()
	r.verify()
	for range 2 * full { // through every segment again
		bridgetest.Eventually(t, arrive, "room", func() bool { return r.post(100_000) == 200 })
	}
	r.verify()
	r.verifyNoLoss()
	if s := r.Status(); !s.Ready {
		t.Errorf("not ready although there is room: %q", s.NotReady)
	}
	survived.Note(t, survived.Row{What: "the disk is full, the bridge is killed and started on it, and room is made", Times: 1, Acknowledged: r.oracle.count(),
		Remark: fmt.Sprintf("%d signals filled it, the next was answered 503", full)})
}

// TestNoInodes: where no file can be made, quarantined signals wait in the log for theirs, and nothing is lost.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ns := newNamespace(t, "mount -t tmpfs -o size=64m,nr_inodes=20,mode=700 none "+dir)
	r := newDiskRig(t, bridgetest.Options{QueueDir: filepath.Join(dir, "queue"), Wrap: ns.enter(), Endpoint: `tenants = ["ours"]`,
		Queue: `max_bytes = "32MiB"
quarantine_max_bytes = "8MiB"`})
	const items = 60 // more than there are inodes
	for range items {
		if status := r.post(500); status != 200 {
			t.Fatalf("a signal for the quarantine was answered %d", status)
		}
	}
	r.Kill()
	r.Start()
	list, stderr, code := r.Command(nil, "quarantine", "list", "--json")
	if n := strings.Count(list, `"delivery_id"`); code != 0 || n != items {
		t.Errorf("quarantine list has %d of %d items, exit code %d: %s", n, items, code, stderr)
	}
	if _, stderr, code := r.Command(nil, "quarantine", "drop", "--all", "--yes"); code != 0 {
		t.Fatalf("quarantine drop: %d, %s", code, stderr)
	}
	bridgetest.Eventually(t, arrive, "an empty quarantine", func() bool { return r.Status().Queue.Quarantine == 0 })
	r.acceptSoon()
	r.verifyNoLoss()
}

// TestCrashLoop: a daemon that dies right after each start moves its outputs on all the same.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	r := newDiskRig(t, bridgetest.Options{})
	r.release()
	const each = 20
	crashes := bridgetest.Count(10, 100)
	for range crashes {
		r.accept(each)
		r.Kill()
		r.Start()
	}
	r.verify()
	records := 0
	for _, n := range r.delivered() {
		records += n
	}
	// What was in flight at a kill comes again: at most what was sent since the start before it.
	if limit := r.oracle.count() + crashes*each; records > limit {
		t.Errorf("%d records of %d signals after %d crashes, want at most %d", records, r.oracle.count(), crashes, limit)
	}
	survived.Note(t, survived.Row{What: "the bridge is killed right after each start", Times: crashes, Acknowledged: r.oracle.count(),
		Remark: fmt.Sprintf("%d records arrived", records)})
}

// namespace is a mount namespace of its own, kept by a process that sleeps in it. Without root it is in a user namespace as well.
type namespace struct {
	t   *testing.T
	pid int
}

// newNamespace runs script, for a shell, in a new mount namespace.
func newNamespace(t *testing.T, script string) *namespace {
	t.Helper()
	args := []string{"-m", "--propagation", "private"}
	if os.Geteuid() != 0 {
		args = append(args, "-U", "-r")
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "unshare", append(args, "sh", "-c", script+" && echo ready && exec sleep 1d")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("a mount namespace needs util-linux's unshare: %v", err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		stop()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		t.Fatalf("this machine lets nobody but root mount, not even in a namespace of its own (kernel.unprivileged_userns_clone): %s", stderr.String())
	}
	return &namespace{t: t, pid: cmd.Process.Pid}
}

// enter is the command that runs another one in the namespace.
func (n *namespace) enter() []string {
	args := []string{"nsenter", "-t", strconv.Itoa(n.pid), "-m"}
	if os.Geteuid() != 0 {
		args = append(args, "-U", "--preserve-credentials")
	}
	return append(args, "--")
}

// run runs script in the namespace.
func (n *namespace) run(script string) {
	n.t.Helper()
	args := append(n.enter(), "sh", "-c", script)
	if out, err := exec.CommandContext(n.t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", script, err, out)
	}
}
