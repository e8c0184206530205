package local

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"hash/maphash"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entry is one remembered delivery.
type entry struct {
	seq        uint64
	receivedAt time.Time // from when on the window counts
	sentAt     time.Time // the signed body's own timestamp; zero when it has none
	digest     queue.Digest
	endpoint   string
	deliveryID string
	signalID   string // as shortID has it
	receivedBy string
}

// maxID is the length of the longest ID that is kept as it is. A delivery ID is never longer; a signal ID may be.
const maxID = 128

// shortID returns id, or its digest when it is very long.
func shortID(id string) string {
	if len(id) <= maxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func entryOf(e *queue.Event, seq uint64, digest queue.Digest, receivedAt time.Time) entry {
	sent, _ := e.SentAt()
	return entry{
		seq: seq, receivedAt: receivedAt, sentAt: sent, digest: digest, endpoint: e.Endpoint,
		deliveryID: shortID(e.DeliveryID), signalID: shortID(e.SignalID()), receivedBy: e.ReceivedBy,
	}
}

func (e *entry) encode(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.seq)
	b = appendTime(appendTime(b, e.receivedAt), e.sentAt)
	b = append(b, e.digest[:]...)
	return appendText(appendText(appendText(appendText(b, e.endpoint), e.deliveryID), e.signalID), e.receivedBy)
}

// entryView is an entry that shares the memory of its bytes: for looking through many.
type entryView struct {
	seq                                        uint64
	receivedAt, sentAt                         time.Time
	digest                                     []byte
	endpoint, deliveryID, signalID, receivedBy []byte
}

func viewEntry(b []byte) (entryView, error) {
	p := parser{rest: b}
	v := entryView{seq: p.uint64(), receivedAt: p.time(), sentAt: p.time(), digest: p.take(sha256.Size)}
	v.endpoint, v.deliveryID, v.signalID, v.receivedBy = p.bytes(), p.bytes(), p.bytes(), p.bytes()
	return v, p.err()
}

// hasher makes the keys of the dedupe index. The seed is drawn at start, so that nobody can prepare a collision.
type hasher struct{ seed maphash.Seed }

// keys are where an entry is found; 0: it has none of this kind.
type keys struct{ body, delivery, pair uint64 }

func (h hasher) keysOf(v *entryView) keys {
	k := keys{body: h.key('b', v.digest, v.endpoint, nil)}
	if len(v.deliveryID) > 0 {
		k.delivery = h.key('d', v.deliveryID, v.endpoint, nil)
		k.pair = h.key('p', v.deliveryID, v.endpoint, v.signalID)
	}
	return k
}

func (h hasher) key(kind byte, id, endpoint, signal []byte) uint64 {
	var room [256]byte
	b := append(append(room[:0], kind), id...)
	b = append(append(b, 0), endpoint...)
	b = append(append(b, 0), signal...)
	return max(1, maphash.Bytes(h.seed, b))
}

// entryLog keeps the entries of a segment that has no sidecar yet, as they will stand in it: each behind its length (2) and
// CRC-32C (4), in chunks without pointers.
type entryLog struct {
	chunks  [][]byte
	offsets []uint32 // chunk and place in it
}

const (
	entryChunk  = 64 << 10 // an offset has 16 bits for the place
	entryHeader = 6
)

func (l *entryLog) len() int { return len(l.offsets) }

func (l *entryLog) add(e *entry) {
	last := len(l.chunks) - 1
	size := entryHeader + 96 + len(e.endpoint) + len(e.deliveryID) + len(e.signalID) + len(e.receivedBy)
	if last < 0 || len(l.chunks[last])+size > entryChunk {
		l.chunks = append(l.chunks, make([]byte, 0, entryChunk))
		last++
	}
	c := l.chunks[last]
	at := len(c)
	c = e.encode(append(c, make([]byte, entryHeader)...))
	sealEntry(c[at:])
	l.chunks[last] = c
	l.offsets = append(l.offsets, uint32(last<<16|at)) //nolint:gosec // at is below 64 Ki, and a segment has fewer chunks
}

func sealEntry(b []byte) {
	binary.LittleEndian.PutUint16(b, uint16(len(b)-entryHeader)) //nolint:gosec // far below 64 KiB
	binary.LittleEndian.PutUint32(b[2:], crc32.Checksum(b[entryHeader:], castagnoli))
}

func (l *entryLog) at(i int) []byte {
	c := l.chunks[l.offsets[i]>>16]
	b, _ := openEntry(c[l.offsets[i]&0xffff:]) // it is in memory
	return b
}

// openEntry returns the bytes of the entry that b begins with; false: it isn't one.
func openEntry(b []byte) ([]byte, bool) {
	if len(b) < entryHeader {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > len(b)-entryHeader {
		return nil, false
	}
	body := b[entryHeader : entryHeader+n]
	return body, crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(b[2:])
}
