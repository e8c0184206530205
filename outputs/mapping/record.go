package mapping

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// eventTime is the time that a record goes under: created_at, else the delivery's own, else that of receipt. A time before
// 1970 is a clock that was never set.
func eventTime(rec *outputs.Record) time.Time {
	if t, ok := rec.Signal.Created(); ok && t.Unix() > 0 {
		return t
	}
	if t, ok := rec.Signal.SentAt(); ok && t.Unix() > 0 {
		return t
	}
	return rec.ReceivedAt
}

// message is the text of a record: never empty, because some receivers stumble over a syslog message without MSG.
func message(rec *outputs.Record) string {
	s := rec.Signal
	switch {
	case s.Description != "":
		return s.Description
	case s.SignalType != "":
		return s.SignalType
	default:
		return "signal"
	}
}

// maxRenamed bounds the notes about changed names: a signal can have thousands of unknown fields.
const maxRenamed = 16

// notes returns the value of bridge_notes: the receiver's, the decoder's and, when words says that the format's names are
// words, those about names that change.
func notes(rec *outputs.Record, words bool) string {
	s := rec.Signal
	list := s.Notes
	if len(rec.Notes) > 0 {
		list = slices.Concat(rec.Notes, s.Notes)
	}
	if words && len(s.Extra)+len(s.EnvelopeExtra) > 0 {
		list = renamed(rec, list[:len(list):len(list)])
	}
	return strings.Join(list, "; ")
}

// renamed appends a note for every unknown field whose name is no word.
func renamed(rec *outputs.Record, list []string) []string {
	fields, n := unknownFields(rec, &whole), 0
	for f, i := fields.next(); f != nil; f, i = fields.next() {
		if isWordName(f) {
			continue
		}
		if n++; n > maxRenamed {
			return append(list, "more names are changed")
		}
		name := f.Name
		if len(name) > 64 {
			name = name[:64] + cutMark
		}
		list = append(list, string(appendWordName(nil, f, i))+" is "+strconv.QuoteToASCII(name))
	}
	return list
}

// unknown walks over the unknown fields of a signal that limits keep, those of "data" first.
type unknown struct {
	signal *signal.Signal
	field  int // the size from which on fields are left out
	same   int // how many of just that size are kept
	i      int
}

func unknownFields(rec *outputs.Record, lim *limits) unknown {
	return unknown{signal: rec.Signal, field: lim.field, same: lim.same}
}

// next returns the next field and its number from 0 among all, or nil.
func (u *unknown) next() (f *signal.Field, number int) {
	extra, envelope := u.signal.Extra, u.signal.EnvelopeExtra
	for ; u.i < len(extra)+len(envelope); u.i++ {
		if u.i < len(extra) {
			f = &extra[u.i]
		} else {
			f = &envelope[u.i-len(extra)]
		}
		if u.keeps(len(f.Raw)) {
			u.i++
			return f, u.i - 1
		}
	}
	return nil, u.i
}

func (u *unknown) keeps(size int) bool {
	if size == u.field && u.same > 0 {
		u.same--
		return true
	}
	return size < u.field
}
