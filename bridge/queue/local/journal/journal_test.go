package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal/disktest"
)

const folder = "/log"

// place is a folder on a disk in memory, and the journal that is open in it.
type place struct {
	*testing.T
	disk *disktest.Disk
	log  *journal.Journal
	salt uint32
	size int64
}

func newPlace(t *testing.T) *place {
	p := &place{T: t, disk: disktest.New(1), size: journal.MinSegment}
	if err := journal.MakeDir(p.disk.FS(), folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.log != nil {
			_ = p.log.Close()
		}
	})
	return p
}

// open opens the journal as its user does: it reads all segments, confirms the last group and begins behind it. It returns the
// records that count.
func (p *place) open() []string {
	p.Helper()
	size := func() int64 { return p.size }
	log, err := journal.Open(journal.Options{
		FS: p.disk.FS(), Directory: folder, Identity: "queue", SegmentSize: size, FirstSegment: size,
		Salt: func() uint32 { p.salt++; return p.salt },
	})
	if err != nil {
		p.Fatal(err)
	}
	p.log = log
	var records []string
	var last *journal.Segment
	var found journal.Scanned
	for _, s := range log.Segments() {
		if s.Base() == 0 {
			continue
		}
		last, found = s, p.scan(s, &records)
	}
	if last != nil && found.Last != 0 {
		if err := log.Confirm(last, found.Last); err != nil {
			p.Fatal(err)
		}
	}
	if err := log.Begin(last, found.End, max(1, found.Next)); err != nil {
		p.Fatal(err)
	}
	return records
}

func (p *place) scan(s *journal.Segment, records *[]string) journal.Scanned {
	p.Helper()
	for c := s.Scanner(0, 0); ; {
		g, err := c.Next()
		if err != nil {
			p.Fatal(err)
		}
		if m := c.Missing(); m != nil {
			*records = append(*records, fmt.Sprintf("missing %d..%d", m.First, m.Last))
		}
		if g == nil {
			s.SetEnd(c.Found().End)
			return c.Found()
		}
		for _, r := range g.Records {
			*records = append(*records, string(r[:min(len(r), 20)]))
		}
	}
}

// write writes one group, in the next segment where it doesn't fit into this one.
func (p *place) write(records ...string) error {
	p.Helper()
	var group [][]byte
	size := int64(0)
	for _, r := range records {
		group = append(group, []byte(r))
		size += journal.RecordSize(len(r))
	}
	if !p.log.Fits(journal.GroupSize(size)) {
		p.roll()
	}
	_, err := p.log.Write(group, journal.Marks{})
	return err
}

func (p *place) roll() {
	p.Helper()
	if !p.log.AwaitPrepared(time.Minute) {
		p.Fatal("no segment is prepared")
	}
	if err := p.log.Roll(); err != nil {
		p.Fatal(err)
	}
}

func (p *place) mustWrite(records ...string) {
	p.Helper()
	if err := p.write(records...); err != nil {
		p.Fatal(err)
	}
}

// reopen opens the journal after a kill or a power cut, and complains unless these records count.
func (p *place) reopen(power bool, want ...string) {
	p.Helper()
	if power {
		p.disk.PowerCut()
	} else {
		p.disk.Kill()
	}
	_ = p.log.Close()
	if got := p.open(); fmt.Sprint(got) != fmt.Sprint(want) {
		p.Fatalf("there are %q, want %q", got, want)
	}
}

// failNext makes the next group's write or sync fail. Nothing else is written meanwhile.
func (p *place) failNext(op disktest.Op, how disktest.How) {
	p.Helper()
	if !p.log.Fits(journal.GroupSize(100)) {
		p.roll()
	}
	if !p.log.AwaitPrepared(time.Minute) {
		p.Fatal("no segment is prepared")
	}
	p.disk.FailAt(1, how, func(o disktest.Op, _ string) bool { return o == op })
}

// TestTornThenShorter: a group that was torn anywhere, then a shorter one in its place, then crashes.
func TestTornThenShorter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("torn", 2000) // 16 sectors
	for torn := 512; torn < len(long); torn += 512 {
		p := newPlace(t)
		p.open()
		p.mustWrite("one")
		p.mustWrite("a group with " + long)
		p.disk.Kill()
		_ = p.log.Close()
		name := folder + "/000000000001.seg"
		p.disk.Damage(name, func(b []byte) []byte { // what was not written is what the file was filled with
			clear(b[4096+512+torn : 4096+512+len(long)+1024])
			return b
		})
		if got := p.open(); fmt.Sprint(got) != "[one]" {
			t.Fatalf("torn at %d: %q", torn, got)
		}
		p.mustWrite("two")
		p.reopen(true, "one", "two")
		p.mustWrite("three")
		p.reopen(true, "one", "two", "three")
		_ = p.log.Close()
	}
}

// TestFailedWriteThatReachedTheDisk: after it the next segment goes on with the same number, and what reached the disk is void.
func TestFailedWriteThatReachedTheDisk(t *testing.T) {
	t.Parallel()
	for _, op := range []disktest.Op{disktest.Write, disktest.Sync} {
		for _, how := range []disktest.How{disktest.Lost, disktest.Persisted} {
			p := newPlace(t)
			p.open()
			p.mustWrite("one")
			p.failNext(op, how)
			if err := p.write("failed"); !errors.Is(err, unix.EIO) {
				t.Fatalf("%s: %v", op, err)
			}
			p.mustWrite("two", "three")
			p.reopen(true, "one", "two", "three")
			p.mustWrite("four")
			p.reopen(true, "one", "two", "three", "four")
		}
	}
}

// TestSegmentThatAcceptedNothing: two segments in a row fail at their first group.
func TestSegmentThatAcceptedNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	p.mustWrite("one")
	for range 2 {
		p.failNext(disktest.Sync, disktest.Persisted)
		if err := p.write("failed"); err == nil {
			t.Fatal("no failure")
		}
	}
	p.reopen(true, "one", "failed") // nobody was told, and it is there: as good as any outcome
	p.mustWrite("two")
	p.reopen(true, "one", "failed", "two")
}

// TestReuse: groups of a file's former lives never count.
func TestReuse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	const last = 40
	kept := last // the first record that no retired segment has
	begins := map[uint64]int{}
	big := strings.Repeat("x", 100_000)
	for i := range last {
		p.mustWrite(fmt.Sprintf("%03d %s", i, big))
		active := p.log.Active().Number()
		if _, known := begins[active]; !known {
			begins[active] = i
		}
		for _, s := range p.log.Segments() {
			if s.Number()+1 < active {
				p.log.Retire(s.Number())
			}
		}
		kept = begins[p.log.Segments()[0].Number()]
	}
	if files := p.disk.Files(folder); len(files) > 5 {
		t.Errorf("%d files are left: %v", len(files), files)
	}
	p.disk.PowerCut()
	_ = p.log.Close()
	var numbers []int
	for _, r := range p.open() {
		n, err := strconv.Atoi(r[:3])
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	// A power cut may undo the deletion of any retired segment: what is before the kept ones may be there or not.
	at, _ := slices.BinarySearch(numbers, kept)
	if got := numbers[at:]; kept > last-2 || len(got) != last-kept || got[0] != kept || !slices.IsSorted(numbers) {
		t.Errorf("the records are %v, and all from %d to %d were kept", numbers, kept, last-1)
	}
}

func TestDamagedGroup(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	p.mustWrite("one")
	p.mustWrite("two", "three")
	p.mustWrite("four")
	_ = p.log.Close()
	p.disk.Damage(folder+"/000000000001.seg", func(b []byte) []byte {
		b[bytes.Index(b, []byte("three"))] ^= 1
		return b
	})
	if got := p.open(); fmt.Sprint(got) != "[one missing 2..3 four]" {
		t.Errorf("%q", got)
	}
}

// TestDamagedHead: the groups tell which segment theirs is.
func TestDamagedHead(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	p.mustWrite("one")
	p.mustWrite("two")
	_ = p.log.Close()
	p.disk.Damage(folder+"/000000000001.seg", func(b []byte) []byte { clear(b[:100]); return b })
	if got := p.open(); fmt.Sprint(got) != "[one two]" {
		t.Errorf("%q", got)
	}
	if p.log.Active().Number() == 1 {
		t.Error("the segment without a head takes more groups")
	}
}

// TestRemains: the end of more than an unfinished write is told from one.
func TestRemains(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	for i := range 4 {
		p.mustWrite(fmt.Sprint("record ", i))
	}
	_ = p.log.Close()
	p.disk.Damage(folder+"/000000000001.seg", func(b []byte) []byte {
		for i := 2; i < 4; i++ {
			b[bytes.Index(b, fmt.Appendf(nil, "record %d", i))] ^= 1
		}
		return b
	})
	log, err := journal.Open(journal.Options{FS: p.disk.FS(), Directory: folder, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	var records []string
	if found := p.scan(log.Segments()[0], &records); !found.Remains || len(records) != 2 {
		t.Errorf("%+v, %q", found, records)
	}
}

// TestAnotherVersion: a folder of a version that this program doesn't know is refused by name.
func TestAnotherVersion(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	p.mustWrite("one")
	_ = p.log.Close()
	p.disk.Damage(folder+"/000000000001.seg", journal.AnotherVersion)
	_, err := journal.Open(journal.Options{FS: p.disk.FS(), Directory: folder, ReadOnly: true})
	var version *journal.VersionError
	if !errors.As(err, &version) || !strings.Contains(err.Error(), "000000000001.seg has format version 7") {
		t.Errorf("%v", err)
	}
}

// TestNoSpace: when the next segment can't be made the roll says so, and it goes on when there is room again.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open()
	p.mustWrite("one")
	p.log.AwaitPrepared(time.Minute)
	space, inodes := p.disk.Used()
	p.disk.Limit(space+1000, inodes+1)
	p.roll()
	p.mustWrite("two")
	if p.log.AwaitPrepared(time.Minute) {
		t.Fatal("there is a segment although the disk is full")
	}
	if err := p.log.Roll(); !errors.Is(err, journal.ErrNoSegment) {
		t.Errorf("%v", err)
	}
	p.disk.Limit(0, 0)
	for deadline := time.Now().Add(time.Minute); !p.log.AwaitPrepared(time.Second); {
		if time.Now().After(deadline) {
			t.Fatal("no segment although there is room")
		}
	}
	p.mustWrite("three")
	p.reopen(true, "one", "two", "three")
}

// TestReplacedFile: what goes into a file that is no longer at its path is not written.
func TestReplacedFile(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(*disktest.Disk){
		"deleted": func(d *disktest.Disk) { d.Delete(folder + "/000000000001.seg") },
		"another": func(d *disktest.Disk) { d.Put(folder+"/000000000001.seg", make([]byte, journal.MinSegment)) },
		"cut": func(d *disktest.Disk) {
			d.Damage(folder+"/000000000001.seg", func(b []byte) []byte { return b[:8192] })
		},
	} {
		p := newPlace(t)
		p.open()
		p.mustWrite("one")
		replace(p.disk)
		if err := p.write("two"); !errors.Is(err, journal.ErrReplaced) {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.log.CheckPaths(); !errors.Is(err, journal.ErrReplaced) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
