package mapping_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/golden"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// attribute is what the schema says of one: its type, and "!" behind it when it is required, "?" when it is recommended.
type attributes map[string]string

// ocsfSchema is OCSF 1.8.0's Detection Finding with the profile host, by https://schema.ocsf.io/1.8.0/classes/detection_finding and the pages of its objects.
// Objects stand for themselves; of those that the bridge writes every attribute that it may use is here, of the class all.
var ocsfSchema = map[string]attributes{
	"": {
		"activity_id": "enum!", "activity_name": "string", "actor": "object", "anomaly_analyses": "array", "category_name": "string", "category_uid": "enum!",
		"class_name": "string", "class_uid": "enum!", "comment": "string", "confidence": "string", "confidence_id": "integer?", "confidence_score": "integer",
		"count": "integer", "device": "object?", "duration": "integer", "end_time": "integer", "enrichments": "array", "evidences": "array?", "finding_info": "object!",
		"impact": "string", "impact_id": "integer", "impact_score": "integer", "is_alert": "boolean?", "malware": "array", "malware_scan_info": "object",
		"message": "string?", "metadata": "object!", "observables": "array?", "raw_data": "string", "raw_data_hash": "object", "raw_data_size": "integer",
		"remediation": "object", "resources": "array?", "risk_details": "string", "risk_level": "string", "risk_level_id": "integer", "risk_score": "integer",
		"severity": "string", "severity_id": "enum!", "start_time": "integer", "status": "string", "status_code": "string?", "status_detail": "string?",
		"status_id": "enum?", "time": "integer!", "timezone_offset": "integer?", "type_name": "string", "type_uid": "integer!", "unmapped": "object",
		"vendor_attributes": "object", "vulnerabilities": "array",
	},
	"metadata": {
		"version": "string!", "product": "object!", "log_name": "string?", "original_time": "string?", "reporter": "object?", "tenant_uid": "string?", "uid": "string",
		"sequence": "integer", "logged_time": "integer", "event_code": "string", "log_version": "string", "profiles": "array",
	},
	"metadata.product": {"name": "string?", "uid": "string?", "vendor_name": "string?", "version": "string?"},
	"finding_info":     {"uid": "string!", "title": "string?", "analytic": "object?", "desc": "string", "types": "array", "created_time": "integer", "src_url": "string"},
	"actor":            {"user": "object?", "process": "object?"},
	"actor.user":       {"name": "string?", "uid": "string?", "type_id": "integer?", "has_mfa": "boolean?"},
	"device":           {"type_id": "enum!", "type": "string?", "hostname": "string?", "uid": "string?", "ip": "string?", "region": "string?", "name": "string"},
}

// ocsfEnums are the allowed values with their captions, the sibling of the attribute's name without _id or _uid.
var ocsfEnums = map[string]map[string]string{
	"activity_id": {"0": "Unknown", "1": "Create", "2": "Update", "3": "Close", "99": "Other"}, "category_uid": {"2": "Findings"}, "class_uid": {"2004": "Detection Finding"},
	"severity_id": {"0": "Unknown", "1": "Informational", "2": "Low", "3": "Medium", "4": "High", "5": "Critical", "6": "Fatal", "99": "Other"},
	"status_id":   {"0": "Unknown", "1": "New", "2": "In Progress", "3": "Suppressed", "4": "Resolved", "5": "Archived", "6": "Deleted", "99": "Other"},
	"type_id":     {"0": "Unknown", "1": "Server", "2": "Desktop", "3": "Laptop", "4": "Tablet", "5": "Mobile", "6": "Virtual", "99": "Other"},
}

// atLeastOne are the objects that need one of some attributes.
var atLeastOne = map[string][]string{
	"metadata.product": {"name", "uid"}, "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"}, "actor.user": {"account", "name", "uid"},
	"device": {"ip", "uid", "name", "hostname", "instance_uid", "interface_uid", "interface_name"},
}

// checkOCSF holds a finding to the schema and to the record.
func checkOCSF(t *testing.T, rec *outputs.Record, text string) {
	t.Helper()
	var finding map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&finding); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	checkObject(t, "", finding)
	number := func(name string) int64 {
		n, _ := finding[name].(json.Number).Int64()
		return n
	}
	if number("type_uid") != number("class_uid")*100+number("activity_id") {
		t.Errorf("type_uid is %d", number("type_uid"))
	}
	if product := finding["metadata"].(map[string]any)["product"].(map[string]any)["name"]; product != map[bool]string{false: "LinuxGuard", true: "linuxguard-bridge"}[rec.Synthetic] {
		t.Errorf("the product is %v", product)
	}
	if at := number("time"); at != int64(float64(at)) || at < 0 {
		t.Errorf("time is %d", at)
	}
	members := flatten(t, "", text)
	constants := []string{"activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid", "type_name", "severity", "status_id", "status", "is_alert",
		"time", "message", "metadata.version", "metadata.profiles", "metadata.product.name", "metadata.product.vendor_name", "metadata.logged_time", "finding_info.title",
		"finding_info.types", "finding_info.created_time", "device.type_id", "device.type"}
	if rec.Signal.SignalID == "" {
		uid, _ := members.get("finding_info.uid")
		if !strings.HasSuffix(uid, "-"+strconv.FormatUint(rec.Seq, 10)) {
			t.Errorf("finding_info.uid is %q", uid)
		}
		constants = append(constants, "finding_info.uid")
	}
	checkPairs(t, rec, members, replaceInvalid, rename(func(f mapping.Field) string { return f.OCSF }, constants...))
}

// checkObject holds one object to the schema: required attributes are there, nothing else is, and types and enums are right.
func checkObject(t *testing.T, at string, object map[string]any) {
	t.Helper()
	schema := ocsfSchema[at]
	for name, kind := range schema {
		if _, ok := object[name]; strings.HasSuffix(kind, "!") && !ok {
			t.Errorf("%s lacks %s", orClass(at), name)
		}
	}
	if one := atLeastOne[at]; len(one) > 0 && !slices.ContainsFunc(one, func(name string) bool { return object[name] != nil }) {
		t.Errorf("%s has none of %v", at, one)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		kind, known := schema[name]
		kind = strings.TrimRight(kind, "!?")
		path := strings.TrimPrefix(at+"."+name, ".")
		ok := known
		switch value := object[name].(type) {
		case string:
			ok = ok && kind == "string"
		case bool:
			ok = ok && kind == "boolean"
		case json.Number:
			_, err := strconv.ParseUint(value.String(), 10, 64)
			ok = ok && err == nil && (kind == "integer" || kind == "enum" && ocsfEnums[name][value.String()] != "")
			if caption := ocsfEnums[name][value.String()]; kind == "enum" {
				sibling := strings.TrimSuffix(strings.TrimSuffix(name, "_id"), "_uid")
				if said, there := object[sibling]; there && said != caption || !there && object[sibling+"_name"] != caption {
					t.Errorf("%s is %s, but its caption says something else", path, value)
				}
			}
		case []any:
			ok = ok && kind == "array"
		case map[string]any:
			ok = ok && kind == "object"
			if name != "unmapped" {
				checkObject(t, path, value)
			}
		default:
			ok = false
		}
		if !ok {
			t.Errorf("%s = %v is not what OCSF has there (%s)", path, object[name], kind)
		}
	}
}

func orClass(at string) string {
	if at == "" {
		return "the finding"
	}
	return at
}

// flatten returns the members of an object by their paths; those of unmapped are values, whatever they are.
func flatten(t *testing.T, at, text string) pairs {
	t.Helper()
	members, err := parseObject(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var all pairs
	for _, m := range members {
		if strings.HasPrefix(m.value, "{") && at != "unmapped." {
			all = append(all, flatten(t, at+m.name+".", m.value)...)
			continue
		}
		all = append(all, texts(t, pairs{{at + m.name, m.value}})...)
	}
	return all
}

// TestOCSFSchemaFindsFaults: the check is worth something.
func TestOCSFSchemaFindsFaults(t *testing.T) {
	t.Parallel()
	good := string(mapping.NewOCSF().Append(nil, recordOf(t, golden.Read(t, "testdata/documented.txtar"))))
	for _, change := range [][2]string{
		{`"class_uid":2004`, `"class_uid":2005`}, {`"severity_id":`, `"severity_ix":`}, {`"severity_id":`, `"severity_id":9`}, {`"type_uid":200401`, `"type_uid":"200401"`},
		{`"uid":`, `"uix":`}, {`"type_id":1`, `"type_id":2`}, {`"version":`, `"versions":`}, {`"is_alert":true`, `"is_alert":"true"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%q is not in\n%s", change[0], good)
		}
		var finding map[string]any
		d := json.NewDecoder(strings.NewReader(bad))
		d.UseNumber()
		if err := d.Decode(&finding); err != nil {
			t.Fatal(err)
		}
		quiet := &testing.T{}
		checkObject(quiet, "", finding)
		if !quiet.Failed() {
			t.Errorf("%q in place of %q passes", change[1], change[0])
		}
	}
}
