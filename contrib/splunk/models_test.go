package splunk

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// model is what a data model of CIM asks for: the tags of its constraint, the fields that it needs of us, and the values that its field action may
// have. Source: Splunk's Common Information Model manual, the pages Authentication, Change (All_Changes) and Endpoint (Processes).
type model struct {
	eventType string
	tags      []string
	fields    []string
	actions   []string
}

var models = map[string]model{
	"authentication": {"linuxguard_authentication", []string{"authentication"}, []string{"action", "app", "dest", "src", "user", "signature", "vendor_product"},
		[]string{"success", "failure", "pending", "error"}},
	"change": {"linuxguard_change", []string{"change"}, []string{"action", "dest", "object_category", "status", "user", "src", "vendor_product"},
		[]string{"acl_modified", "cleared", "created", "deleted", "modified", "read", "stopped", "updated", "started", "restarted", "logoff", "lockout", "unlocked"}},
	"endpoint": {"linuxguard_endpoint", []string{"process", "report"}, []string{"action", "dest", "user", "vendor_product"}, []string{"allowed", "blocked", "deferred"}},
}

// typeRows are the add-on's rows, by column.
func typeRows(t *testing.T) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(contribtest.ReadFile(t, addon+"lookups/linuxguard_signal_types.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, row := range rows[1:] {
		named := map[string]string{}
		for i, name := range rows[0] {
			named[name] = row[i]
		}
		all = append(all, named)
	}
	return all
}

// signalOf is the documented signal with another type, as HEC brings it.
func signalOf(t *testing.T, kind string) event {
	t.Helper()
	record := strings.ReplaceAll(goldenRecord(t, "documented", "hec"), "sudo_command_executed", kind)
	return hecEvent(t, record)
}

// TestEveryTypeFitsItsModel: a signal of each pattern of the lookup has the tags of its model, every field that the model needs, and values that it
// allows; and each row is the first that its own pattern finds, or it would never be used.
func TestEveryTypeFitsItsModel(t *testing.T) {
	t.Parallel()
	s := load(t)
	seen := map[string]int{}
	for _, row := range typeRows(t) {
		kind := strings.ReplaceAll(row["signal_type"], "*", "x")
		kind = strings.TrimSuffix(strings.TrimPrefix(kind, "x"), "x")
		m, known := models[row["linuxguard_model"]]
		if !known {
			t.Errorf("%s: the model %q is none", row["signal_type"], row["linuxguard_model"])
			continue
		}
		seen[row["linuxguard_model"]]++
		f := s.see(signalOf(t, kind))
		if !slices.Contains(f["eventtype"], m.eventType) || !slices.Contains(f["eventtype"], "linuxguard_signal") {
			t.Errorf("%s (%s): event types %v", row["signal_type"], kind, f["eventtype"])
		}
		for _, tag := range append(slices.Clone(m.tags), "alert") {
			if !slices.Contains(f["tag"], tag) {
				t.Errorf("%s: tags %v lack %s", kind, f["tag"], tag)
			}
		}
		for other, o := range models {
			if other != row["linuxguard_model"] && slices.Contains(f["eventtype"], o.eventType) {
				t.Errorf("%s is of the model %s too", kind, other)
			}
		}
		for _, field := range m.fields {
			if len(f[field]) != 1 || f[field][0] == "" {
				t.Errorf("%s: %s needs %s, which is %q", kind, row["linuxguard_model"], field, f[field])
			}
		}
		if !slices.Contains(m.actions, row["action"]) || !slices.Equal(f["action"], []string{row["action"]}) {
			t.Errorf("%s: action %q, shown %q", kind, row["action"], f["action"])
		}
		if account := slices.Contains(f["tag"], "account"); account != (row["change_type"] == "AAA") {
			t.Errorf("%s: tags %v, change_type %q", kind, f["tag"], row["change_type"])
		}
	}
	if len(seen) != len(models) {
		t.Errorf("models %v", seen)
	}
}

// TestUnknownTypeIsAnAlertAlone: what no pattern names gets no model, and no made-up action.
func TestUnknownTypeIsAnAlertAlone(t *testing.T) {
	t.Parallel()
	f := load(t).see(signalOf(t, "something_new"))
	if !slices.Equal(f["tag"], []string{"alert"}) || f["action"] != nil || f["linuxguard_model"] != nil || f["mitre_technique_id"] != nil {
		t.Errorf("tags %v, action %v, model %v", f["tag"], f["action"], f["linuxguard_model"])
	}
}

// TestOwnTypesComeFirst: a file of the site's own, named in local/transforms.conf, goes before the add-on's.
func TestOwnTypesComeFirst(t *testing.T) {
	t.Parallel()
	s := load(t)
	first, second := s.props["linuxguard:signal"].get("LOOKUP-linuxguard_types_1"), s.props["linuxguard:signal"].get("LOOKUP-linuxguard_types_2")
	if !strings.HasPrefix(first, "linuxguard_signal_types_own ") || !strings.HasPrefix(second, "linuxguard_signal_types ") || !strings.Contains(second, " OUTPUTNEW ") ||
		strings.TrimPrefix(strings.Replace(first, "OUTPUT", "OUTPUTNEW", 1), "linuxguard_signal_types_own") != strings.TrimPrefix(second, "linuxguard_signal_types") {
		t.Errorf("the lookups are %q and %q", first, second)
	}
	own := s.transforms["linuxguard_signal_types_own"]
	own.settings = slices.Clone(own.settings)
	for i := range own.settings {
		if own.settings[i].key == "filename" {
			own.settings[i].value = "../../testdata/own_types.csv"
		}
	}
	s.transforms["linuxguard_signal_types_own"] = own
	if f := s.see(signalOf(t, "sudo_command_executed")); !slices.Equal(f["action"], []string{"deferred"}) || !slices.Equal(f["mitre_technique_id"], []string{"T1548.003"}) {
		t.Errorf("action %v, technique %v", f["action"], f["mitre_technique_id"])
	}
	if f := s.see(signalOf(t, "house_alarm")); !slices.Contains(f["eventtype"], "linuxguard_change") {
		t.Errorf("event types %v", f["eventtype"])
	}
}

// TestCEFAndLEEF: the records of these messages end in the same fields as JSON ones.
func TestCEFAndLEEF(t *testing.T) {
	t.Parallel()
	s := load(t)
	for _, format := range []string{"cef", "leef"} {
		n := 0
		for name, record := range goldenRecords(t, "rfc5424-"+format) {
			native := decode(t, goldenRecord(t, name, "json"))
			odd := func(r rune) bool {
				return unicode.IsControl(r) || r == unicode.ReplacementChar || r == '^' || r == '#' || r == '\\'
			}
			if name == "colliding-names" || strings.ContainsFunc(fmt.Sprint(native), odd) {
				continue // what a line can't hold is written in escapes, which stay
			}
			n++
			f := s.see(event{raw: record, sourcetype: "linuxguard:signal:" + format})
			checkAlert(t, format+"/"+name, native, f)
			for _, field := range []string{"tenant_id", "signal_id", "identity_name", "server_hostname", "server_id", "environment", "endpoint", "delivery_id", "bridge_id", "bridge_seq", "console_url"} {
				if want, there := native[field]; there && !slices.Equal(f[field], []string{fmt.Sprint(want)}) {
					t.Errorf("%s/%s: %s is %q, want %v", format, name, field, f[field], want)
				}
			}
		}
		if n < 12 {
			t.Errorf("%s: only %d records looked at", format, n)
		}
	}
}
