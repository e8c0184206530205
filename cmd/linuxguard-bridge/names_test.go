package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/linuxguard/linuxguard-bridge/bridge/admin"
	"github.com/linuxguard/linuxguard-bridge/bridge/config"
	"github.com/linuxguard/linuxguard-bridge/bridge/queue"
	"github.com/linuxguard/linuxguard-bridge/bridge/tail"
)

// TestNames holds every name that operators and their scripts may rely on to testdata/names.txt: commands with their flags, keys of the
// configuration, and fields of what is printed with --json. A change there is a change for them.
func TestNames(t *testing.T) {
	t.Parallel()
	var names []string
	walkCommands(newRootCommand(&globals{}), func(path string, c *cobra.Command) {
		names = append(names, "command "+path)
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { names = append(names, "command "+path+" --"+f.Name) })
	})
	for _, key := range config.Keys() {
		names = append(names, "configuration "+key)
	}
	for answer, v := range map[string]any{
		"status": admin.Status{}, "trace": admin.Trace{}, "audit": admin.Audit{}, "quarantine list": admin.QuarantineList{}, "losses list": []queue.Loss{}, "tail": tail.Line{}, "config show": []shownSetting{}, "reload": admin.ReloadAnswer{}, "check": struct {
			checkResult
			Report config.WireReport `json:"configuration"`
		}{},
		"queue replay": admin.ReplayAnswer{}, "queue forget": admin.ForgetAnswer{},
	} {
		for _, field := range jsonFields(reflect.TypeOf(v), "", nil) {
			names = append(names, "json "+answer+" "+field)
		}
	}
	slices.Sort(names)
	got := strings.Join(slices.Compact(names), "\n") + "\n"
	const file = "testdata/names.txt"
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	had := strings.Split(string(want), "\n")
	for _, name := range strings.Split(got, "\n") {
		if !slices.Contains(had, name) {
			t.Errorf("%s is new (go test -update accepts it)", name)
		}
	}
	for _, name := range had {
		if !slices.Contains(strings.Split(got, "\n"), name) {
			t.Errorf("%s is gone (go test -update accepts it)", name)
		}
	}
}

func walkCommands(c *cobra.Command, visit func(path string, c *cobra.Command)) {
	if c.Hidden {
		return
	}
	visit(c.CommandPath(), c)
	for _, sub := range c.Commands() {
		walkCommands(sub, visit)
	}
}

// jsonFields lists the fields of a type as they are written: queue.losses, outputs[].name.
func jsonFields(typ reflect.Type, at string, seen []reflect.Type) []string {
	switch typ.Kind() {
	case reflect.Pointer:
		return jsonFields(typ.Elem(), at, seen)
	case reflect.Slice, reflect.Array:
		return jsonFields(typ.Elem(), at+"[]", seen)
	case reflect.Map:
		return jsonFields(typ.Elem(), at+"[NAME]", seen)
	case reflect.Struct:
	default:
		return []string{at}
	}
	if typ.PkgPath() == "time" || slices.Contains(seen, typ) {
		return []string{at}
	}
	var fields []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			fields = append(fields, jsonFields(f.Type, at, append(seen, typ))...)
			continue
		case name == "":
			name = f.Name
		}
		if at != "" {
			name = fmt.Sprint(at, ".", name)
		}
		fields = append(fields, jsonFields(f.Type, name, append(seen, typ))...)
	}
	return fields
}
