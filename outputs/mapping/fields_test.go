package mapping_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// TestFieldReference holds FIELDS.md to the table; -update writes it.
func TestFieldReference(t *testing.T) {
	t.Parallel()
	want := fieldReference()
	if *update {
		if err := os.WriteFile("FIELDS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("FIELDS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("FIELDS.md is not what the table of fields says: run go test ./outputs/mapping -update")
	}
}

func fieldReference() string {
	var b strings.Builder
	b.WriteString(`# Fields of a record

Made from the table in columns.go (` + "`go test ./outputs/mapping -update`" + `). A field whose value is empty is left out. IDs are never
left out of a record that is too long.

| RFC 5424 structured data, JSON, HEC native | HEC cim | CEF | LEEF | OCSF | type | what it is |
|---|---|---|---|---|---|---|
`)
	code := func(s string) string {
		if s == "" {
			return "header"
		}
		return "`" + s + "`"
	}
	for _, f := range mapping.Fields() {
		name, doc := code(f.Name), f.Doc
		if f.ID {
			name += " (ID)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, code(f.CIM), code(f.CEF), code(f.LEEF), code(f.OCSF), f.Type, doc)
	}
	b.WriteString(`
Elsewhere in a record:

| | RFC 5424 | RFC 3164 | HEC | CEF | LEEF | OCSF |
|---|---|---|---|---|---|---|
| time: created_at, else timestamp, else time of receipt | TIMESTAMP | time stamp, in UTC or the configured zone | time | rt (ms) | devTime (ms) | time (ms) |
| server_name | HOSTNAME, PRINTUSASCII, 255 | HOSTNAME, letters, digits, . _ - | host | dhost | identHostName | device.hostname |
| signal_type | MSGID, 32 | in the element | in the event | class ID and name | event ID | finding_info.types, and in words title and message |
| severity 1 2 3 4 5 | PRI info notice warning err crit | PRI, the same | 1..5; cim: informational low medium high critical | 1 3 5 8 10 | sev 1 3 5 8 10 | severity: Informational Low Medium High Critical |
| description | MSG (message = text) | after the element | description | msg | msg | finding_info.desc |
| what the bridge says itself | MSGID linuxguard:bridge | in the element | sourcetype linuxguard:bridge | class ID linuxguard:bridge | event ID linuxguard:bridge | metadata.product.name linuxguard-bridge |

OCSF is version ` + mapping.OCSFVersion + `: a new Detection Finding (class_uid 2004, activity_id 1, type_uid 200401) with the profile host. created_time and logged_time are created_at
and received_at in milliseconds. A record without a signal_id has bridge_id and bridge_seq in finding_info.uid.

The cim layout also has ` + "`app`, `vendor_product`, `type`, `severity` (in words), `signature` and `src`" + `. The raw layout has the webhook's body as the event and
` + "`delivery_id`, `bridge_id`, `bridge_seq`, `endpoint`, `resend_of` and `bridge_notes`" + ` as indexed fields. CEF custom keys (cs1, cn1, ...) have their labels.

Unknown fields of a webhook keep their name, or get a prefix when it is taken: ` + "`webhook_`, then `webhook2_`" + ` and so on. Where names are words (structured
data, CEF, LEEF) another name becomes ` + "`webhookX`, a number, `_`" + ` and its letters and digits, and bridge_notes tells the name it had. In CEF and LEEF all
unknown fields begin with ` + "`lg_`, but `category` is `cat`" + `.

Control characters are written as ` + "`#`" + ` and three octal digits, as rsyslog does it (` + "`#012` is a line feed, a typed `#012` is `#043012`" + `; CEF has ` + "`\\n` and `\\r`" + `
in values). A record over ` + "`max_message_bytes`" + ` loses the end of its description first, then unknown fields, never an ID, and says so in ` + "`bridge_cut`" + `.
`)
	return b.String()
}
