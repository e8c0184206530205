package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

func testEvent(n int) *queue.Event {
	body := fmt.Appendf(nil, `{"timestamp":%q,"data":{"signal_id":"s%d"}}`, time.Now().UTC().Format(time.RFC3339Nano), n)
	e := &queue.Event{ReceivedAt: time.Now().UTC(), Endpoint: "linuxguard", DeliveryID: fmt.Sprint("d", n), Body: body}
	e.Decode()
	return e
}

// openAt opens a folder with outputs of these names.
func openAt(t *testing.T, dir string, outputs ...string) *engine {
	t.Helper()
	opened, err := Open(t.Context(), Options{Directory: dir, Bridge: "b", ProgressInterval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	q, ok := opened.(*engine)
	if !ok {
		t.Fatalf("Open returned a %T", opened)
	}
	var specs []queue.OutputSpec
	for _, name := range outputs {
		specs = append(specs, queue.OutputSpec{Name: name})
	}
	if _, err := q.Declare(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	return q
}

func closeIt(t *testing.T, q *engine) {
	t.Helper()
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func mustAppend(t *testing.T, q *engine, e *queue.Event, reason string) {
	t.Helper()
	if _, err := q.Append(t.Context(), e, reason); err != nil {
		t.Fatal(err)
	}
}

func archiveOf(t *testing.T, q *engine) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := q.Backup(t.Context(), &archive); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// TestBackupOfARunningQueue: a restored copy has everything that was acknowledged, under a new bridge ID, and says so.
func TestBackupOfARunningQueue(t *testing.T) {
	t.Parallel()
	q := openAt(t, filepath.Join(t.TempDir(), "q"), "a")
	defer closeIt(t, q)
	var events []*queue.Event
	for i := range 30 {
		events = append(events, testEvent(i))
		mustAppend(t, q, events[i], "")
	}
	mustAppend(t, q, testEvent(99), "stale")
	archive := archiveOf(t, q)
	mustAppend(t, q, testEvent(100), "")
	dir := filepath.Join(t.TempDir(), "copy")
	if err := Restore(bytes.NewReader(archive), dir); err != nil {
		t.Fatal(err)
	}
	if err := Restore(bytes.NewReader(archive), dir); err == nil {
		t.Error("restored into a folder that is not empty")
	}
	copied := openAt(t, dir, "a")
	defer closeIt(t, copied)
	if s := copied.Status(); s.BridgeID == q.Status().BridgeID || s.LastSeq != 30 || s.DeadLetters != 1 {
		t.Errorf("%+v", s)
	}
	if losses, err := copied.Losses(t.Context()); err != nil || len(losses) != 1 || !strings.Contains(losses[0].What, "backup") {
		t.Errorf("%+v, %v", losses, err)
	}
	for i, e := range events {
		if r, err := copied.Append(t.Context(), e, ""); err != nil || r.Verdict != queue.Duplicate || r.Seq != uint64(i+1) {
			t.Errorf("event %d in the copy: %+v, %v", i, r, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, backupMark)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is still there: %v", err)
	}
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	q := openAt(t, filepath.Join(t.TempDir(), "q"), "a")
	defer closeIt(t, q)
	archive := archiveOf(t, q)
	for name, b := range map[string][]byte{
		"nothing":   nil,
		"a part":    archive[:len(archive)/2],
		"not a tar": []byte(strings.Repeat("x", 2000)),
	} {
		if err := Restore(bytes.NewReader(b), filepath.Join(t.TempDir(), "copy")); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	for _, name := range []string{"log/../../000000000001.seg", "/etc/passwd", "log/x", "quarantine/../backup", "lock", "quarantine/a/000000000001-00.json"} {
		if restorable(name) {
			t.Errorf("%s would be unpacked", name)
		}
	}
}

// TestDump: every record of a folder, also of one that is locked, and over damage.
func TestDump(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "q")
	q := openAt(t, dir, "a")
	for i := range 5 {
		mustAppend(t, q, testEvent(i), "")
	}
	mustAppend(t, q, testEvent(9), "stale")
	kinds := dumped(t, dir)
	if kinds["event"] != 5 || kinds["dead_letter"] != 1 || kinds["snapshot"] != 1 || kinds["outputs"] != 1 || kinds["missing"] != 0 {
		t.Errorf("%v", kinds)
	}
	closeIt(t, q)
	if kinds = dumped(t, dir); kinds["dead_letter_file"] != 1 {
		t.Errorf("%v", kinds)
	}
	path := filepath.Join(dir, "log", "000000000001.seg")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file[bytes.Index(file, []byte(`"s2"`))+1] = 'x'
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if kinds = dumped(t, dir); kinds["event"] != 4 || kinds["missing"] != 1 {
		t.Errorf("damaged: %v", kinds)
	}
	if err := Dump(t.Context(), t.TempDir(), &bytes.Buffer{}); err == nil {
		t.Error("dumped an empty folder")
	}
}

func dumped(t *testing.T, dir string) map[string]int {
	t.Helper()
	var out bytes.Buffer
	if err := Dump(t.Context(), dir, &out); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for d := json.NewDecoder(&out); d.More(); {
		var l DumpLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.Problem != "" {
			t.Errorf("%+v", l)
		}
		kinds[l.Kind]++
	}
	return kinds
}
