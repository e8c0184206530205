package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
)

// Setting is one key with the value that is in force.
type Setting struct {
	Table  string // dotted, e.g. output.siem
	Key    string // within the table
	Value  string // as TOML; a secret is its reference
	Source string // FILE:LINE, or DefaultSource
}

// DefaultSource is the Source of a key that no file has.
const DefaultSource = "default"

// outputSettings are the keys of one output.
type outputSettings struct {
	at     keyPath
	common outputTable
	own    reflect.Value
}

// completer is a kind's settings that leave defaults to the code which uses them. Complete fills those in, for people: it is called on settings
// that are looked at only.
type completer interface{ Complete() }

// collect lists every setting with where it comes from.
func (l *loader) collect() {
	l.settings(nil, reflect.ValueOf(l.file))
	for _, o := range l.outputs {
		l.settings(o.at, reflect.ValueOf(o.common))
		if o.own.IsValid() {
			if c, ok := o.own.Addr().Interface().(completer); ok {
				c.Complete()
			}
			l.settings(o.at, o.own)
		}
	}
	// A table's own keys come before the tables in it, as TOML wants it.
	slices.SortStableFunc(l.cfg.Settings, func(a, b Setting) int {
		if strings.HasPrefix(b.Table, a.Table+".") {
			return -1
		}
		if strings.HasPrefix(a.Table, b.Table+".") {
			return 1
		}
		return 0
	})
}

// settings adds the keys of a table, those of the tables in it included.
func (l *loader) settings(at keyPath, table reflect.Value) {
	for _, f := range fieldsOf(table.Type()) {
		value := table.FieldByIndex(f.index)
		for value.Kind() == reflect.Pointer && !value.IsNil() {
			value = value.Elem()
		}
		here := at.key(f.name)
		switch {
		case value.Kind() == reflect.Pointer: // not set, and the default is not to be told in a value
		case here.String() == "output": // each is there as its kind has completed it
		case value.Kind() == reflect.Struct && len(fieldsOf(value.Type())) > 0:
			l.settings(here, value)
		case value.Kind() == reflect.Map && value.Type().Elem().Kind() == reflect.Struct:
			for _, name := range slices.SortedFunc(slices.Values(value.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
				l.settings(here.key(name.String()), value.MapIndex(name))
			}
		case l.isForOtherKind(here):
		default:
			l.cfg.Settings = append(l.cfg.Settings, Setting{Table: at.String(), Key: quoteKey(f.name), Value: asTOML(here, value), Source: l.source(here)})
		}
	}
}

// isForOtherKind reports a key of [queue] that this kind of queue doesn't use.
func (l *loader) isForOtherKind(at keyPath) bool {
	return l.file.Queue.Kind == "local" && len(at) == 2 && at[0] == "queue" &&
		!slices.Contains([]string{"kind", "directory", "max_bytes", "quarantine_max_bytes", "keep"}, at[1])
}

// source says where a value comes from.
func (l *loader) source(at keyPath) string {
	if p, ok := l.at[at.String()]; ok {
		return fmt.Sprintf("%s:%d", p.file, p.line)
	}
	return DefaultSource
}

// asTOML writes a value as it would stand in the file.
func asTOML(at keyPath, v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return strconv.Quote(formatDuration(value))
	case setting.Size:
		return strconv.Quote(value.String())
	case optionalDuration:
		if value == 0 {
			return `""`
		}
		return strconv.Quote(formatDuration(time.Duration(value)))
	}
	switch v.Kind() {
	case reflect.String:
		return quoteText(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Slice:
		list := make([]string, v.Len())
		for i := range list {
			list[i] = asTOML(at.index(i), v.Index(i))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case reflect.Map:
		var pairs []string
		for it := v.MapRange(); it.Next(); {
			pairs = append(pairs, quoteKey(it.Key().String())+" = "+asTOML(at.key(it.Key().String()), it.Value()))
		}
		slices.Sort(pairs)
		return inline(pairs)
	case reflect.Struct:
		var pairs []string
		for _, f := range fieldsOf(v.Type()) {
			if field := v.FieldByIndex(f.index); !field.IsZero() {
				pairs = append(pairs, quoteKey(f.name)+" = "+asTOML(at.key(f.name), field))
			}
		}
		return inline(pairs)
	default: // truth values, fractions
		return fmt.Sprint(v.Interface())
	}
}

func inline(pairs []string) string {
	if len(pairs) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

// quoteText writes a basic string of TOML: its escapes are a part of Go's, but for \x and \a and \v.
func quoteText(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
