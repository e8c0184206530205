package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
	"github.com/linuxguard/linuxguard-bridge/outputs/outputtest"
)

// faulty is a real file whose calls fail as a test wants.
type faulty struct {
	*os.File
	faults *faults
}

type faults struct {
	mu       sync.Mutex
	room     int  // bytes that fit before ENOSPC; negative: any number
	once     bool // there is room again after one ENOSPC
	sync     error
	truncate error
	block    chan struct{} // a write waits for it to be closed

	opens, syncs atomic.Int32
}

func (f *faults) open(path string, mode fs.FileMode) (handle, error) {
	f.opens.Add(1)
	h, err := openFile(path, mode)
	if err != nil {
		return nil, err
	}
	return &faulty{h.(*os.File), f}, nil
}

func (f *faulty) Write(p []byte) (int, error) {
	f.faults.mu.Lock()
	block, room := f.faults.block, f.faults.room
	if f.faults.once {
		f.faults.room = -1
	}
	f.faults.mu.Unlock()
	if block != nil {
		<-block
	}
	if room >= 0 && len(p) > room {
		n, err := f.File.Write(p[:room])
		return n, errors.Join(err, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC})
	}
	return f.File.Write(p)
}

func (f *faulty) Sync() error {
	f.faults.syncs.Add(1)
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	if f.faults.sync != nil {
		return f.faults.sync
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(size int64) error {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	if f.faults.truncate != nil {
		return f.faults.truncate
	}
	return f.File.Truncate(size)
}

func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// trial makes an output on a faulty file.
func trial(t *testing.T) (*output, *faults, string) {
	t.Helper()
	f := &faults{room: -1}
	path := filepath.Join(t.TempDir(), "logs", "signals.ndjson")
	o := newWith(settings{Path: path, mode: 0o640}, mapping.NewJSON().Append, f.open)
	t.Cleanup(func() {
		if err := o.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return o, f, path
}

// send sends n records from seq and returns what became of them.
func send(t *testing.T, o *output, seq uint64, n int) error {
	t.Helper()
	done := make(chan error, 1)
	o.Send(context.Background(), outputtest.Records(t, seq, n), func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(outputtest.Patience()):
		t.Fatal("done was not called")
		return nil
	}
}

func mustSend(t *testing.T, o *output, seq uint64, n int) {
	t.Helper()
	if err := send(t, o, seq, n); err != nil {
		t.Fatal(err)
	}
}

// lines returns the bridge_seq of every whole line, 0 for one that is none of ours, and checks that the last one ends.
func lines(t *testing.T, path string) []uint64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		t.Errorf("%s ends in the middle of a line: %q", path, data[max(0, len(data)-80):])
	}
	var seqs []uint64
	for line := range bytes.Lines(data) {
		var rec struct {
			Seq uint64 `json:"bridge_seq"`
		}
		_ = json.Unmarshal(line, &rec)
		seqs = append(seqs, rec.Seq)
	}
	return seqs
}

func wantLines(t *testing.T, path string, want ...uint64) {
	t.Helper()
	if got := lines(t, path); !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", path, got, want)
	}
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 2)
	f.set(func(f *faults) { f.room = 900 }) // one line and a half
	err := send(t, o, 3, 3)
	var hold *outputs.HoldError
	if !errors.Is(err, syscall.ENOSPC) || errors.As(err, &hold) || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk may pass: %v", err)
	}
	if o.Status().State != outputs.StateDown {
		t.Errorf("state %q", o.Status().State)
	}
	wantLines(t, path, 1, 2)
	f.set(func(f *faults) { f.room = -1 })
	mustSend(t, o, 3, 3)
	wantLines(t, path, 1, 2, 3, 4, 5)
}

// TestTornLine: where a half line can't be taken back, the next line doesn't continue it.
func TestTornLine(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.room, f.truncate = 100, syscall.EIO })
	if err := send(t, o, 2, 1); err == nil {
		t.Fatal("a failed write was called delivered")
	}
	f.set(func(f *faults) { f.room, f.truncate = -1, nil })
	mustSend(t, o, 2, 1)
	mustSend(t, o, 3, 1)
	wantLines(t, path, 1, 0, 2, 3)
}

// TestTornAtOpen: neither does it continue what a crash, or somebody else, left.
func TestTornAtOpen(t *testing.T) {
	t.Parallel()
	o, _, path := trial(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"bridge_seq":7}`+"\n"+`{"bridge_s`), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 8, 1)
	wantLines(t, path, 7, 0, 8)
}

// TestSyncFails: nothing is delivered, and the file is opened anew before anything else is believed.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.sync = syscall.EIO })
	if err := send(t, o, 2, 2); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	opens := f.opens.Load()
	f.set(func(f *faults) { f.sync = nil })
	mustSend(t, o, 2, 2)
	if f.opens.Load() != opens+1 {
		t.Error("the file was not opened anew after a failed fsync")
	}
	wantLines(t, path, 1, 2, 3)
}

// TestRotated: what logrotate does, and what people do.
func TestRotated(t *testing.T) {
	t.Parallel()
	o, _, path := trial(t)
	mustSend(t, o, 1, 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 3, 1)
	wantLines(t, path+".1", 1, 2)
	wantLines(t, path, 3)
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	mustSend(t, o, 4, 1)
	wantLines(t, path, 4)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	mustSend(t, o, 5, 1)
	wantLines(t, path, 5)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // logrotate's create
		t.Fatal(err)
	}
	mustSend(t, o, 6, 1)
	wantLines(t, path, 6)
}

// TestOneSync: batches that wait share one fsync.
func TestOneSync(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	block := make(chan struct{})
	f.set(func(f *faults) { f.block = block })
	const n = 50
	var all sync.WaitGroup
	for seq := uint64(1); seq <= n; seq++ {
		all.Add(1)
		o.Send(context.Background(), outputtest.Records(t, seq, 1), func(err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
		})
	}
	close(block)
	all.Wait()
	if got := f.syncs.Load(); got > 3 {
		t.Errorf("%d fsyncs for %d batches that waited", got, n)
	}
	if got := lines(t, path); len(got) != n || !slices.IsSorted(got) {
		t.Errorf("arrived %v", got)
	}
}

// TestFailsTogether: what waits behind a failed write fails with it, or it would stand before what is sent again.
func TestFailsTogether(t *testing.T) {
	t.Parallel()
	o, f, path := trial(t)
	block := make(chan struct{})
	f.set(func(f *faults) { f.block, f.room, f.once = block, 10, true })
	const n = 20
	results := make(chan error, n)
	for seq := uint64(1); seq <= n; seq++ {
		o.Send(context.Background(), outputtest.Records(t, seq, 1), func(err error) { results <- err })
	}
	close(block)
	for range n {
		if err := <-results; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
	wantLines(t, path)
}

// TestBlockedWrite: a write that never ends (a dead network file system) holds neither the batch's context nor Close.
func TestBlockedWrite(t *testing.T) {
	t.Parallel()
	f := &faults{room: -1, block: make(chan struct{})}
	o := newWith(settings{Path: filepath.Join(t.TempDir(), "x"), mode: 0o640}, mapping.NewJSON().Append, f.open)
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 2)
	o.Send(ctx, outputtest.Records(t, 1, 1), func(err error) { results <- err })
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	o.Send(context.Background(), outputtest.Records(t, 2, 1), func(err error) { results <- err })
	closing, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := o.Close(closing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(f.block)
	<-o.ended
	if len(results) != 0 {
		t.Error("done was called twice")
	}
}

func TestStandardOutput(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f := &faults{room: -1}
	o := newWith(settings{Path: stdout}, mapping.NewJSON().Append, func(string, fs.FileMode) (handle, error) { return &faulty{w, f}, nil })
	mustSend(t, o, 1, 1)
	f.set(func(f *faults) { f.room = 5 })
	if err := send(t, o, 2, 1); err == nil {
		t.Error("a short write was called delivered")
	}
	f.set(func(f *faults) { f.room = -1 })
	mustSend(t, o, 2, 1)
	if s := o.Status(); s.Level != outputs.Written || f.syncs.Load() != 0 {
		t.Errorf("level %v after %d fsyncs of a pipe", s.Level, f.syncs.Load())
	}
	if err := errors.Join(o.Close(context.Background()), w.Close()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	if len(got) != 4 || !strings.Contains(got[0], `"bridge_seq":1`) || got[1] != `{"ten` || !strings.Contains(got[2], `"bridge_seq":2`) || got[3] != "" {
		t.Errorf("got %q", got)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	a := &appender{path: "/x"}
	for err, held := range map[error]bool{
		syscall.EACCES: true, syscall.EROFS: true, syscall.ENOTDIR: true, errNotRegular: true,
		syscall.ENOSPC: false, syscall.EIO: false, syscall.EDQUOT: false, fs.ErrNotExist: false,
	} {
		var hold *outputs.HoldError
		if got := a.classify(fmt.Errorf("open: %w", err)); errors.As(got, &hold) != held || !errors.Is(got, err) {
			t.Errorf("%v: %#v", err, got)
		}
	}
}

func TestModeAndFolder(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]fs.FileMode{`mode = "0600"`: 0o600, ``: 0o640, `mode = "0664"`: 0o664} {
		path := filepath.Join(t.TempDir(), "a", "b", "c.ndjson")
		env, _ := outputtest.Env(t, nil)
		out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("path = %q\n%s", path, table))
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, out.(*output), 1, 1)
		if err := out.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", table, info.Mode(), err)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm()&0o027 != 0 {
			t.Errorf("folder %v %v", info.Mode(), err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for table, key := range map[string]string{
		``: "path", `path = "signals.ndjson"`: "path", fmt.Sprintf(`path = %q`, dir): "path", fmt.Sprintf(`path = %q`, fifo): "path",
		`path = "-"` + "\nformat = \"xml\"": "format", `path = "-"` + "\nmode = \"rw\"": "mode", `path = "-"` + "\nmode = \"0755\"": "mode",
		`path = "-"` + "\nformat = \"rfc5424\"\nfacility = \"security\"":        "facility",
		`path = "-"` + "\nformat = \"hec\"\nsourcetype = \"linuxguard:bridge\"": "sourcetype",
	} {
		env, _ := outputtest.Env(t, nil)
		_, _, err := outputtest.Build(Kind(), env, table)
		var keyed *outputs.KeyError
		if !errors.As(err, &keyed) || keyed.Key != key {
			t.Errorf("%q: %v, want an error of %s", table, err, key)
		}
	}
	for _, format := range []string{"json", "rfc5424", "hec"} {
		env, _ := outputtest.Env(t, nil)
		out, _, err := outputtest.Build(Kind(), env, fmt.Sprintf("path = \"-\"\nformat = %q", format))
		if err != nil {
			t.Fatal(err)
		}
		line, err := out.(outputs.Renderer).Render(outputtest.Records(t, 5, 1)[0])
		prefix := map[string]string{"json": `{"tenant_id"`, "rfc5424": "<11>1 ", "hec": `{"time":`}[format]
		if err != nil || !strings.HasPrefix(string(line), prefix) {
			t.Errorf("%s: %s, %v", format, line, err)
		}
	}
}
