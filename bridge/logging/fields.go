package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/linuxguard/linuxguard-bridge/bridge/display"
)

// Bounds of one record, in bytes.
const (
	maxValue  = 4 << 10
	maxRecord = 64 << 10
)

// field is one attribute, flattened and safe to print: the groups' names are part of the key.
type field struct{ key, value string }

// attrs is what WithAttrs and WithGroup left in a handler.
type groupedAttrs struct {
	fields []field
	prefix string // of open groups, "a.b."
}

func (g groupedAttrs) withAttrs(attrs []slog.Attr) groupedAttrs {
	fields := slices.Clip(g.fields)
	for _, a := range attrs {
		fields = appendAttr(fields, g.prefix, a)
	}
	return groupedAttrs{fields, g.prefix}
}

func (g groupedAttrs) withGroup(name string) groupedAttrs {
	if name == "" {
		return g
	}
	return groupedAttrs{g.fields, g.prefix + name + "."}
}

// of returns every field of r, the handler's own first.
func (g groupedAttrs) of(r slog.Record) []field {
	fields := slices.Clip(g.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = appendAttr(fields, g.prefix, a)
		return true
	})
	return fields
}

func appendAttr(fields []field, prefix string, a slog.Attr) []field {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key == "" {
			return fields
		}
		return append(fields, field{display.Line(prefix + a.Key), bounded(display.Line(textOf(v)))})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range v.Group() {
		fields = appendAttr(fields, prefix, inner)
	}
	return fields
}

func textOf(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		if m, ok := v.Any().(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err == nil {
				return string(text)
			}
		}
		if err, ok := v.Any().(error); ok {
			return display.Error(err)
		}
		return fmt.Sprintf("%+v", v.Any())
	default:
		return v.String()
	}
}

// bounded cuts text at maxValue and says how long it was.
func bounded(text string) string {
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", text[:end], len(text))
}
