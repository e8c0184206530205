package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

const flagSynthetic = 1

// appendEvent adds an event's own part (see doc.go) to b. The body comes last and needs no length.
func appendEvent(b []byte, e *Event) []byte {
	b = appendTime(b, e.ReceivedAt)
	flags := byte(0)
	if e.Synthetic {
		flags |= flagSynthetic
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, e.ResendOf)
	for _, text := range [...]string{e.Endpoint, e.DeliveryID, e.Signature, e.SecretName, e.ClientAddr} {
		b = appendText(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Header)))
	for _, h := range e.Header {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Only)))
	for _, name := range e.Only {
		b = appendText(b, name)
	}
	return append(b, e.Body...)
}

// parseEvent reads what appendEvent wrote, up to the end of p. The body shares p's memory.
func parseEvent(p *parser, e *Event) error {
	e.ReceivedAt = p.time()
	e.Synthetic = p.byte()&flagSynthetic != 0
	e.ResendOf = p.uvarint()
	for _, text := range [...]*string{&e.Endpoint, &e.DeliveryID, &e.Signature, &e.SecretName, &e.ClientAddr} {
		*text = p.text()
	}
	for range p.count() {
		e.Header = append(e.Header, Header{Name: p.text(), Value: p.text()})
	}
	for range p.count() {
		e.Only = append(e.Only, p.text())
	}
	e.Body = p.rest
	return p.err()
}

// decodeSignal sets e.Signal for a body that can be decoded.
func decodeSignal(e *Event) {
	if s, err := signal.Decode(e.Body); err == nil {
		e.Signal = s
	}
}

// seenRecord is what is remembered of an accepted delivery.
type seenRecord struct {
	receivedAt time.Time
	sentAt     time.Time // the signed body's own timestamp; zero when it has none
	digest     [sha256.Size]byte
	previous   uint64 // the sequence that had the same delivery ID before, with another signal; 0: none
	endpoint   string
	deliveryID string
	signalID   string
}

func (r *seenRecord) encode(buf, key []byte) []byte {
	b := newValue(buf, kindSeen)
	b = appendTime(b, r.receivedAt)
	b = appendTime(b, r.sentAt)
	b = append(b, r.digest[:]...)
	b = binary.AppendUvarint(b, r.previous)
	b = appendText(appendText(appendText(b, r.endpoint), r.deliveryID), r.signalID)
	return seal(b, key)
}

// seenView is a seenRecord that shares the value's memory: for looking through many.
type seenView struct {
	receivedAt, sentAt                     time.Time
	digest, endpoint, deliveryID, signalID []byte
	previous                               uint64
}

func viewSeen(value, key []byte) (seenView, error) {
	p, err := open(value, key, kindSeen)
	if err != nil {
		return seenView{}, err
	}
	v := seenView{receivedAt: p.time(), sentAt: p.time(), digest: p.take(sha256.Size), previous: p.uvarint()}
	v.endpoint, v.deliveryID, v.signalID = p.bytes(), p.bytes(), p.bytes()
	return v, p.err()
}

func parseSeen(value, key []byte) (*seenRecord, error) {
	v, err := viewSeen(value, key)
	if err != nil {
		return nil, err
	}
	return &seenRecord{
		receivedAt: v.receivedAt, sentAt: v.sentAt, digest: [sha256.Size]byte(v.digest), previous: v.previous,
		endpoint: string(v.endpoint), deliveryID: string(v.deliveryID), signalID: string(v.signalID),
	}, nil
}

// encodeQuarantine stores an item under key. An item without a digest (zero) is not one that was held on receipt.
func encodeQuarantine(item *QuarantineItem, digest [sha256.Size]byte, key []byte) []byte {
	b := newValue(make([]byte, 0, 256+len(item.Event.Body)+len(item.Raw)), kindQuarantine)
	b = append(b, digest[:]...)
	b = appendTime(b, item.At)
	b = appendText(appendText(b, item.Reason), item.Output)
	b = binary.AppendUvarint(b, item.Event.Seq)
	b = binary.AppendUvarint(b, uint64(len(item.Raw)))
	b = append(b, item.Raw...)
	return seal(appendEvent(b, &item.Event), key)
}

func parseQuarantine(value, key []byte) (*QuarantineItem, [sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	p, err := open(value, key, kindQuarantine)
	if err != nil {
		return nil, digest, err
	}
	item := &QuarantineItem{ID: keySequence(key)}
	copy(digest[:], p.take(sha256.Size))
	item.At = p.time()
	item.Reason, item.Output = p.text(), p.text()
	item.Event.Seq = p.uvarint()
	if raw := p.bytes(); len(raw) > 0 {
		item.Raw = raw
	}
	return item, digest, parseEvent(&p, &item.Event)
}

// encodeCursor stores an output's cursor under its name.
func encodeCursor(seq uint64, key []byte) []byte {
	return seal(binary.AppendUvarint(newValue(nil, kindCursor), seq), key)
}

func parseCursor(value, key []byte) (uint64, error) {
	p, err := open(value, key, kindCursor)
	if err != nil {
		return 0, err
	}
	seq := p.uvarint()
	return seq, p.err()
}

// encodeRun stores a run under the key of its first sequence.
func encodeRun(r Run, key []byte) []byte {
	b := binary.AppendUvarint(newValue(nil, kindRun), r.Last-r.First)
	b = append(b, byte(r.Fate))
	b = binary.AppendVarint(b, r.At.Unix())
	return seal(appendText(b, r.Level), key)
}

func parseRun(value, key []byte) (Run, error) {
	p, err := open(value, key, kindRun)
	if err != nil {
		return Run{}, err
	}
	r := Run{First: keySequence(key)}
	r.Last = r.First + p.uvarint()
	r.Fate = Fate(p.byte())
	r.At = time.Unix(p.varint(), 0).UTC()
	r.Level = p.text()
	return r, p.err()
}

func (p *parser) varint() int64 {
	n, size := binary.Varint(p.rest)
	if size <= 0 {
		p.fail()
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

// counts is the state that every commit writes: one small value in the root page, so that it costs no page of its own.
type counts struct {
	lastSeq         uint64 // the newest sequence ever given
	events          uint64 // live
	bytes           int64  // of the live events' values
	seen            int    // remembered deliveries
	quarantine      int    // items
	quarantineBytes int64
	nextItem        uint64 // the newest quarantine ID ever given
}

func (c *counts) encode(key []byte) []byte {
	b := newValue(make([]byte, 0, 64), kindState)
	for _, n := range [...]uint64{c.lastSeq, c.events, uint64(c.bytes), uint64(c.seen), uint64(c.quarantine), uint64(c.quarantineBytes), c.nextItem} { //nolint:gosec // counts, never negative
		b = binary.AppendUvarint(b, n)
	}
	return seal(b, key)
}

func parseCounts(value, key []byte) (counts, error) {
	p, err := open(value, key, kindState)
	if err != nil {
		return counts{}, err
	}
	var c counts
	c.lastSeq, c.events = p.uvarint(), p.uvarint()
	c.bytes = int64(p.uvarint())                              //nolint:gosec // written from an int64
	c.seen, c.quarantine = int(p.uvarint()), int(p.uvarint()) //nolint:gosec // written from ints
	c.quarantineBytes = int64(p.uvarint())                    //nolint:gosec // written from an int64
	c.nextItem = p.uvarint()
	return c, p.err()
}
