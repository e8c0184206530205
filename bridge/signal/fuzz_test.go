package signal_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/signal"
)

// FuzzDecode holds the scanner to encoding/json: it accepts the same bodies and finds the same fields.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{documented, `{}`, `{"data":[]}`, `{"data":{"signal_id":1e9,"x":[1, {"a" : "\ud83d\ude00\u0000"}]}}`,
		`{"a":1,"a":2,"":null}`, `{"data":{"severity":"9"},"data":{"severity":9.5}}`, "{\"a\":\"\xff\x7f\"}", `{"a":-0.0E+1}`, `{"\u0061":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sig, err := signal.Decode(bytes.Clone(body))
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(body, &want) == nil && want != nil
		if (err == nil) != isObject {
			t.Fatalf("Decode says %v, encoding/json says object=%t", err, isObject)
		}
		if err != nil {
			return
		}
		checkFields(t, sig.Extra)
		checkFields(t, sig.EnvelopeExtra)
		if s := sig.EffectiveSeverity(); s < signal.Info || s > signal.Critical {
			t.Fatalf("effective severity %d", s)
		}
		if created, ok := sig.Created(); ok && (created.Year() < 0 || created.Year() > 9999) {
			t.Fatalf("created in %s", created.Format(time.RFC3339))
		}
	})
}

func checkFields(t *testing.T, fields []signal.Field) {
	t.Helper()
	for _, field := range fields {
		var compact bytes.Buffer
		if err := json.Compact(&compact, field.Raw); err != nil || !bytes.Equal(compact.Bytes(), field.Raw) {
			t.Fatalf("%q: raw %q is not compact JSON (%v)", field.Name, field.Raw, err)
		}
		want := string(field.Raw)
		if field.Raw[0] == '"' {
			if err := json.Unmarshal(field.Raw, &want); err != nil {
				t.Fatal(err)
			}
		}
		// encoding/json replaces invalid UTF-8, Decode keeps it.
		if got := string(bytes.ToValidUTF8([]byte(field.Text), []byte("\ufffd"))); got != string(bytes.ToValidUTF8([]byte(want), []byte("\ufffd"))) && !bytes.ContainsRune([]byte(want), '\ufffd') {
			t.Fatalf("%q: text %q, want %q", field.Name, got, want)
		}
	}
}
