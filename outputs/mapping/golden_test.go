package mapping_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/golden"
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

// recordOf is the record of a case: webhook.json without its last newline, and record.json for what comes from
// elsewhere than the body.
func recordOf(t testing.TB, c *golden.Case) *outputs.Record {
	t.Helper()
	body := c.Must(t, "webhook.json")
	rec := record(t, strings.TrimSuffix(body, "\n"))
	if extra, ok := c.Text("record.json"); ok {
		if err := json.Unmarshal([]byte(extra), rec); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

func cases(t testing.TB) []*golden.Case { return golden.Cases(t, "testdata", 15) }

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		rec := recordOf(t, c)
		for _, f := range formats(t) {
			got := append(f.encode(nil, rec), '\n')
			checked := strings.HasSuffix(f.name, "-full") || strings.HasSuffix(f.name, "-none") // held to the parsers alone
			if *update && !checked {
				c.Set(f.name, string(got))
			}
			t.Run(c.Name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				if !checked && string(got) != c.Must(t, f.name) {
					t.Errorf("got  %s\nwant %s", got, c.Must(t, f.name))
				}
				checkLine(t, f, rec, string(got[:len(got)-1]))
			})
		}
		if *update {
			c.Write(t)
		}
	}
}

// TestAppends: an encoder appends, and what is in the slice already has no say in what it appends.
func TestAppends(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		rec := recordOf(t, c)
		for _, f := range formats(t) {
			prefix := []byte(`{"a":{`)
			got := f.encode(bytes.Clone(prefix), rec)
			if want := f.encode(nil, rec); !bytes.Equal(got, append(prefix, want...)) {
				t.Errorf("%s, %s: after a prefix %q, without %q", c.Name, f.name, got, want)
			}
		}
	}
}
