package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// pageFile reads a bbolt file without bbolt. bbolt trusts its pages: on a damaged file it panics, partly in goroutines of
// its own, where nobody can recover. So every file is walked here first, with all bounds checked, and a damaged one is
// read here for what it still holds. The layout is bbolt's version 2 (go.etcd.io/bbolt, internal/common, page.go and
// meta.go), in the byte order of little-endian machines.
//
//	page   id u64 | flags u16 | count u16 | overflow u32 | elements... | keys and values...
//	branch element   pos u32 | ksize u32 | child u64        (pos counts from the element)
//	leaf element     flags u32 | pos u32 | ksize u32 | vsize u32
//	bucket value     root u64 | sequence u64 | a page, when root is 0
//	meta   magic u32 | version u32 | pagesize u32 | flags u32 | root u64 | sequence u64 | freelist u64 | pages u64 |
//	       txid u64 | FNV-1a of all before u64
type pageFile struct {
	file     *os.File
	pageSize int64
	size     int64
	meta     pageMeta
	doubtful bool // only one of the two meta pages is valid: the newest transaction may be the other's
}

type pageMeta struct {
	root, freelist, pages, txid uint64
}

const (
	pageHeaderSize = 16
	metaSize       = 64
	pageMagic      = 0xED0CDAED
	pageVersion    = 2
	noFreelist     = ^uint64(0)

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01
)

// damage says where a file is broken.
func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// openPageFile opens path and finds its newest valid meta page. The error wraps errDamaged when there is none; the
// result can then still be scanned.
func openPageFile(path string) (*pageFile, error) {
	f, err := os.Open(path) //nolint:gosec // the queue's own file
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p := &pageFile{file: f, pageSize: int64(os.Getpagesize()), size: info.Size()}
	return p, p.readMetas()
}

func (p *pageFile) close() error { return p.file.Close() }

func (p *pageFile) readMetas() error {
	valid := 0
	for i := range int64(2) {
		m, err := p.readMeta(i)
		if err != nil {
			continue
		}
		if valid == 0 || m.txid > p.meta.txid {
			p.meta = m
		}
		valid++
	}
	p.doubtful = valid < 2
	if valid == 0 {
		return damage("no valid meta page")
	}
	return nil
}

func (p *pageFile) readMeta(i int64) (pageMeta, error) {
	b := make([]byte, pageHeaderSize+metaSize)
	if _, err := p.file.ReadAt(b, i*p.pageSize); err != nil {
		return pageMeta{}, err
	}
	b = b[pageHeaderSize:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	if le.Uint32(b) != pageMagic || le.Uint32(b[4:]) != pageVersion || le.Uint64(b[metaSize-8:]) != sum.Sum64() ||
		int64(le.Uint32(b[8:])) != p.pageSize {
		return pageMeta{}, damage("meta page %d", i)
	}
	return pageMeta{root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:])}, nil
}

// node reads a page with its overflow into buf's memory, or anew.
func (p *pageFile) node(id uint64, buf []byte) ([]byte, error) {
	if id < 2 || id >= uint64(p.size/p.pageSize)+1 { //nolint:gosec // sizes are positive
		return nil, damage("page %d is outside the file", id)
	}
	b := grow(buf, int(p.pageSize))
	offset := int64(id) * p.pageSize //nolint:gosec // below the file's size
	if err := p.readAt(b, offset); err != nil {
		return nil, damage("page %d: %v", id, err)
	}
	n := int64(1) + int64(binary.LittleEndian.Uint32(b[12:]))
	if n == 1 {
		return b, nil
	}
	if offset+n*p.pageSize > p.size {
		return nil, damage("page %d is longer than the file", id)
	}
	b = grow(b, int(n*p.pageSize))
	if err := p.readAt(b, offset); err != nil {
		return nil, damage("page %d: %v", id, err)
	}
	return b, nil
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (p *pageFile) readAt(b []byte, offset int64) error {
	n, err := p.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the file ends before it")
	}
	return err
}

// element is one entry of a page.
type element struct {
	key    []byte
	value  []byte
	child  uint64 // of a branch
	bucket bool
}

// elements parses a page into list's memory. inline pages (of small buckets) have no ID of their own.
func elements(b []byte, id uint64, inline bool, list []element) (_ []element, leaf bool, err error) {
	le := binary.LittleEndian
	if len(b) < pageHeaderSize || (!inline && le.Uint64(b) != id) {
		return nil, false, damage("page %d calls itself another", id)
	}
	flags, count := le.Uint16(b[8:]), int(le.Uint16(b[10:]))
	if flags != flagLeaf && (flags != flagBranch || inline || count == 0) {
		return nil, false, damage("page %d is neither leaf nor branch", id)
	}
	leaf = flags == flagLeaf
	if pageHeaderSize+count*16 > len(b) {
		return nil, leaf, damage("page %d counts too many elements", id)
	}
	list = slices.Grow(list[:0], count)[:count]
	clear(list)
	for i := range list {
		if err := list[i].parse(b[pageHeaderSize+16*i:], leaf); err != nil {
			return nil, leaf, damage("page %d: element %d", id, i)
		}
		if i > 0 && bytes.Compare(list[i-1].key, list[i].key) >= 0 {
			return nil, leaf, damage("page %d: keys out of order", id)
		}
	}
	return list, leaf, nil
}

// parse reads the element at the start of b, whose key and value lie further on in b.
func (e *element) parse(b []byte, leaf bool) error {
	le := binary.LittleEndian
	var pos, keySize, valueSize uint64
	if leaf {
		e.bucket = le.Uint32(b)&flagBucket != 0
		pos, keySize, valueSize = uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
	} else {
		pos, keySize, e.child = uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint64(b[8:])
	}
	if keySize == 0 || pos < 16 || pos+keySize+valueSize > uint64(len(b)) {
		return errDamaged
	}
	e.key = b[pos : pos+keySize]
	e.value = b[pos+keySize : pos+keySize+valueSize]
	if e.bucket && len(e.value) < 16 {
		return errDamaged
	}
	return nil
}
