package splunk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

const goldens = "../../outputs/mapping/testdata/"

// goldenFiles are the mapping's golden records of one format, by case.
func goldenFiles(t testing.TB, format string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(goldens + "*/want." + format)
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d golden records of %s, %v", len(paths), format, err)
	}
	files := map[string]string{}
	for _, path := range paths {
		files[filepath.Base(filepath.Dir(path))] = strings.TrimSuffix(contribtest.ReadFile(t, path), "\n")
	}
	return files
}

// decode reads one JSON object with its numbers as they are written.
func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return object
}

// hecEvent is what Splunk indexes of a golden HEC record.
func hecEvent(t testing.TB, text string) event {
	t.Helper()
	var envelope struct {
		SourceType string `json:"sourcetype"`
		Fields     map[string]any
		Event      json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &envelope); err != nil {
		t.Fatal(err)
	}
	return event{raw: string(envelope.Event), sourcetype: envelope.SourceType, indexed: envelope.Fields}
}

// alerts are the fields that CIM's data model Alerts wants, and what each is made of: a native field, or =constant.
var alerts = map[string]string{
	"app": "=LinuxGuard", "type": "=alert", "vendor_product": "=LinuxGuard", "description": "description", "dest": "server_hostname",
	"src": "server_hostname", "id": "signal_id", "signature": "signal_type", "signature_id": "signal_type", "user": "identity_name",
	"user_id": "identity_id", "vendor_account": "tenant_id", "severity_id": "severity", "severity": "=",
}

var severities = map[string]string{"1": "informational", "2": "low", "3": "medium", "4": "high", "5": "critical"}

// checkAlert compares what Splunk shows with the same signal's native record.
func checkAlert(t *testing.T, name string, native map[string]any, f fields) {
	t.Helper()
	if native["bridge_synthetic"] == "true" {
		if slices.Contains(f["tag"], "alert") || !slices.Contains(f["eventtype"], "linuxguard_bridge") {
			t.Errorf("%s: what the bridge says itself has tags %v, event types %v", name, f["tag"], f["eventtype"])
		}
		return
	}
	if !slices.Equal(f["tag"], []string{"alert"}) || !slices.Equal(f["eventtype"], []string{"linuxguard_signal"}) {
		t.Errorf("%s: tags %v, event types %v", name, f["tag"], f["eventtype"])
	}
	if id, there := native["delivery_id"].(string); there && !slices.Equal(f["delivery_id"], []string{id}) {
		t.Errorf("%s: delivery_id is %q, want %q once", name, f["delivery_id"], id)
	}
	for field, from := range alerts {
		want := strings.TrimPrefix(from, "=")
		if !strings.HasPrefix(from, "=") {
			value, there := native[from]
			if !there {
				continue // the webhook hasn't said it
			}
			want = fmt.Sprint(value)
		}
		if field == "severity" {
			want = severities[fmt.Sprint(native["severity"])]
		}
		if !slices.Equal(f[field], []string{want}) {
			t.Errorf("%s: %s is %q, want %q", name, field, f[field], want)
		}
	}
}

func TestHECLayouts(t *testing.T) {
	t.Parallel()
	s := load(t)
	// In these cases a field of the webhook has taken a name of CIM's or isn't where the documentation says.
	unlike := map[string]bool{"hec/colliding-names": true, "hec-raw/colliding-names": true, "hec-raw/data-no-object": true}
	for _, layout := range []string{"hec", "hec-cim", "hec-raw"} {
		n := 0
		for name, record := range goldenFiles(t, layout) {
			native := decode(t, contribtest.ReadFile(t, goldens+name+"/want.json"))
			e := hecEvent(t, record)
			if e.sourcetype == "linuxguard:bridge" {
				if f := s.see(e); f["tag"] != nil || !slices.Contains(f["eventtype"], "linuxguard_bridge") {
					t.Errorf("%s/%s: tags %v, event types %v", layout, name, f["tag"], f["eventtype"])
				}
				continue
			}
			if layout == "hec-raw" && (!documented(e.raw) || oddValue(native)) || unlike[layout+"/"+name] {
				continue
			}
			n++
			checkAlert(t, layout+"/"+name, native, s.see(e))
		}
		if n < 15 {
			t.Errorf("%s: only %d records looked at", layout, n)
		}
	}
}

// documented reports whether a raw event is an envelope whose strings are strings: Splunk sees others as they came.
func documented(raw string) bool {
	var envelope struct {
		Data struct {
			SignalID, ServerName string
			Severity             int
		}
	}
	return json.Unmarshal([]byte(raw), &envelope) == nil
}

// oddValue reports whether the bridge had to interpret the webhook: the raw layout leaves that to the reader.
func oddValue(native map[string]any) bool { return native["bridge_notes"] != nil }

func TestFileOutputLines(t *testing.T) {
	t.Parallel()
	s := load(t)
	for name, record := range goldenFiles(t, "json") {
		if name != "colliding-names" {
			checkAlert(t, "json/"+name, decode(t, record), s.see(event{raw: record, sourcetype: "linuxguard:signal"}))
		}
	}
}

var oldHeader = regexp.MustCompile(`^<\d+>[A-Z][a-z]{2} .{11} \S+ linuxguard: \[`)

// TestSyslog holds each SD-PARAM that an independent parser finds in a record to what Splunk shows.
func TestSyslog(t *testing.T) {
	t.Parallel()
	s := load(t)
	for _, format := range []string{"rfc5424", "rfc5424-all", "rfc5424-json", "rfc5424-cef", "rfc5424-leef", "cut", "rfc3164"} {
		for name, record := range goldenFiles(t, format) {
			f := s.see(event{raw: record, sourcetype: "linuxguard:signal:syslog"})
			// The element is the same behind either header; the parser knows RFC 5424's.
			params := parameters(t, oldHeader.ReplaceAllLiteralString(record, "<11>1 - - - - - ["))
			for field, want := range params {
				if raised := []string{want.(string)}; alerts[field] == "" && !slices.Equal(unescape(field, f[field]), raised) {
					t.Errorf("%s/%s: %s is %q, want %q", format, name, field, f[field], raised)
				}
			}
			if name != "colliding-names" {
				checkAlert(t, format+"/"+name, params, f)
			}
		}
	}
}

// parameters is the bridge's SD-ELEMENT by leodido/go-syslog.
func parameters(t testing.TB, record string) map[string]any {
	t.Helper()
	message, err := rfc5424.NewParser(rfc5424.WithBestEffort()).Parse([]byte(record))
	if err != nil {
		t.Fatalf("%v: %s", err, record)
	}
	for id, params := range *message.(*rfc5424.SyslogMessage).StructuredData {
		if !strings.HasPrefix(id, "linuxguard@") {
			continue
		}
		all := map[string]any{}
		for name, value := range params {
			all[name] = value
		}
		return all
	}
	t.Fatalf("no element of ours in %s", record)
	return nil
}

// unescape does what the add-on does for fields of free text, for the webhook's unknown ones: they stay escaped.
func unescape(field string, values []string) []string {
	for _, known := range mapping.Fields() {
		if known.Name == field {
			return values
		}
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = regexp.MustCompile(`\\(["\\\]])`).ReplaceAllString(v, "$1")
	}
	return out
}

// TestTextMakesNoFields: what a user typed stands in MSG, too, and must not hide an alert or raise one.
func TestTextMakesNoFields(t *testing.T) {
	t.Parallel()
	s := load(t)
	const evil = `x] [linuxguard@1 bridge_synthetic="true" severity="1"] bridge_synthetic="true" resend_of="7" `
	escaped := strings.NewReplacer(`"`, `\"`, `]`, `\]`).Replace(evil)
	for _, header := range []string{`<11>1 2026-03-02T14:32:01Z web-01 linuxguard - sudo `, `<11>Mar  2 14:32:01 web-01 linuxguard: `, `Mar  2 14:32:01 linuxguard: `} {
		f := s.see(event{sourcetype: "linuxguard:signal:syslog",
			raw: header + `[meta sequenceId="1"][linuxguard@55555 signal_id="s" severity="5" description="` + escaped + `"][origin software="x"] ` + evil})
		if f["bridge_synthetic"] != nil || f["resend_of"] != nil || !slices.Equal(f["severity"], []string{"critical"}) ||
			!slices.Equal(f["tag"], []string{"alert"}) || !slices.Equal(f["description"], []string{evil}) {
			t.Errorf("%s: %v", header, f)
		}
	}
}

// TestEveryFieldIsCovered: each field of the mapping's table is one that Splunk shows, in JSON and in syslog form, and is in
// the README.
func TestEveryFieldIsCovered(t *testing.T) {
	t.Parallel()
	s := load(t)
	seen := map[string]fields{"hec": {}, "hec-cim": {}, "rfc5424": {}}
	for format, all := range seen {
		files := goldenFiles(t, format)
		for name, record := range goldenFiles(t, "cut") {
			if format == "rfc5424" {
				files["cut "+name] = record // only what is cut has bridge_cut
			}
		}
		for _, record := range files {
			e := event{raw: record, sourcetype: "linuxguard:signal:syslog"}
			if format != "rfc5424" {
				e = hecEvent(t, record)
			}
			for name := range s.see(e) {
				all[name] = []string{"seen"}
			}
		}
	}
	readme := contribtest.ReadFile(t, addon+"README.md")
	for _, field := range mapping.Fields() {
		if !strings.Contains(readme, "| `"+field.Name+"` |") {
			t.Errorf("README.md doesn't list %s", field.Name)
		}
		for format, all := range seen {
			want := field.Name
			if format == "hec-cim" {
				want = field.CIM
			}
			if all[want] == nil && !(field.Name == "bridge_cut" && format != "rfc5424") { // JSON is never cut
				t.Errorf("%s: no record shows %s", format, want)
			}
		}
	}
}

// TestIndexTime: the time is found where it stands, and the line breaker takes no part of a record.
func TestIndexTime(t *testing.T) {
	t.Parallel()
	s := load(t)
	for sourcetype, formats := range map[string][]string{"linuxguard:signal": {"json"}, "linuxguard:signal:syslog": {"rfc5424", "rfc3164"}} {
		props := s.props[sourcetype]
		for _, format := range formats {
			for name, record := range goldenFiles(t, format) {
				if s.pattern(props.get("LINE_BREAKER")).MatchString(record) {
					t.Errorf("%s/%s is broken into lines", format, name)
				}
				at := s.pattern(props.get("TIME_PREFIX")).FindStringIndex(record)
				if at == nil && !strings.Contains(record, `"created_at":"`) {
					continue // the webhook has none, or a number
				}
				if want := regexp.MustCompile(`^(?:\d{4}-\d\d-\d\dT|[A-Z][a-z]{2} [ \d]\d )`); at == nil ||
					!want.MatchString(record[at[1]:]) && !strings.Contains(name, "created-at") {
					t.Errorf("%s/%s: no time at TIME_PREFIX in %.80s", format, name, record)
				}
			}
		}
	}
}

// TestSavedSearch runs the first steps of the search on records that came twice.
func TestSavedSearch(t *testing.T) {
	t.Parallel()
	s := load(t)
	search := conf(t, "default/savedsearches.conf")["LinuxGuard - signals, each once"].get("search")
	golden := func(name string) fields { return s.see(hecEvent(t, contribtest.ReadFile(t, goldens+name+"/want.hec"))) }
	once, again, other := golden("documented"), golden("resend"), golden("documented")
	other["delivery_id"] = nil // a delivery without that header is known by its number
	kept := map[string]bool{}
	for _, f := range []fields{once, again, once, other, other} {
		for step := range strings.SplitSeq(search, " | ") {
			command, rest, _ := strings.Cut(step, " ")
			switch command {
			case "eval":
				name, expr, _ := strings.Cut(rest, "=")
				value, err := evaluate(expr, f)
				if err != nil {
					t.Fatal(err)
				}
				f[name] = value
			case "dedup":
				if f[rest] == nil {
					t.Fatalf("dedup would drop an event without %s", rest)
				}
				kept[f[rest][0]] = true
			}
		}
	}
	if len(kept) != 2 || !strings.HasPrefix(search, "eventtype=linuxguard_signal | ") {
		t.Errorf("%s keeps %v", search, kept)
	}
}

// TestPackage holds the files together that must agree, and keeps out what Splunk's inspection refuses.
func TestPackage(t *testing.T) {
	t.Parallel()
	app, manifest := conf(t, "default/app.conf"), decode(t, contribtest.ReadFile(t, addon+"app.manifest"))
	info, _ := manifest["info"].(map[string]any)
	id, _ := info["id"].(map[string]any)
	name, version := app["id"].get("name"), app["id"].get("version")
	if name != strings.TrimSuffix(addon, "/") || app["package"].get("id") != name || id["name"] != name || id["version"] != version || app["launcher"].get("version") != version {
		t.Errorf("app.conf and app.manifest disagree: %v, %v", app, id)
	}
	if conf(t, "metadata/default.meta")[""].get("export") != "system" {
		t.Error("what CIM needs is not exported")
	}
	err := filepath.WalkDir(strings.TrimSuffix(addon, "/"), func(path string, d os.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), ".") || d.Name() == "local" || d.Name() == "local.meta" {
			t.Errorf("%s must not be in a package", path)
		}
		if info, infoErr := d.Info(); infoErr == nil && !d.IsDir() && info.Mode()&0o111 != 0 {
			t.Errorf("%s is executable", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
