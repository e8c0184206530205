package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// binder copies parsed TOML into settings structs. It differs from the parser's own decoder in what an operator
// needs: it goes on after an error, so that all are reported at once, it knows the exact key of each, it takes keys
// in their exact case only, and it knows every key that no struct asks for.
//
// Settings are structs whose fields carry a toml tag. Fields may be strings, bools, integers, floats, slices, maps
// with string keys, nested and embedded structs, pointers to any of them and encoding.TextUnmarshaler. A
// time.Duration takes a string with a unit only. A
// string or TextUnmarshaler takes a whole number too, as its digits: identifiers may look like numbers.
type binder struct {
	// problem is told of every value that doesn't fit and every unknown key.
	problem func(at keyPath, text, hint string)
	// elsewhere says in which tables a key would be known, for the hint of an unknown one; may be nil.
	elsewhere map[string][]string
}

// defaulter is implemented by a map's element type that doesn't start from its zero value.
type defaulter interface{ setDefaults() }

// structField is one key that a settings struct knows.
type structField struct {
	name  string
	index []int
	typ   reflect.Type
}

// fieldsOf lists the keys of a settings struct, those of embedded structs included.
func fieldsOf(t reflect.Type) []structField {
	var fields []structField
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name != "" && name != "-" && f.IsExported() {
			fields = append(fields, structField{name, f.Index, f.Type})
		}
	}
	return fields
}

// table copies the keys of a table into the struct dst. Keys for which skip is true are left alone; also are names
// that are known here beside the struct's, for hints.
func (b *binder) table(at keyPath, table map[string]any, dst reflect.Value, skip func(string) bool, also []string) {
	known := fieldsOf(dst.Type())
	for _, key := range sortedKeys(table) {
		i := slices.IndexFunc(known, func(f structField) bool { return f.name == key })
		switch {
		case i >= 0:
			b.value(at.key(key), table[key], fieldByIndex(dst, known[i].index))
		case skip == nil || !skip(key):
			b.unknown(at, key, append(namesOf(known), also...))
		}
	}
}

// fieldByIndex is reflect's, but it makes embedded pointers on the way.
func fieldByIndex(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		v = allocate(v).Field(i)
	}
	return v
}

// allocate follows pointers, filling nil ones.
func allocate(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

func namesOf(fields []structField) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// unknown reports a key that nothing asks for.
func (b *binder) unknown(at keyPath, key string, known []string) {
	hint := didYouMean(key, known)
	if tables := b.elsewhere[key]; hint == "" && len(tables) > 0 {
		hint = "it belongs in " + strings.Join(tables, " or ")
	}
	if hint == "" && len(known) > 0 {
		slices.Sort(known)
		hint = "known here: " + strings.Join(slices.Compact(known), ", ")
	}
	b.problem(at.key(key), "unknown key", hint)
}

// value copies one value into dst.
func (b *binder) value(at keyPath, value any, dst reflect.Value) {
	dst = allocate(dst)
	if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		b.text(at, value, u)
		return
	}
	if dst.Type() == reflect.TypeFor[time.Duration]() {
		b.duration(at, value, dst)
		return
	}
	switch dst.Kind() {
	case reflect.Struct:
		if table, ok := value.(map[string]any); ok {
			b.table(at, table, dst, nil, nil)
			return
		}
	case reflect.Map:
		if table, ok := value.(map[string]any); ok {
			b.mapping(at, table, dst)
			return
		}
	case reflect.Slice:
		if list := reflect.ValueOf(value); list.Kind() == reflect.Slice {
			b.list(at, list, dst)
			return
		}
	default:
		b.scalar(at, value, dst)
		return
	}
	b.mismatch(at, value, dst)
}

// scalar copies a string, truth value or number.
func (b *binder) scalar(at keyPath, value any, dst reflect.Value) {
	switch v := value.(type) {
	case string:
		if dst.Kind() == reflect.String {
			dst.SetString(v)
			return
		}
	case bool:
		if dst.Kind() == reflect.Bool {
			dst.SetBool(v)
			return
		}
	case float64:
		if dst.CanFloat() {
			dst.SetFloat(v)
			return
		}
	case int64:
		if dst.Kind() == reflect.String {
			dst.SetString(strconv.FormatInt(v, 10))
			return
		}
		if b.integer(at, v, dst) {
			return
		}
	}
	if dst.Kind() == reflect.Interface {
		dst.Set(reflect.ValueOf(value))
		return
	}
	b.mismatch(at, value, dst)
}

// integer copies a whole number into any kind of number.
func (b *binder) integer(at keyPath, n int64, dst reflect.Value) bool {
	switch {
	case dst.CanInt() && !dst.OverflowInt(n):
		dst.SetInt(n)
	case dst.CanUint() && n >= 0 && !dst.OverflowUint(uint64(n)):
		dst.SetUint(uint64(n))
	case dst.CanFloat():
		dst.SetFloat(float64(n))
	case dst.CanInt() || dst.CanUint():
		b.problem(at, fmt.Sprintf("%d is out of range", n), "")
	default:
		return false
	}
	return true
}

// duration copies a duration. A bare number is refused: of what?
func (b *binder) duration(at keyPath, value any, dst reflect.Value) {
	text, ok := value.(string)
	if !ok {
		b.mismatch(at, value, dst)
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.problem(at, fmt.Sprintf(`must be a duration such as "30s", "5m" or "72h", not %q`, text), "")
		return
	}
	dst.SetInt(int64(d))
}

// text lets the type read the value by itself.
func (b *binder) text(at keyPath, value any, u encoding.TextUnmarshaler) {
	text, ok := value.(string)
	if n, isNumber := value.(int64); isNumber {
		text, ok = strconv.FormatInt(n, 10), true
	}
	if !ok {
		b.mismatch(at, value, reflect.ValueOf(u).Elem())
		return
	}
	if err := u.UnmarshalText([]byte(text)); err != nil {
		b.problem(at, err.Error(), "")
	}
}

// list copies a list, which replaces the default.
func (b *binder) list(at keyPath, list, dst reflect.Value) {
	dst.Set(reflect.MakeSlice(dst.Type(), list.Len(), list.Len()))
	for i := range list.Len() {
		b.value(at.index(i), list.Index(i).Interface(), dst.Index(i))
	}
}

// mapping copies a table into a map: its keys are the operator's to choose.
func (b *binder) mapping(at keyPath, table map[string]any, dst reflect.Value) {
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(table)))
	for _, key := range sortedKeys(table) {
		element := reflect.New(dst.Type().Elem())
		if d, ok := element.Interface().(defaulter); ok {
			d.setDefaults()
		}
		b.value(at.key(key), table[key], element.Elem())
		dst.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), element.Elem())
	}
}

// mismatch reports a value of the wrong type. It never shows the value, which may be a secret in the wrong place.
func (b *binder) mismatch(at keyPath, value any, dst reflect.Value) {
	b.problem(at, "must be "+describeType(dst.Type())+", not "+describe(value), "")
}

// sortedKeys makes the order of a table's problems the same every time.
func sortedKeys[V any](table map[string]V) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
