package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/BurntSushi/toml"
)

func addCases(f *testing.F) {
	f.Helper()
	for _, c := range ruleCases(f) {
		f.Add(c.Must(f, "config.toml"))
	}
}

// FuzzLoad feeds whole files: no panic, every report is printable, and a Config is there exactly when there is no error.
func FuzzLoad(f *testing.F) {
	addCases(f)
	f.Add("[endpoint.\"\\u001b[31m\"]\npath = \"/a\"\n[endpoint.x]\npath = \"/a\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, report := LoadFiles([]File{{Name: "config.toml", Data: []byte(text)}}, Options{
			Getenv: func(string) string { return "/nonexistent" }, Now: today, Construct: constructFake,
			FreeBytes: func(string) (int64, bool) { return 0, false },
		})
		if (cfg == nil) != (report.Err() != nil) {
			t.Errorf("config %v, error %v", cfg, report.Err())
		}
		for _, p := range report.Problems {
			if i := strings.IndexFunc(p.String(), func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
				t.Errorf("%q holds a control character", p.String())
			}
			if p.Text == "" || p.Line < 0 || p.Line > strings.Count(text, "\n")+1 || (p.Line > 0) != (p.Column > 0) {
				t.Errorf("%+v is odd", p)
			}
		}
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(report); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("%v: %s", err, &b)
		}
	})
}

// FuzzBind has the parser's own decoder as oracle: on every file that it decodes, the binder fills the same settings and
// knows the same keys not to be known, but for what the binder refuses on purpose.
func FuzzBind(f *testing.F) {
	addCases(f)
	f.Fuzz(func(t *testing.T, text string) {
		var theirs struct {
			fileTable
			Output map[string]struct {
				outputTable
				fakeSettings
			} `toml:"output"`
		}
		ours := theirs
		md, err := toml.Decode(text, &theirs)
		if err != nil {
			return
		}
		var tree map[string]any
		if _, err := toml.Decode(text, &tree); err != nil {
			t.Fatal(err)
		}
		unknown, refused := map[string]bool{}, false
		b := &binder{problem: func(at keyPath, text, _ string) {
			at = slices.DeleteFunc(slices.Clone(at), func(segment string) bool { return segment[0] == '[' }) // as the decoder has it
			unknown[at.String()] = true
			refused = refused || text != "unknown key"
		}}
		b.table(nil, tree, reflect.ValueOf(&ours).Elem(), nil, nil)
		undecoded := false
		for _, key := range md.Undecoded() {
			undecoded = true
			if !knownToBeUnknown(unknown, key) {
				t.Errorf("%s of %q is unknown to the decoder only", key, text)
			}
		}
		if !undecoded && len(unknown) == 0 && !refused && !sameDefaults(ours.fileTable, theirs.fileTable) {
			t.Errorf("%q:\nours   %+v\ntheirs %+v", text, ours, theirs)
		}
	})
}

// knownToBeUnknown looks for the key or a table around it.
func knownToBeUnknown(unknown map[string]bool, key toml.Key) bool {
	for ; len(key) > 0; key = key[:len(key)-1] {
		if _, ok := unknown[path(key...).String()]; ok {
			return true
		}
	}
	return false
}

// sameDefaults compares two files; the decoder doesn't know the defaults of endpoints.
func sameDefaults(ours, theirs fileTable) bool {
	for name, e := range theirs.Endpoint {
		if e.MaxAge == 0 {
			e.MaxAge = ours.Endpoint[name].MaxAge
		}
		if e.ClockSkew == 0 {
			e.ClockSkew = ours.Endpoint[name].ClockSkew
		}
		theirs.Endpoint[name] = e
	}
	return reflect.DeepEqual(ours, theirs)
}
