package queue

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

// The kinds of stored values. A value says what it is, so that a salvage can tell a page of events from any other.
const (
	kindEvent      = 'E'
	kindSeen       = 'S'
	kindQuarantine = 'Q'
	kindCursor     = 'C'
	kindRun        = 'F'
	kindState      = 'M'
)

// layoutVersion is the layout of every kind; a reader refuses others.
const layoutVersion = 1

// headerSize is the CRC, the kind and the version before every value's own part.
const headerSize = 6

var (
	// errDamaged says that a stored value or page does not hold what was written.
	errDamaged = errors.New("damaged")
	// errLayout says that a value is sound and of another layout, so this version must leave it alone.
	errLayout = errors.New("the queue was written by another version of linuxguard-bridge, with a layout that this one does not know")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newValue begins a value of a kind in buf's memory; seal ends it.
func newValue(buf []byte, kind byte) []byte {
	return append(buf[:0], 0, 0, 0, 0, kind, layoutVersion)
}

// seal writes the CRC over value and key. The key is part of it, so that a value can't be taken for another's.
func seal(value, key []byte) []byte {
	sealWith(value, crc32.Checksum(value[4:], castagnoli), key)
	return value
}

// sealWith is seal for a value whose own CRC is known already.
func sealWith(value []byte, own uint32, key []byte) {
	binary.LittleEndian.PutUint32(value, crc32.Update(own, castagnoli, key))
}

// open returns a parser of value's own part after checking that it is what was sealed under key.
func open(value, key []byte, kind byte) (parser, error) {
	if len(value) < headerSize {
		return parser{}, errDamaged
	}
	sum := crc32.Update(crc32.Checksum(value[4:], castagnoli), castagnoli, key)
	switch {
	case sum != binary.LittleEndian.Uint32(value) || value[4] != kind:
		return parser{}, errDamaged
	case value[5] != layoutVersion:
		return parser{}, errLayout
	}
	return parser{rest: value[headerSize:]}, nil
}

// sequenceKey is the big-endian key of a sequence, so that the order of keys is the order of sequences.
func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// keySequence is the inverse of sequenceKey; 0, which is never given, for a key of another length.
func keySequence(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendTime stores nanoseconds since 1970 UTC; the zero time is the smallest number.
func appendTime(b []byte, t time.Time) []byte {
	n := int64(math.MinInt64)
	if !t.IsZero() {
		n = t.UnixNano()
	}
	return binary.LittleEndian.AppendUint64(b, uint64(n)) //nolint:gosec // the bit pattern is kept
}

// parser reads a value's own part. After the first value that doesn't fit, bad is set and all others are zero.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) fail() {
	p.bad = true
	p.rest = nil
}

func (p *parser) err() error {
	if p.bad {
		return errDamaged
	}
	return nil
}

func (p *parser) byte() byte {
	b := p.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (p *parser) uint64() uint64 {
	b := p.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (p *parser) uvarint() uint64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) time() time.Time {
	n := int64(p.uint64()) //nolint:gosec // the bit pattern is kept
	if n == math.MinInt64 || p.bad {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (p *parser) text() string { return string(p.bytes()) }

// bytes returns a length-prefixed part; it shares memory with the value.
func (p *parser) bytes() []byte {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return nil
	}
	return p.take(int(n)) //nolint:gosec // at most len(rest)
}

func (p *parser) take(n int) []byte {
	if n > len(p.rest) {
		p.fail()
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

// count reads the number of parts that follow, each at least one byte long.
func (p *parser) count() int {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most len(rest)
}
