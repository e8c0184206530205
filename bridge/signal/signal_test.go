package signal_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

func decode(t testing.TB, body string) *signal.Signal {
	t.Helper()
	sig, err := signal.Decode([]byte(body))
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return sig
}

func TestDocumented(t *testing.T) {
	t.Parallel()
	sig := decode(t, documented)
	want := map[string]string{
		"EventType": "signal_created", "Version": "v1", "Timestamp": "2026-03-02T14:32:02Z", "TenantID": "tn_7f3a",
		"ConsoleURL": "https://console.example.com/signals/sig_abc123", "SignalID": "sig_abc123", "SignalType": "sudo_command_executed",
		"Description": "Sudo command executed", "ServerID": "srv_01", "ServerName": "web-01", "IdentityID": "idn_42",
		"IdentityName": "jsmith", "Environment": "production", "CreatedAt": "2026-03-02T14:32:01Z", "SeverityRaw": "",
	}
	v := reflect.ValueOf(*sig)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Type.Kind() == reflect.String {
			if got := v.Field(i).String(); got != want[f.Name] {
				t.Errorf("%s is %q, want %q", f.Name, got, want[f.Name])
			}
		}
	}
	if sig.Severity != signal.High || sig.EffectiveSeverity() != signal.High || sig.Problem() != "" {
		t.Errorf("severity %v, problem %q", sig.Severity, sig.Problem())
	}
	if len(sig.Extra)+len(sig.EnvelopeExtra)+len(sig.Notes) > 0 {
		t.Errorf("extra %v, %v, notes %v", sig.Extra, sig.EnvelopeExtra, sig.Notes)
	}
	if at, ok := sig.Created(); !ok || !at.Equal(time.Date(2026, 3, 2, 14, 32, 1, 0, time.UTC)) {
		t.Errorf("created %v, %t", at, ok)
	}
	if at, ok := sig.SentAt(); !ok || !at.Equal(time.Date(2026, 3, 2, 14, 32, 2, 0, time.UTC)) {
		t.Errorf("sent %v, %t", at, ok)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 10001)
	for _, body := range []string{
		``, ` `, `null`, `1`, `"x"`, `[]`, `{`, `{}x`, `{} {}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":01}`, `{"a":1.}`, `{"a":+1}`,
		`{"a":-}`, `{"a":1e}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u12`, "{\"a\":\"\n\"}", `{"a":'x'}`, "\ufeff{}", `{"a":NaN}`,
		`{"data":{"a":}}`, `{"data":{"a" 1}}`, `{"a":` + deep + strings.Repeat("]", 10001) + `}`, `{"a":` + deep,
	} {
		if _, err := signal.Decode([]byte(body)); err == nil {
			t.Errorf("accepted %.60q", body)
		}
	}
	if _, err := signal.Decode([]byte(`{"a":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`)); err != nil {
		t.Errorf("nested as deeply as encoding/json takes it: %v", err)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`: signal.ReasonUnknownVersion,
		`{"version":"v2","event_type":"signal_created","data":{"signal_id":"x"}}`: signal.ReasonUnknownVersion,
		`{"version":"v1","event_type":"signal_closed","data":{"signal_id":"x"}}`:  signal.ReasonUnknownEventType,
		`{"version":"v1","event_type":"signal_created","data":{"signal_id":""}}`:  signal.ReasonNoSignalID,
		`{"version":"v1","event_type":"signal_created","data":[]}`:                signal.ReasonNoSignalID,
		`{"version":"v1","event_type":"signal_created","data":{"signal_id":0}}`:   "",
	} {
		if got := decode(t, body).Problem(); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json      string
		severity  signal.Severity
		effective signal.Severity
	}{
		{`1`, 1, 1}, {`5`, 5, 5}, {`"3"`, 3, 3}, {`" 3 "`, 3, 3}, {`4.0`, 4, 4}, {`4e0`, 4, 4}, {`"critical"`, 5, 5}, {`"LOW"`, 2, 2},
		{`0`, 0, 1}, {`-3`, 0, 1}, {`6`, 0, 5}, {`9`, 0, 5}, {`"9"`, 0, 5}, {`1e30`, 0, 5}, {`2.5`, 0, 3}, {`4.9`, 0, 5}, {`"odd"`, 0, 3},
		{`{"level":5}`, 0, 3}, {`[5]`, 0, 3}, {`true`, 0, 3}, {`null`, 0, 3}, {`""`, 0, 3}, {`"NaN"`, 0, 3},
	} {
		sig := decode(t, `{"data":{"severity":`+c.json+`}}`)
		if sig.Severity != c.severity || sig.EffectiveSeverity() != c.effective {
			t.Errorf("%s: %d (effective %d), want %d (%d)", c.json, sig.Severity, sig.EffectiveSeverity(), c.severity, c.effective)
		}
		if raw := sig.SeverityRaw; (raw != "") != (c.severity == 0 && c.json != "null") || raw != "" && raw != c.json {
			t.Errorf("%s: raw %q", c.json, raw)
		}
		if noted := slices.ContainsFunc(sig.Notes, func(n string) bool { return strings.HasPrefix(n, "severity ") }); noted != (c.severity == 0) {
			t.Errorf("%s: notes %q", c.json, sig.Notes)
		}
	}
	if signal.Severity(0).String() != "unknown" || signal.Critical.String() != "critical" {
		t.Error("names")
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-03-02T14:32:01Z": "2026-03-02T14:32:01Z", "2026-03-02T14:32:01.123456789+05:30": "2026-03-02T14:32:01.123456789+05:30",
		"2026-03-02T14:32:01": "2026-03-02T14:32:01Z", "2026-03-02T14:32:01.5": "2026-03-02T14:32:01.5Z",
		"2026-03-02 14:32:01": "2026-03-02T14:32:01Z", "2026-03-02 14:32:01.25+02:00": "2026-03-02T14:32:01.25+02:00",
		"2026-03-02T14:32:01-0800": "2026-03-02T14:32:01-08:00", "2026-03-02T14:32:01+09": "2026-03-02T14:32:01+09:00",
		"2016-12-31T23:59:60Z": "2016-12-31T23:59:59Z", "1772461921": "2026-03-02T14:32:01Z", "1772461921.25": "2026-03-02T14:32:01.25Z",
		"1772461921123": "2026-03-02T14:32:01.123Z",
		"":              "", "yesterday": "", "-5": "", "0": "", "2026-13-02T14:32:01Z": "", "2026-03-02": "", "1772461921.x": "", "99999999999999999999": "", "1e9": "",
		"٣": "",
		// The other forms of ISO 8601, and finer epochs. 2026-03-02 is the Monday of week 10 and the 61st day.
		"2026-03-02t14:32:01z": "2026-03-02T14:32:01Z", "2026-03-02T14:32Z": "2026-03-02T14:32:00Z", "2026-03-02T14:32+0100": "2026-03-02T14:32:00+01:00",
		"20260302T143201Z": "2026-03-02T14:32:01Z", "20260302T143201.5+0100": "2026-03-02T14:32:01.5+01:00", "20260302T1432": "2026-03-02T14:32:00Z",
		"2026-W10-1T14:32:01Z": "2026-03-02T14:32:01Z", "2026W101T143201Z": "2026-03-02T14:32:01Z", "2026-w10-1t14:32:01z": "2026-03-02T14:32:01Z",
		"2026-061T14:32:01Z": "2026-03-02T14:32:01Z", "2026061T143201Z": "2026-03-02T14:32:01Z",
		"2026-W53-5T00:00:00Z": "2027-01-01T00:00:00Z", "2025-W53-1T00:00:00Z": "", "2026-W00-1T00:00:00Z": "", "2026-W10-8T00:00:00Z": "", "2026-366T00:00:00Z": "",
		"2026-03-02T24:00:00Z": "2026-03-03T00:00:00Z", "2026-03-02T24:00Z": "2026-03-03T00:00:00Z", "2026-12-31T24:00:00.0Z": "2027-01-01T00:00:00Z", "2026-03-02T24:00:01Z": "",
		"2026-03-02T25:00:00Z": "", "2026-02-29T14:32:01z": "", "2026-03-02T": "", "2026-03-02T14": "", "2026-W10-1": "",
		"1772461921123456": "2026-03-02T14:32:01.123456Z", "1772461921123456789": "2026-03-02T14:32:01.123456789Z", "99999999999": "5138-11-16T09:46:39Z",
	} {
		got, ok := signal.ParseTime(text)
		if ok != (want != "") || ok && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %t, want %q", text, got, ok, want)
		}
	}
}

// TestDataTwice: the last object called data counts, whole, and what was in the one before it stays as unknown fields.
func TestDataTwice(t *testing.T) {
	t.Parallel()
	sig := decode(t, `{"data":{"signal_id":"a","severity":5,"server_name":"first","x":1},"data":{"signal_id":"b","description":"second"},"version":"v1"}`)
	if sig.SignalID != "b" || sig.Severity != 0 || sig.ServerName != "" || sig.Description != "second" || !slices.Contains(sig.Notes, "data comes more than once, the last one counts") {
		t.Errorf("%+v", sig)
	}
	var kept []string
	for _, f := range sig.Extra {
		kept = append(kept, f.Name+"="+f.Text)
	}
	slices.Sort(kept)
	if want := []string{"server_name=first", "severity=5", "signal_id=a", "x=1"}; !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
}

// TestDeep: what is nested deeper than other parsers read travels as text.
func TestDeep(t *testing.T) {
	t.Parallel()
	for depth, deep := range map[int]bool{20: false, 60: false, 70: true, 5000: true} {
		nested := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		sig := decode(t, `{"x":`+nested+`,"y":[1],"data":{"signal_id":"a"}}`)
		if got := string(sig.EnvelopeExtra[0].Raw); got != nested && !deep || deep && got != `"`+nested+`"` {
			t.Errorf("%d levels: %.100s", depth, got)
		}
		if noted := slices.Contains(sig.Notes, "a value that is nested deeper than many parsers read is kept as text"); noted != deep || string(sig.EnvelopeExtra[1].Raw) != "[1]" {
			t.Errorf("%d levels: noted %v; the next value is %s", depth, noted, sig.EnvelopeExtra[1].Raw)
		}
	}
}

// TestNothingLost: every value of a body is somewhere in the signal, whatever it is and however often it comes.
func TestNothingLost(t *testing.T) {
	t.Parallel()
	sig := decode(t, `{"event_type":true,"version":1.50,"tenant_id":{"a" : 1},"x":1,"":"empty","x":"\u00e9\n","data":{"signal_id":"first","signal_id":"second",
		"server_id":[1, 2],"description":null,"x": {"b":[ ] , "c":"d e"},"\u0078":3,"created_at":"odd","environment":"e"},"data":"more"}`)
	if sig.EventType != "true" || sig.Version != "1.50" || sig.TenantID != `{"a":1}` || sig.ServerID != "[1,2]" || sig.Description != "" ||
		sig.SignalID != "second" || sig.Environment != "e" || sig.CreatedAt != "odd" {
		t.Errorf("%+v", sig)
	}
	type field struct {
		name, raw, text string
		nth             int
	}
	want := []field{
		{"signal_id", `"first"`, "first", 0}, {"x", `{"b":[],"c":"d e"}`, `{"b":[],"c":"d e"}`, 0}, {"x", `3`, "3", 1},
		{"x", `1`, "1", 2}, {"", `"empty"`, "empty", 0}, {"x", `"\u00e9\n"`, "é\n", 3}, {"data", `"more"`, "more", 0},
	}
	var got []field
	for _, f := range slices.Concat(sig.Extra, sig.EnvelopeExtra) {
		got = append(got, field{f.Name, string(f.Raw), f.Text, f.Nth})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, note := range []string{"event_type is not a string", "tenant_id is not a string", "signal_id comes more than once, the last one counts",
		"server_id is not a string", "description is missing", "created_at is not a time", "data is not an object", "severity is missing", "server_name is missing"} {
		if !slices.Contains(sig.Notes, note) {
			t.Errorf("not noted: %s; %q", note, sig.Notes)
		}
	}
}

// TestHugeNumbers: what most JSON parsers refuse travels as text, and the rest of its record with it.
func TestHugeNumbers(t *testing.T) {
	t.Parallel()
	sig := decode(t, `{"a":1e999,"b":{"c": [-1E+400,"é"]},"d":1e308,"e":`+strings.Repeat("9", 400)+`,"f":0.`+strings.Repeat("3", 400)+`,"g":1e-999,"data":{"server_id":1e999,"severity":1e999}}`)
	for i, want := range []string{`"1e999"`, `"{\"c\":[-1E+400,\"é\"]}"`, `1e308`, `"` + strings.Repeat("9", 400) + `"`, `0.` + strings.Repeat("3", 400), `1e-999`} {
		if got := string(sig.EnvelopeExtra[i].Raw); got != want {
			t.Errorf("%s is %s, want %s", sig.EnvelopeExtra[i].Name, got, want)
		}
		if text := sig.EnvelopeExtra[i].Text; strings.HasPrefix(want, `"`) && text != strings.ReplaceAll(want[1:len(want)-1], `\`, ``) {
			t.Errorf("%s: text %s", sig.EnvelopeExtra[i].Name, text)
		}
	}
	if !slices.Contains(sig.Notes, "a number that is too large for most parsers is kept as text") || sig.ServerID != "1e999" || sig.SeverityRaw != `"1e999"` {
		t.Errorf("%q, %s, %s", sig.Notes, sig.ServerID, sig.SeverityRaw)
	}
}

// TestUnescape holds our reading of strings to encoding/json's.
func TestUnescape(t *testing.T) {
	t.Parallel()
	for _, s := range []string{`plain`, `\"\\\/\b\f\n\r\t`, `\u0041\u00e9\u20ac`, `\ud83d\ude42!`, `\ud83d`, `\ud83dx`, `\ude42\ud83d`, `\ud83d\u0041`, `\ud83d\ud83d\ude42`, `\u0000\uD7FF\uE000`} {
		var want string
		if err := json.Unmarshal([]byte(`"`+s+`"`), &want); err != nil {
			t.Fatal(err)
		}
		sig := decode(t, `{"data":{"description":"`+s+`","x":"`+s+`"}}`)
		if sig.Description != want || sig.Extra[0].Text != want {
			t.Errorf("%s: %q and %q, want %q", s, sig.Description, sig.Extra[0].Text, want)
		}
		if broken := strings.Contains(want, "\ufffd"); broken != slices.Contains(sig.Notes, "a surrogate without its partner became U+FFFD") {
			t.Errorf("%s: notes %q", s, sig.Notes)
		}
	}
}

// TestManyFields: a body full of unknown fields is read in a time that grows with its size and not with its square, and
// its notes stay few.
func TestManyFields(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"data":{"severity":1`)
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&b, `,"f%d":"\ud800","severity":2`, i/2)
	}
	b.WriteString(`}}`)
	start := time.Now()
	sig := decode(t, b.String())
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if len(sig.Extra) != 2*n || len(sig.Notes) > 20 {
		t.Errorf("%d fields, %d notes", len(sig.Extra), len(sig.Notes))
	}
	if last := sig.Extra[len(sig.Extra)-2]; last.Name != fmt.Sprintf("f%d", (n-1)/2) || last.Nth != 1 {
		t.Errorf("the last field is %+v", last)
	}
	// The few are counted by comparing, the many by a map: both the same.
	few := decode(t, `{"a":1,"b":2,"data":{"a":3,"a":4}}`)
	many := decode(t, `{"a":1,"b":2,`+strings.Repeat(`"z":0,`, 20)+`"data":{"a":3,"a":4}}`)
	for _, sig := range []*signal.Signal{few, many} {
		if sig.Extra[0].Nth != 0 || sig.Extra[1].Nth != 1 || sig.EnvelopeExtra[0].Nth != 2 || sig.EnvelopeExtra[1].Nth != 0 {
			t.Errorf("%+v %+v", sig.Extra, sig.EnvelopeExtra[:2])
		}
	}
}

func TestCheap(t *testing.T) {
	body := []byte(documented)
	if n := testing.AllocsPerRun(100, func() { _, _ = signal.Decode(body) }); n > 2 {
		t.Errorf("%v allocations for the documented body", n)
	}
}
