package local

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// A sidecar keeps a sealed segment's own records without the bodies: the deliveries, the outcomes, and where its events
// stand. It is written once.
//
//	+---------+---------+--------+--------+-------+---------+---------------+-----------------+
//	| magic 8 | version | CRC-32C| length | marks | entries | bytes of the  | bytes of the    |
//	|         | 4       | 4      | 4      | 4     | 4       | entries 8     | outcomes 8      |
//	+---------+---------+--------+--------+-------+---------+---------------+-----------------+
//	| length bytes of JSON (indexMeta) | marks 16 each | offsets of the entries 4 each | outcomes | entries |
//
// The CRC covers all but the magic and itself; each entry has one of its own, for those that are looked at alone later.
type sidecar struct {
	file journal.File
	path string
	meta indexMeta

	offsetsAt, outcomesAt, entriesAt, end int64
}

const (
	sidecarSuffix  = ".deliveries"
	sidecarHeader  = 44
	sidecarVersion = 1
)

var sidecarMagic = [8]byte{'L', 'G', 'B', 'R', 'Q', 'D', 'L', 'V'}

// errSidecar says that a sidecar does not hold what was written.
var errSidecar = errors.New("the sidecar is damaged")

func sidecarPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d", number)+sidecarSuffix)
}

func sidecarNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, sidecarSuffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && sidecarPath("", n) == name
}

// writeSidecar writes x's sidecar, which nobody changes meanwhile, and returns it open.
func writeSidecar(fs journal.FS, dir string, x *index) (*sidecar, error) {
	path := sidecarPath(dir, x.meta.Number)
	file, err := fs.Open(path+temporarySuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	w := sidecarWriter{file: file, at: sidecarHeader}
	s, err := w.write(x)
	if err == nil {
		err = fs.Rename(path+temporarySuffix, path)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close())
	}
	s.path = path
	return s, nil
}

type sidecarWriter struct {
	file journal.File
	at   int64
	sum  uint32
	buf  []byte
	err  error
}

// put writes b behind what was written.
func (w *sidecarWriter) put(b []byte) {
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.buf = append(w.buf, b...)
	if len(w.buf) >= 256<<10 {
		w.flush()
	}
}

func (w *sidecarWriter) flush() {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.file.WriteAt(w.buf, w.at)
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
}

func (w *sidecarWriter) write(x *index) (*sidecar, error) {
	meta, outcomes := x.meta, []byte(nil)
	meta.Outcomes = nil
	for output, l := range x.outcomes {
		b := l.bytes()
		meta.Outcomes = append(meta.Outcomes, outcomeMeta{output, l.first, l.last, int64(len(outcomes)), int64(len(b))})
		outcomes = append(outcomes, b...)
	}
	text, err := json.Marshal(&meta)
	if err != nil {
		return nil, err
	}
	entryBytes := int64(0)
	offsets := make([]byte, 0, 4*x.entries.len())
	for _, o := range x.entries.offsets {
		before := int64(0)
		if chunk := o >> 16; chunk > 0 {
			before = x.entries.startOf(int(chunk))
		}
		offsets = binary.LittleEndian.AppendUint32(offsets, uint32(before)+o&0xffff)
	}
	for _, c := range x.entries.chunks {
		entryBytes += int64(len(c))
	}
	var head [sidecarHeader]byte
	copy(head[:], sidecarMagic[:])
	binary.LittleEndian.PutUint32(head[8:], sidecarVersion)
	binary.LittleEndian.PutUint32(head[16:], uint32(len(text)))       //nolint:gosec // kilobytes
	binary.LittleEndian.PutUint32(head[20:], uint32(len(x.marks)))    //nolint:gosec // bounded by the segment
	binary.LittleEndian.PutUint32(head[24:], uint32(x.entries.len())) //nolint:gosec // bounded by the segment
	binary.LittleEndian.PutUint64(head[28:], uint64(entryBytes))
	binary.LittleEndian.PutUint64(head[36:], uint64(len(outcomes)))
	w.sum = headSum(head[:])
	w.put(text)
	for _, m := range x.marks {
		b := binary.LittleEndian.AppendUint64(nil, m.seq)
		w.put(binary.LittleEndian.AppendUint64(b, uint64(m.offset))) //nolint:gosec // never negative
	}
	w.put(offsets)
	w.put(outcomes)
	for _, c := range x.entries.chunks {
		w.put(c)
	}
	w.flush()
	binary.LittleEndian.PutUint32(head[12:], w.sum)
	if w.err == nil {
		_, w.err = w.file.WriteAt(head[:], 0)
	}
	if w.err == nil {
		w.err = w.file.Sync()
	}
	s := &sidecar{file: w.file, meta: meta}
	s.layOut(int64(len(text)), int64(len(x.marks)), int64(x.entries.len()), int64(len(outcomes)), entryBytes)
	return s, w.err
}

func headSum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[8:12], castagnoli), castagnoli, head[16:])
}

// startOf is where a chunk begins when all stand behind one another.
func (l *entryLog) startOf(chunk int) int64 {
	at := int64(0)
	for _, c := range l.chunks[:chunk] {
		at += int64(len(c))
	}
	return at
}

func (s *sidecar) layOut(meta, marks, entries, outcomes, entryBytes int64) {
	s.offsetsAt = sidecarHeader + meta + 16*marks
	s.outcomesAt = s.offsetsAt + 4*entries
	s.entriesAt = s.outcomesAt + outcomes
	s.end = s.entriesAt + entryBytes
}

// openSidecar reads a whole sidecar and calls each for every entry, before it is known whether all of it is sound; then it returns
// the index. An error that wraps errSidecar: it isn't. Another one is that of a read.
func openSidecar(fs journal.FS, dir string, number uint64, each func([]byte) error) (*index, error) {
	path := sidecarPath(dir, number)
	file, err := fs.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	s := &sidecar{file: file, path: path}
	x, err := s.load(each)
	if err == nil && x.meta.Number != number {
		err = errSidecar
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), file.Close())
	}
	return x, nil
}

// sidecarEntries returns how many deliveries a sidecar says that it has; 0 when it can't be read, which whoever reads all of it finds.
func sidecarEntries(fs journal.FS, dir string, number uint64) int {
	file, err := fs.Open(sidecarPath(dir, number), os.O_RDONLY, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }() // only read
	head := make([]byte, sidecarHeader)
	if readFull(file, head, 0) != nil || [8]byte(head[:8]) != sidecarMagic {
		return 0
	}
	return int(binary.LittleEndian.Uint32(head[24:]))
}

// sidecarReader reads a file from front to back and sums it up.
type sidecarReader struct {
	file journal.File
	at   int64
	sum  uint32
	buf  []byte
}

func (r *sidecarReader) take(n int64) ([]byte, error) {
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if err := readFull(r.file, b, r.at); err != nil {
		return nil, err
	}
	r.at += n
	r.sum = crc32.Update(r.sum, castagnoli, b)
	return b, nil
}

// readFull reads all of b; a file that ends before is damaged, since its size was looked at.
func readFull(file journal.File, b []byte, at int64) error {
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || isEOF(err) {
		return errSidecar
	}
	return err
}

func (s *sidecar) load(each func([]byte) error) (*index, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, sidecarHeader)
	if err := readFull(s.file, head, 0); err != nil {
		return nil, err
	}
	if [8]byte(head[:8]) != sidecarMagic || binary.LittleEndian.Uint32(head[8:]) != sidecarVersion { // a newer version's segments are refused before
		return nil, errSidecar
	}
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(head[at:])) }
	meta, marks, entries := u32(16), u32(20), u32(24)
	entryBytes, outcomes := int64(binary.LittleEndian.Uint64(head[28:])), int64(binary.LittleEndian.Uint64(head[36:])) //nolint:gosec // checked below
	s.layOut(meta, marks, entries, outcomes, entryBytes)
	if entryBytes < 0 || outcomes < 0 || entryBytes > info.Size || outcomes > info.Size || s.end != info.Size {
		return nil, errSidecar
	}
	r := &sidecarReader{file: s.file, at: sidecarHeader, sum: headSum(head)}
	x, err := s.loadIndex(r, meta, marks)
	if err != nil {
		return nil, err
	}
	if err := skip(r, s.entriesAt-s.offsetsAt); err != nil {
		return nil, err
	}
	if err := loadEntries(r, entryBytes, each); err != nil {
		return nil, err
	}
	if r.sum != binary.LittleEndian.Uint32(head[12:]) {
		return nil, errSidecar
	}
	return x, nil
}

func (s *sidecar) loadIndex(r *sidecarReader, meta, marks int64) (*index, error) {
	text, err := r.take(meta)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &s.meta); err != nil {
		return nil, errors.Join(errSidecar, err)
	}
	x := &index{meta: s.meta, side: s}
	table, err := r.take(16 * marks)
	if err != nil {
		return nil, err
	}
	x.marks = make([]mark, 0, marks)
	for ; len(table) > 0; table = table[16:] {
		x.marks = append(x.marks, mark{binary.LittleEndian.Uint64(table), int64(binary.LittleEndian.Uint64(table[8:]))}) //nolint:gosec // as written
	}
	return x, nil
}

const sidecarPiece = 1 << 20

func skip(r *sidecarReader, n int64) error {
	for n > 0 {
		b, err := r.take(min(n, sidecarPiece))
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// loadEntries splits the entries, which cross the borders of what is read at once.
func loadEntries(r *sidecarReader, n int64, each func([]byte) error) error {
	var rest []byte
	for n > 0 {
		piece, err := r.take(min(n, sidecarPiece))
		if err != nil {
			return err
		}
		n -= int64(len(piece))
		rest = append(rest, piece...)
		for len(rest) >= entryHeader {
			size := entryHeader + int(binary.LittleEndian.Uint16(rest))
			if size > len(rest) {
				break
			}
			if err := each(rest[entryHeader:size]); err != nil {
				return errors.Join(errSidecar, err)
			}
			rest = rest[size:]
		}
		rest = append([]byte(nil), rest...)
	}
	if len(rest) > 0 {
		return errSidecar
	}
	return nil
}

// entry reads one entry.
func (s *sidecar) entry(ordinal int) ([]byte, error) {
	var at [4]byte
	if err := readFull(s.file, at[:], s.offsetsAt+4*int64(ordinal)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	begin := s.entriesAt + int64(binary.LittleEndian.Uint32(at[:]))
	b := make([]byte, max(0, min(1024, s.end-begin)))
	if err := readFull(s.file, b, begin); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	body, ok := openEntry(b)
	if !ok {
		return nil, fmt.Errorf("read %s: %w", s.path, errSidecar)
	}
	return body, nil
}

// outcomes reads what was noted of an output, when that may be about first..last.
func (s *sidecar) outcomes(output string, first, last uint64) ([]byte, error) {
	for _, m := range s.meta.Outcomes {
		if m.Output != output || m.First > last || m.Last < first {
			continue
		}
		b := make([]byte, m.Length)
		if err := readFull(s.file, b, s.outcomesAt+m.Offset); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.path, err)
		}
		return b, nil
	}
	return nil, nil
}

// remove deletes the file.
func (s *sidecar) remove(fs journal.FS) error {
	if err := fs.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete a sidecar: %w", err)
	}
	return s.file.Close()
}
