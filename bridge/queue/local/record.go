package local

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
)

// The kinds of records. A record begins with its kind; doc.go has the picture.
const (
	kindEvent      = 'E' // an accepted event, a re-sent one included
	kindDeadLetter = 'Q' // a quarantined event
	kindDrop       = 'D' // a dead letter was dropped
	kindProgress   = 'P' // an output's cursor and outcomes
	kindRemembered = 'M' // a delivery whose event is gone, written back after the folder was lost
	kindOutputs    = 'O' // the outputs there are from now on
	kindReplay     = 'B' // an output's cursor moved back
	kindLoss       = 'L' // something was lost
	kindAck        = 'A' // somebody has taken note of that
	kindSnapshot   = 'S' // the state, first in each segment
)

const (
	flagSynthetic = 1

	// Where the numbers stand that the committer fills in.
	numberAt = 1
	timeAt   = 9
	bodyAt   = 17
)

// errRecord says that a record does not hold what it should: written by another version, or by mistake.
var errRecord = errors.New("a record can't be understood")

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendTime stores nanoseconds since 1970 UTC; the zero time is the smallest number.
func appendTime(b []byte, t time.Time) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(timeNumber(t))) //nolint:gosec // the bit pattern is kept
}

func timeNumber(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixNano()
}

// appendEvent adds an event's own part to b. The body comes last and needs no length.
func appendEvent(b []byte, e *queue.Event) []byte {
	b = appendTime(b, e.ReceivedAt)
	flags := byte(0)
	if e.Synthetic {
		flags |= flagSynthetic
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, e.ResendOf)
	for _, text := range [...]string{e.ReceivedBy, e.Endpoint, e.DeliveryID, e.Signature, e.SecretName, e.ClientAddr} {
		b = appendText(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Header)))
	for _, h := range e.Header {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	for _, list := range [...][]string{e.Notes, e.Only} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, text := range list {
			b = appendText(b, text)
		}
	}
	return append(b, e.Body...)
}

func eventSizeHint(e *queue.Event) int {
	n := 96 + len(e.Endpoint) + len(e.DeliveryID) + len(e.Signature) + len(e.SecretName) + len(e.ClientAddr) + len(e.ReceivedBy) + len(e.Body)
	for _, h := range e.Header {
		n += len(h.Name) + len(h.Value) + 4
	}
	return n
}

// parser reads a record's own part. After the first value that doesn't fit, bad is set and all others are zero.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) fail() {
	p.bad, p.rest = true, nil
}

func (p *parser) err() error {
	if p.bad {
		return errRecord
	}
	return nil
}

func (p *parser) take(n int) []byte {
	if n < 0 || n > len(p.rest) {
		p.fail()
		return nil
	}
	b := p.rest[:n:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) byte() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
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

func (p *parser) varint() int64 {
	n, size := binary.Varint(p.rest)
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

// bytes returns a length-prefixed part; it shares memory with the record.
func (p *parser) bytes() []byte {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return nil
	}
	return p.take(int(n)) //nolint:gosec // at most len(rest)
}

func (p *parser) text() string { return string(p.bytes()) }

// count reads the number of parts that follow, each at least one byte long.
func (p *parser) count() int {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most len(rest)
}

func (p *parser) texts() []string {
	var list []string
	for range p.count() {
		list = append(list, p.text())
	}
	return list
}

// event reads what appendEvent wrote, up to the end. The body shares the record's memory.
func (p *parser) event(e *queue.Event) {
	e.ReceivedAt = p.time()
	e.Synthetic = p.byte()&flagSynthetic != 0
	e.ResendOf = p.uvarint()
	for _, text := range [...]*string{&e.ReceivedBy, &e.Endpoint, &e.DeliveryID, &e.Signature, &e.SecretName, &e.ClientAddr} {
		*text = p.text()
	}
	for range p.count() {
		e.Header = append(e.Header, queue.Header{Name: p.text(), Value: p.text()})
	}
	e.Notes, e.Only = p.texts(), p.texts()
	e.Body = p.rest
}

// eventRecord is an accepted event as it stands in the log.
type eventRecord struct {
	event queue.Event
	at    time.Time // when it was appended
	item  uint64    // the dead letter that it was re-sent from; 0: none
}

// appendEventRecord leaves the sequence and the time to fill.
func appendEventRecord(b []byte, e *queue.Event, item uint64) []byte {
	b = append(b, kindEvent)
	b = append(b, make([]byte, bodyAt-numberAt)...)
	b = binary.AppendUvarint(b, item)
	return appendEvent(b, e)
}

// fill sets the number and the time of an event or a dead letter.
func fill(record []byte, number uint64, at time.Time) {
	binary.LittleEndian.PutUint64(record[numberAt:], number)
	binary.LittleEndian.PutUint64(record[timeAt:], uint64(timeNumber(at))) //nolint:gosec // the bit pattern is kept
}

func parseEventRecord(record []byte) (*eventRecord, error) {
	p := parser{rest: record[1:]}
	r := &eventRecord{}
	r.event.Seq = p.uint64()
	r.at = p.time()
	r.item = p.uvarint()
	p.event(&r.event)
	return r, p.err()
}

// appendDeadLetter leaves the ID and the time to fill.
func appendDeadLetter(b []byte, item *queue.DeadLetter) []byte {
	b = append(b, kindDeadLetter)
	b = append(b, make([]byte, bodyAt-numberAt)...)
	b = appendText(appendText(b, item.Reason), item.Output)
	b = binary.AppendUvarint(b, item.Event.Seq)
	return appendEvent(b, &item.Event)
}

func parseDeadLetter(record []byte) (*queue.DeadLetter, error) {
	p := parser{rest: record[1:]}
	item := &queue.DeadLetter{ID: p.uint64(), At: p.time()}
	item.Reason, item.Output = p.text(), p.text()
	item.Event.Seq = p.uvarint()
	p.event(&item.Event)
	return item, p.err()
}

func dropRecord(id uint64) []byte { return binary.AppendUvarint([]byte{kindDrop}, id) }

func parseDrop(record []byte) (uint64, error) {
	p := parser{rest: record[1:]}
	id := p.uvarint()
	return id, p.err()
}

// progressRecord is an output's move.
type progressRecord struct {
	output   string
	born     uint64 // outputState.Born: an output that is named again after its end is another one
	through  uint64
	outcomes []queue.OutcomeRange
}

func (r *progressRecord) encode() []byte {
	b := appendText(make([]byte, 0, 32+len(r.output)+16*len(r.outcomes)), r.output)
	b = binary.AppendUvarint(binary.AppendUvarint(b, r.born), r.through)
	var l outcomeLog
	for _, o := range r.outcomes {
		l.add(o)
	}
	return append([]byte{kindProgress}, append(b, l.bytes()...)...)
}

func parseProgress(record []byte) (*progressRecord, error) {
	p := parser{rest: record[1:]}
	r := &progressRecord{output: p.text(), born: p.uvarint(), through: p.uvarint()}
	if p.bad {
		return nil, errRecord
	}
	var err error
	r.outcomes, err = decodeOutcomes(p.rest)
	return r, err
}

// jsonRecord encodes the records that are rare, and that people look at.
func jsonRecord(kind byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode a record: %w", err)
	}
	return append([]byte{kind}, b...), nil
}

func parseJSONRecord(record []byte, v any) error {
	if err := json.Unmarshal(record[1:], v); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

// replayRecord moves a cursor back.
type replayRecord struct {
	Output string `json:"output"`
	Cursor uint64 `json:"cursor"`
}

// ackRecord says that somebody has taken note of a loss.
type ackRecord struct {
	ID  uint64    `json:"id"`
	Who string    `json:"who"`
	At  time.Time `json:"at"`
}
