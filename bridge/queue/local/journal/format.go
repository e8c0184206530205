package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// Version is the version of the format that this package writes and reads.
	Version = 1

	sector     = 512
	headSize   = 4096 // a page of its own: no group's write touches it
	headerSize = 64
	// MaxIdentity is the length of the longest identity.
	MaxIdentity = 64
)

var (
	headMagic  = [8]byte{'L', 'G', 'B', 'R', 'Q', 'S', 'E', 'G'}
	groupMagic = [4]byte{'L', 'G', 'g', 0x1a}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	order      = binary.LittleEndian
)

// errNoGroup says that there is no whole group at an offset.
var errNoGroup = errors.New("no whole group")

// VersionError says that a folder is of a format that this program doesn't know.
type VersionError struct {
	Path    string
	Version uint32
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has format version %d, this program knows version %d: use the version of linuxguard-bridge that wrote it, or a newer one",
		e.Path, e.Version, Version)
}

// head is a segment's first page.
type head struct {
	number   uint64
	salt     uint32
	size     int64
	identity string
}

func (h *head) encode() []byte {
	b := make([]byte, headSize)
	copy(b, headMagic[:])
	order.PutUint32(b[8:], Version)
	order.PutUint64(b[16:], h.number)
	order.PutUint32(b[24:], h.salt)
	order.PutUint64(b[32:], uint64(h.size)) //nolint:gosec // never negative
	b[40] = byte(len(h.identity))           //nolint:gosec // at most MaxIdentity
	copy(b[41:], h.identity)
	order.PutUint32(b[12:], headSum(b))
	return b
}

// headSum is the CRC of all of a head but the magic and the CRC itself.
func headSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[8:12], castagnoli), castagnoli, b[16:headSize])
}

// decodeHead returns ok false for a page that is no head; err only for a head of another version.
func decodeHead(b []byte, path string) (h head, ok bool, err error) {
	if len(b) < headSize || [8]byte(b[:8]) != headMagic {
		return head{}, false, nil
	}
	if order.Uint32(b[12:]) != headSum(b) {
		return head{}, false, nil
	}
	if v := order.Uint32(b[8:]); v != Version { // the CRC's place and cover stay the same in every version
		return head{}, false, &VersionError{path, v}
	}
	h = head{number: order.Uint64(b[16:]), salt: order.Uint32(b[24:]), size: int64(order.Uint64(b[32:]))} //nolint:gosec // checked below
	n := int(b[40])
	if h.size < headSize+sector || n > MaxIdentity {
		return head{}, false, nil
	}
	h.identity = string(b[41 : 41+n])
	return h, true, nil
}

// header is what stands before a group's records.
type header struct {
	size        int // of the group, without padding
	offset      int64
	count       int
	first, base uint64
	marks       Marks
}

// Marks are two numbers of the user's that only rise, repeated in every group.
type Marks [2]uint64

// seal completes a group, whose records begin at headerSize of b, for its place.
func (h *header) seal(b []byte, s *head) {
	copy(b, groupMagic[:])
	order.PutUint32(b[8:], s.salt)
	order.PutUint32(b[12:], uint32(h.size))   //nolint:gosec // at most half a segment
	order.PutUint64(b[16:], uint64(h.offset)) //nolint:gosec // never negative
	order.PutUint32(b[24:], uint32(h.count))  //nolint:gosec // bounded by the size
	order.PutUint32(b[28:], 0)
	order.PutUint64(b[32:], h.first)
	order.PutUint64(b[40:], h.base)
	order.PutUint64(b[48:], h.marks[0])
	order.PutUint64(b[56:], h.marks[1])
	order.PutUint32(b[4:], groupSum(b[:h.size], s))
}

// groupSum is the CRC of a group at home in segment s.
func groupSum(group []byte, s *head) uint32 {
	var home [16]byte
	order.PutUint32(home[:], s.salt)
	order.PutUint64(home[8:], s.number)
	return crc32.Update(crc32.Checksum(home[:], castagnoli), castagnoli, group[8:])
}

// looksLikeGroup reports whether b begins with the header of a group that was written at offset of s, whole or not, and
// what the header says.
func looksLikeGroup(b []byte, offset int64, s *head) (header, bool) {
	if len(b) < headerSize || [4]byte(b[:4]) != groupMagic || order.Uint32(b[8:]) != s.salt {
		return header{}, false
	}
	h := header{
		size: int(order.Uint32(b[12:])), offset: int64(order.Uint64(b[16:])), count: int(order.Uint32(b[24:])), //nolint:gosec // compared below
		first: order.Uint64(b[32:]), base: order.Uint64(b[40:]),
		marks: Marks{order.Uint64(b[48:]), order.Uint64(b[56:])},
	}
	ok := h.offset == offset && h.size >= headerSize && int64(h.size) <= s.size-offset && h.count > 0 && h.base <= h.first
	return h, ok
}

// records splits a whole group's body.
func (h *header) records(group []byte) ([][]byte, error) {
	records := make([][]byte, 0, min(h.count, h.size))
	for rest := group[headerSize:h.size]; len(rest) > 0; {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) { //nolint:gosec // never negative
			return nil, errNoGroup
		}
		end := size + int(n) //nolint:gosec // at most len(rest)
		records = append(records, rest[size:end:end])
		rest = rest[end:]
	}
	if len(records) != h.count {
		return nil, errNoGroup
	}
	return records, nil
}

// RecordSize is what a record of n bytes takes in a group.
func RecordSize(n int) int64 {
	var b [binary.MaxVarintLen64]byte
	return int64(binary.PutUvarint(b[:], uint64(n)) + n) //nolint:gosec // a length
}

// GroupSize is what records of n bytes in all, as RecordSize counts them, take in a segment.
func GroupSize(n int64) int64 { return roundUp(headerSize + n) }

func roundUp(n int64) int64 { return (n + sector - 1) / sector * sector }
