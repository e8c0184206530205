package mapping_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

var update = flag.Bool("update", false, "write the golden files anew")

// format is one way to encode a record, with the file that a golden case keeps it in.
type format struct {
	name   string
	encode func(dst []byte, rec *outputs.Record) []byte
	max    int // of a syslog message; 0: none
}

// formats are all of them. Syslog with the smallest limit comes along for what is cut.
func formats(t testing.TB) []format {
	t.Helper()
	list := []format{{name: "json", encode: mapping.NewJSON().Append}, {name: "ocsf", encode: mapping.NewOCSF().Append}}
	for name, o := range map[string]mapping.HECOptions{
		"hec": {Index: "main", IndexedFields: true}, "hec-raw": {Layout: "raw", IndexedFields: true}, "hec-cim": {Layout: "cim"},
		"hec-ocsf": {Layout: "ocsf"},
	} {
		hec, err := mapping.NewHEC(o)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, format{name: name, encode: hec.Append})
	}
	for name, o := range syslogOptions {
		syslog, err := mapping.NewSyslog(o)
		if err != nil {
			t.Fatal(err)
		}
		limit := o.MaxMessageBytes
		if limit == 0 {
			limit = mapping.DefaultMaxMessageBytes
		}
		list = append(list, format{name: name, max: limit, encode: func(dst []byte, rec *outputs.Record) []byte {
			dst, _ = syslog.Append(dst, rec)
			return dst
		}})
	}
	return list
}

var syslogOptions = map[string]mapping.SyslogOptions{
	"rfc5424":           {},
	"rfc5424-json":      {Message: "json", Facility: "local3", EnterpriseID: "55555"},
	"rfc5424-cef":       {Message: "cef"},
	"rfc5424-leef":      {Message: "leef"},
	"rfc5424-ocsf":      {Message: "ocsf"},
	"rfc5424-cef-full":  {Message: "cef", StructuredData: "full"},
	"rfc5424-leef-none": {Message: "leef", StructuredData: "none"},
	"rfc5424-all":       {BOM: true, Origin: true, TimeQuality: true, Version: "1.2.3"},
	"rfc3164":           {Format: "rfc3164"},
	"rfc3164-json":      {Format: "rfc3164", Message: "json"},
	"rfc3164-cef":       {Format: "rfc3164", Message: "cef"},
	"cut":               {MaxMessageBytes: 1024},
	"cut-json":          {MaxMessageBytes: 2048, Message: "json"},
	"cut-cef":           {MaxMessageBytes: 2048, Message: "cef"},
	"cut-leef":          {MaxMessageBytes: 2048, Message: "leef"},
	"cut-ocsf":          {MaxMessageBytes: 2048, Message: "ocsf"},
	"cut-3164":          {MaxMessageBytes: 1024, Format: "rfc3164"},
}

// golden reads testdata/<case>: webhook.json, and record.json for what comes from elsewhere than the body.
func golden(t testing.TB, dir string) *outputs.Record {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, "webhook.json"))
	if err != nil {
		t.Fatal(err)
	}
	rec := record(t, string(body))
	if extra, err := os.ReadFile(filepath.Join(dir, "record.json")); err == nil {
		if err := json.Unmarshal(extra, rec); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

func cases(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/webhook.json")
	if err != nil || len(dirs) < 15 {
		t.Fatalf("%d golden cases, %v", len(dirs), err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		rec := golden(t, dir)
		for _, f := range formats(t) {
			t.Run(filepath.Base(dir)+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				got := append(f.encode(nil, rec), '\n')
				if strings.HasSuffix(f.name, "-full") || strings.HasSuffix(f.name, "-none") { // held to the parsers alone
					checkLine(t, f, rec, string(got[:len(got)-1]))
					return
				}
				path := filepath.Join(dir, "want."+f.name)
				if *update {
					if err := os.WriteFile(path, got, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				checkLine(t, f, rec, string(got[:len(got)-1]))
			})
		}
	}
}

// TestAppends: an encoder appends, and what is in the slice already has no say in what it appends.
func TestAppends(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		rec := golden(t, dir)
		for _, f := range formats(t) {
			prefix := []byte(`{"a":{`)
			got := f.encode(bytes.Clone(prefix), rec)
			if want := f.encode(nil, rec); !bytes.Equal(got, append(prefix, want...)) {
				t.Errorf("%s, %s: after a prefix %q, without %q", dir, f.name, got, want)
			}
		}
	}
}
