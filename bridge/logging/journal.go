package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

const (
	identifier = "linuxguard-bridge"
	// fieldPrefix keeps an attribute from becoming a field that journald or another program gives a meaning.
	fieldPrefix = "LINUXGUARD_"
	// maxFieldName is journald's limit.
	maxFieldName = 64
	journalWait  = 2 * time.Second
)

// journalHandler writes records in the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram of
// NAME=value lines. display.Line leaves no newline in a value, so that the binary form is never needed, and no value can
// begin a field of its own. go-systemd's Send isn't used because it writes field names as they come.
type journalHandler struct {
	level slog.Leveler
	sink  *journalSink
	groupedAttrs
}

func newJournalHandler(level slog.Leveler, socket string, fallback io.Writer) *journalHandler {
	return &journalHandler{level: level, sink: &journalSink{socket: socket, fallback: &lockedWriter{w: fallback}}}
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.level, h.sink, h.withAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.level, h.sink, h.withGroup(name)}
}

// Handle implements slog.Handler.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	fields := h.of(r)
	priority := priorityOf(r.Level)
	message := messageOf(r, fields)
	var b bytes.Buffer
	writeField(&b, "MESSAGE", message)
	writeField(&b, "PRIORITY", strconv.Itoa(int(priority)))
	writeField(&b, "SYSLOG_IDENTIFIER", identifier)
	for _, f := range fields {
		if f.key == "event" {
			if id := messageID(f.value); id != "" {
				writeField(&b, "MESSAGE_ID", id)
			}
		}
		if b.Len()+len(f.value) < maxRecord {
			writeField(&b, fieldName(f.key), f.value)
		}
	}
	return h.sink.send(b.Bytes(), priority, message)
}

// messageOf is what `journalctl` shows: the text and, as it hides fields, the attributes but for the event's name.
func messageOf(r slog.Record, fields []field) string {
	var b strings.Builder
	b.WriteString(bounded(display.Line(r.Message)))
	shown := make([]field, 0, len(fields))
	for _, f := range fields {
		if f.key != "event" {
			shown = append(shown, f)
		}
	}
	writeFields(&b, shown, func(key string) string { return key })
	return bounded(b.String())
}

func writeField(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(value)
	b.WriteByte('\n')
}

// fieldName makes a valid field of any key: A-Z, 0-9 and underscore, at most 64 bytes.
func fieldName(key string) string {
	name := fieldPrefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
	return name[:min(len(name), maxFieldName)]
}

func priorityOf(l slog.Level) journal.Priority {
	switch {
	case l > slog.LevelError:
		return journal.PriCrit
	case l == slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l > slog.LevelInfo:
		return journal.PriNotice
	case l == slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

// journalSink sends datagrams to journald, and to standard error, in the form that systemd reads priorities from,
// when that fails: a line is rather shown in its second-best form than lost.
type journalSink struct {
	socket   string
	fallback *lockedWriter

	mu   sync.Mutex
	conn *net.UnixConn
}

func (s *journalSink) send(record []byte, priority journal.Priority, message string) error {
	s.mu.Lock()
	err := s.write(record)
	if err != nil {
		err = s.write(record) // journald may have been restarted
	}
	s.mu.Unlock()
	if err == nil {
		return nil
	}
	return s.fallback.writeLine("<" + strconv.Itoa(int(priority)) + ">" + message)
}

// write sends one datagram; after an error the next call dials again.
func (s *journalSink) write(record []byte) (err error) {
	if s.conn == nil {
		if s.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"}); err != nil {
			s.conn = nil
			return err
		}
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(journalWait)) // a journal that hangs must not hang the bridge
	if _, err = s.conn.Write(record); err != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
	return err
}
