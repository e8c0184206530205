package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue/local/journal"
)

// DumpLine is one line of a dump: a record, a range of records that can't be read, or a file of the quarantine.
type DumpLine struct {
	Segment uint64 `json:"segment,omitempty"`
	Offset  int64  `json:"offset,omitempty"` // of the group that the record is in
	Record  uint64 `json:"record,omitempty"` // its number: they have no gaps
	Kind    string `json:"kind"`

	Seq      uint64               `json:"bridge_seq,omitempty"`
	At       time.Time            `json:"at,omitzero"`
	Item     uint64               `json:"item,omitempty"` // of the quarantine
	Reason   string               `json:"reason,omitempty"`
	Output   string               `json:"output,omitempty"`
	Through  uint64               `json:"through,omitempty"`
	Outcomes []queue.OutcomeRange `json:"outcomes,omitempty"`
	Event    *DumpEvent           `json:"event,omitempty"`
	State    json.RawMessage      `json:"state,omitempty"` // of the records that are kept as JSON
	First    uint64               `json:"first,omitempty"` // of a range that is missing
	Last     uint64               `json:"last,omitempty"`
	File     string               `json:"file,omitempty"`
	Problem  string               `json:"problem,omitempty"` // why it can't be read
}

// DumpEvent is an event as a dump shows it.
type DumpEvent struct {
	ReceivedAt time.Time      `json:"received_at,omitzero"`
	ReceivedBy string         `json:"received_by,omitempty"`
	Endpoint   string         `json:"endpoint"`
	DeliveryID string         `json:"delivery_id,omitempty"`
	Signature  string         `json:"signature,omitempty"`
	SecretName string         `json:"secret_name,omitempty"`
	ClientAddr string         `json:"client_addr,omitempty"`
	Header     []queue.Header `json:"header,omitempty"`
	Notes      []string       `json:"notes,omitempty"`
	ResendOf   uint64         `json:"resend_of,omitempty"`
	Only       []string       `json:"only,omitempty"`
	Synthetic  bool           `json:"synthetic,omitempty"`
	Body       string         `json:"body,omitempty"`        // when it is valid UTF-8
	BodyBase64 []byte         `json:"body_base64,omitempty"` // else
}

// Dump writes what a queue's folder holds to w, as JSON lines. It only reads, needs no lock, and goes on over what is damaged; in the
// folder of a running bridge it may miss what is written meanwhile.
func Dump(ctx context.Context, dir string, w io.Writer) error {
	fs := journal.OS{}
	d := &dumper{out: json.NewEncoder(w)}
	d.out.SetEscapeHTML(false)
	if _, err := fs.Stat(filepath.Join(dir, logFolder)); err != nil {
		return fmt.Errorf("%s is not a queue's folder: %w", dir, err)
	}
	log, err := journal.Open(journal.Options{FS: fs, Directory: filepath.Join(dir, logFolder), ReadOnly: true})
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	for _, seg := range log.Segments() {
		if err := d.segment(ctx, seg); err != nil {
			return errors.Join(err, log.Close())
		}
	}
	for _, u := range log.Unreadable() {
		d.line(DumpLine{Segment: u.Number, Kind: "unreadable", Problem: "nothing in the file can be read as a segment"})
	}
	d.letters(newLetters(fs, filepath.Join(dir, quarantineFolder)))
	return errors.Join(d.err, log.Close())
}

// dumper writes lines. The first write that fails is kept.
type dumper struct {
	out *json.Encoder
	err error
}

func (d *dumper) line(l DumpLine) {
	if d.err == nil {
		d.err = d.out.Encode(l)
	}
}

func (d *dumper) segment(ctx context.Context, seg *journal.Segment) error {
	c := seg.Scanner(0, 0)
	for {
		g, err := c.Next()
		if err != nil {
			d.line(DumpLine{Segment: seg.Number(), Kind: "unreadable", Problem: err.Error()})
			return d.err
		}
		if m := c.Missing(); m != nil {
			d.line(DumpLine{Segment: seg.Number(), Kind: "missing", First: m.First, Last: m.Last})
		}
		if g == nil {
			return d.err
		}
		for i, record := range g.Records {
			l := dumpRecord(record)
			l.Segment, l.Offset, l.Record = seg.Number(), g.Offset, g.First+uint64(i)
			d.line(l)
		}
		if err := errors.Join(d.err, ctx.Err()); err != nil {
			return err
		}
	}
}

// kindName is what a dump calls a kind of record.
func kindName(kind byte) string {
	switch kind {
	case kindEvent:
		return "event"
	case kindDeadLetter:
		return "dead_letter"
	case kindDrop:
		return "dead_letter_dropped"
	case kindProgress:
		return "progress"
	case kindRemembered:
		return "remembered"
	case kindOutputs:
		return "outputs"
	case kindReplay:
		return "replay"
	case kindLoss:
		return "loss"
	case kindAck:
		return "loss_acknowledged"
	case kindSnapshot:
		return "snapshot"
	default:
		return "unknown"
	}
}

func dumpRecord(record []byte) DumpLine {
	if len(record) == 0 {
		return DumpLine{Kind: "unknown", Problem: errRecord.Error()}
	}
	l := DumpLine{Kind: kindName(record[0])}
	if err := l.fill(record); err != nil {
		l.Problem = err.Error()
	}
	return l
}

func (l *DumpLine) fill(record []byte) error {
	switch record[0] {
	case kindEvent:
		r, err := parseEventRecord(record)
		if err != nil {
			return err
		}
		l.Seq, l.At, l.Item, l.Event = r.event.Seq, r.at, r.item, dumpEvent(&r.event)
	case kindDeadLetter:
		item, err := parseDeadLetter(record)
		if err != nil {
			return err
		}
		l.letter(item)
	case kindDrop:
		id, err := parseDrop(record)
		l.Item = id
		return err
	case kindProgress:
		r, err := parseProgress(record)
		if err != nil {
			return err
		}
		l.Output, l.Through, l.Outcomes = r.output, r.through, r.outcomes
	case kindRemembered:
		v, err := viewEntry(record[1:])
		l.Seq, l.At = v.seq, v.receivedAt
		l.Event = &DumpEvent{Endpoint: string(v.endpoint), DeliveryID: string(v.deliveryID)}
		return err
	default:
		if !json.Valid(record[1:]) {
			return errRecord
		}
		l.State = record[1:]
	}
	return nil
}

func (l *DumpLine) letter(item *queue.DeadLetter) {
	l.Item, l.At, l.Reason, l.Output, l.Seq = item.ID, item.At, item.Reason, item.Output, item.Event.Seq
	l.Event = dumpEvent(&item.Event)
}

func dumpEvent(e *queue.Event) *DumpEvent {
	d := &DumpEvent{
		ReceivedAt: e.ReceivedAt, ReceivedBy: e.ReceivedBy, Endpoint: e.Endpoint, DeliveryID: e.DeliveryID, Signature: e.Signature,
		SecretName: e.SecretName, ClientAddr: e.ClientAddr, Header: e.Header, Notes: e.Notes, ResendOf: e.ResendOf, Only: e.Only,
		Synthetic: e.Synthetic,
	}
	if utf8.Valid(e.Body) {
		d.Body = string(e.Body)
	} else {
		d.BodyBase64 = e.Body
	}
	return d
}

// letters dumps the files of the quarantine.
func (d *dumper) letters(q *letters) {
	names, err := q.fs.List(q.dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			d.line(DumpLine{Kind: "unreadable", File: q.dir, Problem: err.Error()})
		}
		return
	}
	for _, name := range sorted(names) {
		l, ok := parseLetterName(name)
		if !ok {
			continue
		}
		line := DumpLine{Kind: "dead_letter_file", File: name, Item: l.id}
		if item, _, err := q.readFile(l); err != nil {
			line.Problem = err.Error()
		} else {
			line.letter(item)
		}
		d.line(line)
	}
}
