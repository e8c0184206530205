package splunk

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// TestEveryFieldIsCovered: each field of the mapping's table is one that Splunk shows, in JSON and in syslog form, and is in
// the README.
func TestEveryFieldIsCovered(t *testing.T) {
	t.Parallel()
	s := load(t)
	seen := map[string]fields{"hec": {}, "hec-cim": {}, "rfc5424": {}}
	for format, all := range seen {
		files := goldenRecords(t, format)
		for name, record := range goldenRecords(t, "cut") {
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
	for sourcetype, formats := range map[string][]string{"linuxguard:signal": {"json"}, "linuxguard:signal:syslog": {"rfc5424", "rfc3164"},
		"linuxguard:signal:cef": {"rfc5424-cef", "rfc3164-cef"}, "linuxguard:signal:leef": {"rfc5424-leef"}} {
		props := s.props[sourcetype]
		for _, format := range formats {
			for name, record := range goldenRecords(t, format) {
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
	seen := func(name string) fields { return s.see(hecEvent(t, goldenRecord(t, name, "hec"))) }
	once, again, other := seen("documented"), seen("resend"), seen("documented")
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
