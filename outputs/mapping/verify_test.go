package mapping_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	syslog5424 "github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/mapping"
)

// plain is what a record's fields hold, told without the encoder's table: the fields that are set, by native name.
func plain(rec *outputs.Record) map[string]string {
	s := rec.Signal
	fields := map[string]string{
		"tenant_id": s.TenantID, "signal_id": s.SignalID, "signal_type": s.SignalType, "severity": strconv.Itoa(int(s.EffectiveSeverity())),
		"severity_raw": s.SeverityRaw, "description": s.Description, "identity_id": s.IdentityID, "identity_name": s.IdentityName,
		"server_hostname": s.ServerName, "server_id": s.ServerID, "environment": s.Environment, "created_at": s.CreatedAt,
		"event_type": s.EventType, "version": s.Version, "timestamp": s.Timestamp, "console_url": s.ConsoleURL, "endpoint": rec.Endpoint,
		"delivery_id": rec.DeliveryID, "bridge_id": rec.BridgeID, "bridge_seq": strconv.FormatUint(rec.Seq, 10),
	}
	if !rec.ReceivedAt.IsZero() {
		fields["received_at"] = rec.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	if rec.ResendOf != 0 {
		fields["resend_of"] = strconv.FormatUint(rec.ResendOf, 10)
	}
	if rec.Synthetic {
		fields["bridge_synthetic"] = "true"
	}
	for name, value := range fields {
		if value == "" || name == "bridge_seq" && value == "0" {
			delete(fields, name)
		}
	}
	return fields
}

var ids = []string{"tenant_id", "signal_id", "identity_id", "server_id", "delivery_id", "bridge_id", "bridge_seq", "resend_of"}

var octalForm = regexp.MustCompile(`^#[0-3][0-7][0-7]`)

// octal is how syslog text shows s: what is no printable UTF-8, and a "#" that would be read as that, as #ooo a byte.
func octal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if octalForm.MatchString(s[i:]) || r == utf8.RuneError && size == 1 || r < ' ' || 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029 {
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, "#%03o", c)
			}
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// leefOctal is octal with the delimiter written in octal too.
func leefOctal(s string) string { return strings.ReplaceAll(octal(s), "^", "#136") }

// checkLine checks what holds for every record in every format, and parses it by its format.
func checkLine(t *testing.T, f format, rec *outputs.Record, line string) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Errorf("invalid UTF-8: %q", line)
	}
	if i := strings.IndexFunc(line, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029
	}); i >= 0 {
		t.Errorf("a control character: %q", line)
	}
	if f.max > 0 && len(line) > f.max {
		t.Errorf("%d octets, the limit is %d", len(line), f.max)
	}
	switch {
	case f.max == 0:
		checkJSONFormat(t, f, rec, line)
	case strings.Contains(f.name, "3164"):
		check3164(t, f, rec, line)
	default:
		check5424(t, f, rec, line)
	}
}

func check5424(t *testing.T, f format, rec *outputs.Record, line string) {
	t.Helper()
	s, err := parse5424(line)
	if err != nil {
		t.Fatalf("%v\n%s", err, line)
	}
	checkOracle(t, s, line)
	want := 16 + 7 - int(rec.Signal.EffectiveSeverity()) - 8 // facility user
	if f.name == "rfc5424-json" {
		want += 18 * 8 // local3
	}
	if s.pri != want || s.app != "linuxguard" || s.procid != "-" {
		t.Errorf("PRI %d, want %d; APP-NAME %s, PROCID %s", s.pri, want, s.app, s.procid)
	}
	sd := s.elements["linuxguard@32473"]
	if f.name == "rfc5424-json" {
		sd = s.elements["linuxguard@55555"]
	}
	switch o := syslogOptions[f.name]; {
	case o.StructuredData == mapping.StructuredNone:
		if len(sd) != 0 {
			t.Errorf("structured data: %v", sd)
		}
	case o.StructuredData == "" && o.Message != "":
		checkIDs(t, rec, sd)
	default:
		checkPairs(t, rec, sd, octal, nil)
	}
	checkMessage(t, f, rec, strings.TrimPrefix(s.msg, "\ufeff"), sd)
}

// checkIDs: the structured data has the IDs, whole unless they are absurdly long, and nothing else.
func checkIDs(t *testing.T, rec *outputs.Record, got pairs) {
	t.Helper()
	fields := plain(rec)
	for _, name := range ids {
		if text, ok := got.get(name); ok != (fields[name] != "") || ok && text != octal(fields[name]) && (len(fields[name]) < 48 || !isCutOf(text, octal(fields[name]))) {
			t.Errorf("%s is %.200q, want %.200q", name, text, fields[name])
		}
	}
	for _, p := range got {
		if !slices.Contains(ids, p.name) {
			t.Errorf("%s is no ID", p.name)
		}
	}
}

// checkOracle holds our parser and go-syslog's against each other.
func checkOracle(t *testing.T, s *syslogLine, line string) {
	t.Helper()
	parsed, err := syslog5424.NewParser().Parse([]byte(line))
	if err != nil {
		t.Fatalf("go-syslog: %v\n%s", err, line)
	}
	m := parsed.(*syslog5424.SyslogMessage)
	nilled := func(p *string) string {
		if p == nil {
			return "-"
		}
		return *p
	}
	if int(*m.Priority) != s.pri || nilled(m.Hostname) != s.host || nilled(m.Appname) != s.app || nilled(m.ProcID) != s.procid || nilled(m.MsgID) != s.msgid {
		t.Errorf("go-syslog reads another header: %+v", m)
	}
	if m.Message == nil || strings.TrimPrefix(*m.Message, "\ufeff") != strings.TrimPrefix(s.msg, "\ufeff") {
		t.Errorf("go-syslog reads another MSG than %q", s.msg)
	}
	if len(s.elements) == 0 && m.StructuredData == nil {
		return
	}
	if m.StructuredData == nil || len(*m.StructuredData) != len(s.elements) {
		t.Fatalf("go-syslog reads other elements")
	}
	for id, params := range *m.StructuredData {
		if len(params) != len(s.elements[id]) {
			t.Errorf("go-syslog reads %d parameters of %s, we %d", len(params), id, len(s.elements[id]))
		}
		for name, value := range params {
			if got, _ := s.elements[id].get(name); unbackslash(value, `"\]`) != got && value != got {
				t.Errorf("go-syslog reads %s=%q, we %q", name, value, got)
			}
		}
	}
}

// checkPairs compares the fields of ours in got with the record's, by the names that rename has for some ("" for a field
// that the format has elsewhere). In a cut record texts may be shorter and unknown fields missing, but no ID.
func checkPairs(t *testing.T, rec *outputs.Record, got pairs, show func(string) string, rename map[string]string) {
	t.Helper()
	cutNote, _ := got.get(nameIn(rename, "bridge_cut"))
	known := map[string]bool{nameIn(rename, "bridge_notes"): true, nameIn(rename, "bridge_cut"): true}
	for _, name := range rename { // the constants of the format among them
		known[name] = true
	}
	for native, value := range plain(rec) {
		name := nameIn(rename, native)
		known[name] = true
		if name == "" {
			continue
		}
		text, ok := got.get(name)
		want := show(value)
		switch {
		case ok && text == want:
		case !ok && strings.Contains(cutNote, "values") && !slices.Contains(ids, native) && native != "description":
		case ok && cutNote != "" && (native == "description" || strings.Contains(cutNote, "values")) && isCutOf(text, want) && (!slices.Contains(ids, native) || len(want) > 48):
		default:
			t.Errorf("%s (%s) is %.200q, want %.200q", name, native, text, want)
		}
	}
	checkUnknown(t, rec, got, known, show, strings.Contains(cutNote, "fields") || strings.Contains(cutNote, "values"))
}

func nameIn(rename map[string]string, native string) string {
	if name, ok := rename[native]; ok {
		return name
	}
	return native
}

func isCutOf(text, want string) bool {
	return strings.HasSuffix(text, "...") && strings.HasPrefix(want, strings.TrimSuffix(text, "..."))
}

// checkUnknown: every unknown field is there, in order, under a name that is none of ours.
func checkUnknown(t *testing.T, rec *outputs.Record, got pairs, known map[string]bool, show func(string) string, some bool) {
	t.Helper()
	// Empty texts are left out of the comparison, because CEF and LEEF leave them out.
	fields := slices.DeleteFunc(slices.Concat(rec.Signal.Extra, rec.Signal.EnvelopeExtra), func(f signal.Field) bool { return f.Text == "" })
	for _, p := range got {
		if known[p.name] || p.value == "" {
			continue
		}
		i := slices.IndexFunc(fields, func(f signal.Field) bool { return show(f.Text) == p.value || sameJSON(f, p.value) })
		if i < 0 || !some && i != 0 {
			t.Errorf("%s=%q is no unknown field of the webhook, or out of order", p.name, p.value)
			return
		}
		fields = fields[i+1:]
	}
	if !some && len(fields) > 0 {
		t.Errorf("unknown fields are missing: %+v", fields)
	}
}

// sameJSON compares an unknown field that is no string with a JSON text, whose escapes may be others.
func sameJSON(f signal.Field, text string) bool {
	var want, got any
	w, g := json.NewDecoder(bytes.NewReader(f.Raw)), json.NewDecoder(strings.NewReader(text))
	w.UseNumber()
	g.UseNumber()
	return f.Raw[0] != '"' && w.Decode(&want) == nil && g.Decode(&got) == nil && reflect.DeepEqual(got, want)
}

func checkMessage(t *testing.T, f format, rec *outputs.Record, msg string, sd pairs) {
	t.Helper()
	name := strings.TrimSuffix(strings.TrimSuffix(f.name, "-full"), "-none")
	switch {
	case strings.HasSuffix(name, "-json"):
		members, err := parseObject(msg)
		if err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		checkPairs(t, rec, texts(t, members), replaceInvalid, nil)
	case strings.HasSuffix(name, "-cef"):
		checkCEF(t, rec, msg)
	case strings.HasSuffix(name, "-ocsf"):
		checkOCSF(t, rec, msg)
	case strings.HasSuffix(name, "-leef"):
		checkLEEF(t, rec, msg)
	default:
		want := octal(text(rec))
		if cut, _ := sd.get("bridge_cut"); msg != want && (cut == "" || !isCutOf(msg, want)) {
			t.Errorf("MSG is %q, want %q", msg, want)
		}
	}
}

// text is what a record says to people.
func text(rec *outputs.Record) string {
	for _, s := range []string{rec.Signal.Description, rec.Signal.SignalType} {
		if s != "" {
			return s
		}
	}
	return "signal"
}

func replaceInvalid(s string) string {
	var b strings.Builder
	for _, r := range s { // range yields U+FFFD for each invalid byte
		b.WriteRune(r)
	}
	return b.String()
}

// texts turns JSON values into what signal.Field calls Text: strings as they are, the rest as JSON.
func texts(t *testing.T, members pairs) pairs {
	t.Helper()
	out := pairs{}
	for _, m := range members {
		value := m.value
		if strings.HasPrefix(value, `"`) {
			if err := json.Unmarshal([]byte(m.value), &value); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, pair{m.name, value})
	}
	return out
}

// rename returns the names of a format by native name, from the table that documentation is made of, and the fields that
// the format has beside it.
func rename(name func(mapping.Field) string, constants ...string) map[string]string {
	names := map[string]string{}
	for _, f := range mapping.Fields() {
		names[f.Name] = name(f)
	}
	for _, c := range constants {
		names["constant "+c] = c
	}
	return names
}

// octalButBreaks is octal with line breaks as they are: CEF has escapes of its own for them.
func octalButBreaks(s string) string {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
		return octal(s)
	}
	return octal(s[:i]) + s[i:i+1] + octalButBreaks(s[i+1:])
}

func checkCEF(t *testing.T, rec *outputs.Record, msg string) {
	t.Helper()
	header, ext, err := parseCEF(msg)
	if err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	if header[0] != "LinuxGuard" || header[1] != "LinuxGuard" || !strings.Contains("1 3 5 8 10", header[5]) {
		t.Errorf("header %q", header)
	}
	checkPairs(t, rec, ext, octalButBreaks, rename(func(f mapping.Field) string { return f.CEF },
		"rt", "cs1Label", "cs2Label", "cs3Label", "cs4Label", "cs5Label", "cn1Label", "cn2Label", "cn3Label"))
}

func checkLEEF(t *testing.T, rec *outputs.Record, msg string) {
	t.Helper()
	header, attrs, err := parseLEEF(msg)
	if err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	if header[0] != "LinuxGuard" || header[1] != "LinuxGuard" || header[4] != "^" {
		t.Errorf("header %q", header)
	}
	checkPairs(t, rec, attrs, leefOctal, rename(func(f mapping.Field) string { return f.LEEF }, "devTime", "sev"))
}

func check3164(t *testing.T, f format, rec *outputs.Record, line string) {
	t.Helper()
	m := header3164.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no RFC 3164: %.200q", line)
	}
	switch {
	case strings.HasSuffix(f.name, "-cef"):
		checkCEF(t, rec, m[4])
	case strings.HasSuffix(f.name, "-json"):
		checkMessage(t, f, rec, strings.TrimPrefix(m[4], "linuxguard: "), nil)
	default:
		rest, ok := strings.CutPrefix(m[4], "linuxguard: ")
		s := &syslogLine{elements: map[string]pairs{}}
		rest, err := s.parseElements(rest)
		if err != nil || !ok {
			t.Fatalf("%v: %s", err, line)
		}
		sd := s.elements["linuxguard@32473"]
		checkPairs(t, rec, sd, octal, nil)
		checkMessage(t, f, rec, strings.TrimPrefix(rest, " "), sd)
	}
}
