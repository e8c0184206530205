package splunk

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/golden"
)

const goldens = "../../outputs/mapping/testdata"

// goldenRecords are the mapping's golden records of one format, by case.
func goldenRecords(t testing.TB, format string) map[string]string {
	t.Helper()
	records := map[string]string{}
	for _, c := range golden.Cases(t, goldens, 15) {
		records[c.Name] = strings.TrimSuffix(c.Must(t, format), "\n")
	}
	return records
}

// goldenRecord is that of one case.
func goldenRecord(t testing.TB, name, format string) string {
	t.Helper()
	return strings.TrimSuffix(golden.Read(t, filepath.Join(goldens, name+".txtar")).Must(t, format), "\n")
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
	"dest_type": "=host", "src_type": "=host", "body": "description",
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
	tags, types := []string{"alert"}, []string{"linuxguard_signal"}
	kind := fmt.Sprint(native["signal_type"])
	if strings.HasPrefix(kind, "sudo_") {
		tags, types = []string{"alert", "process", "report"}, []string{"linuxguard_endpoint", "linuxguard_signal"}
		if !slices.Equal(f["mitre_technique_id"], []string{"T1548.003"}) || !slices.Equal(f["action"], []string{"allowed"}) {
			t.Errorf("%s: technique %v, action %v", name, f["mitre_technique_id"], f["action"])
		}
	}
	if slices.Sort(f["tag"]); !slices.Equal(f["tag"], tags) {
		t.Errorf("%s: tags %v, want %v", name, f["tag"], tags)
	}
	if slices.Sort(f["eventtype"]); !slices.Equal(f["eventtype"], types) {
		t.Errorf("%s: event types %v, want %v", name, f["eventtype"], types)
	}
	if subject := strings.ReplaceAll(kind, "_", " "); native["signal_type"] != nil && !slices.Equal(f["subject"], []string{subject}) {
		t.Errorf("%s: subject %q, want %q", name, f["subject"], subject)
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
		for name, record := range goldenRecords(t, layout) {
			native := decode(t, goldenRecord(t, name, "json"))
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
	for name, record := range goldenRecords(t, "json") {
		if name != "colliding-names" {
			checkAlert(t, "json/"+name, decode(t, record), s.see(event{raw: record, sourcetype: "linuxguard:signal"}))
		}
	}
}
