package local

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

var update = flag.Bool("update", false, "make testdata/golden anew")

const goldenFolder = "testdata/golden"

// The golden folder's content: the format on disk is the same on every machine, so a build for another byte order reads it too:
//
//	GOARCH=s390x CGO_ENABLED=0 go test -c -o golden.test ./bridge/queue/local && qemu-s390x golden.test -test.run Golden
var goldenAt = time.Date(2027, 1, 15, 8, 0, 0, 123456789, time.UTC)

func goldenEvent(n int) *queue.Event {
	body := fmt.Appendf(nil, `{"event_type":"signal_created","version":"v1","timestamp":"2027-01-15T08:00:%02dZ","data":{"signal_id":"s%d"}}`, n, n)
	e := &queue.Event{
		ReceivedAt: goldenAt.Add(time.Duration(n) * time.Second), ReceivedBy: "bridge-1", Endpoint: "linuxguard", DeliveryID: fmt.Sprint("d", n),
		Signature: "sha256=00", SecretName: "main", ClientAddr: "192.0.2.1:4711", Header: []queue.Header{{Name: "X-Team", Value: "soc"}},
		Notes: []string{"a note"}, Body: body,
	}
	e.Decode()
	return e
}

func openGolden(t *testing.T, dir string) *engine {
	t.Helper()
	q, err := Open(t.Context(), Options{Directory: dir, Bridge: "bridge-1", Now: func() time.Time { return goldenAt.Add(time.Hour) }, Salt: func() uint32 { return 0x01020304 }})
	if err != nil {
		t.Fatal(err)
	}
	e, ok := q.(*engine)
	if !ok {
		t.Fatalf("Open returned a %T", q)
	}
	return e
}

// makeGolden makes the folder, without the zeros that its segments end with.
func makeGolden(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "q")
	q := openGolden(t, dir)
	if _, err := q.Declare(t.Context(), []queue.OutputSpec{{Name: "siem"}, {Name: "splunk"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustAppend(t, q, goldenEvent(i), "")
	}
	mustAppend(t, q, goldenEvent(9), "stale")
	tenure, err := q.Claim(t.Context(), "siem")
	if err != nil {
		t.Fatal(err)
	}
	tenure.Advance(queue.Progress{Through: 3, Outcomes: []queue.OutcomeRange{
		{First: 1, Last: 2, Outcome: queue.Delivered, Level: "stored", At: goldenAt}, {First: 3, Last: 3, Outcome: queue.Filtered, At: goldenAt}}})
	closeIt(t, q)
	if err := os.RemoveAll(goldenFolder); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesBelow(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".seg") {
			b = bytes.TrimRight(b, "\x00")
		}
		put(t, filepath.Join(goldenFolder, name), b)
	}
}

func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != lockName {
			name, rerr := filepath.Rel(dir, path)
			names = append(names, name)
			err = rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// copyGolden returns a copy of the golden folder, whole again.
func copyGolden(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "q")
	for _, name := range filesBelow(t, goldenFolder) {
		b, err := os.ReadFile(filepath.Join(goldenFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		put(t, path, b)
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		file, err := journal.OS{}.Open(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(journal.Complete(file), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGoldenFolder reads a folder that another build, maybe on another machine, has written.
func TestGoldenFolder(t *testing.T) {
	t.Parallel()
	if *update {
		makeGolden(t)
	}
	q := openGolden(t, copyGolden(t))
	defer closeIt(t, q)
	if s := q.Status(); s.LastSeq != 5 || s.Losses != 0 || s.DeadLetters != 1 || s.Remembered != 5 || len(s.BridgeID) != 16 {
		t.Errorf("%+v", s)
	}
	tenure, err := q.Claim(t.Context(), "splunk")
	if err != nil {
		t.Fatal(err)
	}
	b, err := tenure.Read(t.Context(), 0, 10, 1<<20)
	if err != nil || len(b.Events) != 5 {
		t.Fatalf("%+v, %v", b, err)
	}
	for i, e := range b.Events {
		want := goldenEvent(i)
		want.Seq, want.Signal, e.Signal = uint64(i+1), nil, nil
		if fmt.Sprintf("%+v", *e) != fmt.Sprintf("%+v", *want) {
			t.Errorf("event %d: %+v, want %+v", i, *e, *want)
		}
	}
	outcomes, err := q.Outcomes(t.Context(), "siem", 1, 5)
	if got := fmt.Sprint(outcomes); err != nil || len(outcomes) != 3 || outcomes[0].Level != "stored" || outcomes[1].Outcome != queue.Filtered || outcomes[2].Outcome != queue.Queued {
		t.Errorf("%s, %v", got, err)
	}
	item, err := q.GetDeadLetter(t.Context(), 1)
	if err != nil || item.Reason != "stale" || item.Damaged != "" || string(item.Event.Body) != string(goldenEvent(9).Body) {
		t.Errorf("%+v, %v", item, err)
	}
	if r, err := q.Append(t.Context(), goldenEvent(2), ""); err != nil || r.Verdict != queue.Duplicate || r.Seq != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// FuzzRecord: no bytes on disk make the parsers of records, outcomes, entries and dead letters panic.
func FuzzRecord(f *testing.F) {
	e := goldenEvent(1)
	f.Add(appendEventRecord(nil, e, 3))
	f.Add(appendDeadLetter(nil, &queue.DeadLetter{Reason: "stale", Output: "siem", Event: *e}))
	p := progressRecord{output: "siem", born: 2, through: 9, outcomes: []queue.OutcomeRange{{First: 1, Last: 9, Outcome: queue.Delivered, Level: "stored", At: goldenAt}}}
	f.Add(p.encode())
	entry := entryOf(e, 1, queue.DigestOf(e.Body), goldenAt)
	f.Add(append([]byte{kindRemembered}, entry.encode(nil)...))
	if b, err := encodeLetter(&queue.DeadLetter{ID: 1, Reason: "stale", Event: *e}); err == nil {
		f.Add(append([]byte{kindLoss}, b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if r, err := parseProgress(b); err == nil {
			again := progressRecord{output: r.output, born: r.born, through: r.through, outcomes: r.outcomes}
			if _, err := parseProgress(again.encode()); err != nil {
				t.Errorf("what was parsed is encoded and can't be parsed: %v", err)
			}
		}
		_ = dumpRecord(b)
		_, _ = viewEntry(b[1:])
		_, _ = decodeLetter(b[1:])
		_, _ = openEntry(b)
	})
}
