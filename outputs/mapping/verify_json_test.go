package mapping_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

func checkJSONFormat(t *testing.T, f format, rec *outputs.Record, line string) {
	t.Helper()
	members, err := parseObject(line)
	if err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	if f.name == "hec-raw" { // whatever the body says, twice too
		checkEnvelope(t, f, rec, members)
		checkRaw(t, rec, line)
		return
	}
	var plain any
	if err := json.Unmarshal([]byte(line), &plain); err != nil {
		t.Errorf("a receiver that reads numbers as float64 refuses it: %v", err)
	}
	if f.name == "ocsf" {
		checkOCSF(t, rec, line)
		return
	}
	if f.name != "json" {
		checkEnvelope(t, f, rec, members)
		event, _ := members.get("event")
		if f.name == "hec-ocsf" {
			checkOCSF(t, rec, event)
			return
		}
		if members, err = parseObject(event); err != nil {
			t.Fatalf("%v\n%s", err, event)
		}
	}
	switch f.name {
	case "hec-cim":
		checkPairs(t, rec, texts(t, members), replaceInvalid, rename(func(f mapping.Field) string { return f.CIM },
			"app", "vendor_product", "type", "severity", "signature", "src"))
	default:
		checkPairs(t, rec, texts(t, members), replaceInvalid, nil)
	}
}

// checkEnvelope: every event names everything itself, and its time is a plain decimal number.
func checkEnvelope(t *testing.T, f format, rec *outputs.Record, members pairs) {
	t.Helper()
	wantType := `"linuxguard:signal"`
	if rec.Synthetic {
		wantType = `"linuxguard:bridge"`
	}
	for name, want := range map[string]string{"source": `"linuxguard"`, "sourcetype": wantType} {
		if got, _ := members.get(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if host, _ := members.get("host"); host == "" || host == `""` {
		t.Errorf("host is %q", host)
	}
	at, _ := members.get("time")
	if whole, fraction, ok := strings.Cut(at, "."); !ok || strings.Trim(whole, "0123456789") != "" || len(fraction) != 3 && len(fraction) != 6 {
		t.Errorf("time is %q", at)
	}
	if index, ok := members.get("index"); ok != (f.name == "hec") || ok && index != `"main"` {
		t.Errorf("index is %q", index)
	}
}

// checkRaw: the event is the body, but for what is not valid UTF-8 or no good in a line.
func checkRaw(t *testing.T, rec *outputs.Record, line string) {
	t.Helper()
	var got struct {
		Event  any            `json:"event"`
		Fields map[string]any `json:"fields"`
	}
	var want any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	d = json.NewDecoder(strings.NewReader(string(rec.Body)))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprint(got.Event), fmt.Sprint(want); g != w {
		t.Errorf("the event is %s, the body %s", g, w)
	}
	if fmt.Sprint(got.Fields["bridge_seq"]) != strconv.FormatUint(rec.Seq, 10) || got.Fields["bridge_id"] != replaceInvalid(rec.BridgeID) {
		t.Errorf("fields are %v", got.Fields)
	}
}
