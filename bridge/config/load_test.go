package config

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/golden"
	"github.com/linuxguard/linuxguard-bridge/bridge/secret"
)

var update = flag.Bool("update", false, "write the golden files anew")

// ruleCases are the cases of TestRules.
func ruleCases(t testing.TB) []*golden.Case { return golden.Cases(t, "testdata/rules", 80) }

// TestRules loads config.toml of every case and compares the report with want.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range ruleCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			text := c.Must(t, "config.toml")
			w := newWorld(t)
			cfg, report := w.load(text, circumstances(text))
			var b bytes.Buffer
			if err := report.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(b.String(), w.dir, "DIR")
			if *update {
				c.Set("want", got)
				c.Write(t)
			}
			if want := c.Must(t, "want"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if (cfg == nil) != (report.Err() != nil) {
				t.Errorf("config %v although the report's error is %v", cfg != nil, report.Err())
			}
		})
	}
}

// circumstances are what a case's first line says about the world around it.
func circumstances(text string) func(*Options) {
	first, _, _ := strings.Cut(text, "\n")
	return func(o *Options) {
		switch first {
		case "# strict":
			o.Strict = true
		case "# disk full":
			o.FreeBytes = func(string) (int64, bool) { return 3 << 29, true }
		case "# roots":
			o.Roots = x509.NewCertPool()
		case "# socket active":
			o.SocketUnit = "active"
		case "# service":
			o.Service, o.SocketUnit, o.MemoryLimit = fakeService{}, "inactive", 512<<20
		case "# outside":
			o.Resolver = secret.NewCheckResolver(func(string) string { return "" }, "/nonexistent")
		}
	}
}

// fakeService can read what isn't hidden and write below the folder "state".
type fakeService struct{}

func (fakeService) CanRead(path string) error {
	if strings.Contains(path, "hidden") {
		return errors.New("the unit hides it")
	}
	return nil
}

func (fakeService) CanWrite(path string) error {
	if !strings.Contains(path, "/state") {
		return errors.New("the unit protects it")
	}
	return nil
}

func (fakeService) MakesDirectory(path string) bool { return strings.Contains(path, "/state") }

func checkFile(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}

// TestEveryRuleIsTested finds the text of every rule in the sources and demands that a golden file shows it, so that
// no rule can be added, or broken, without a test.
func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	var shown strings.Builder
	for _, c := range ruleCases(t) {
		shown.WriteString(c.Must(t, "want"))
	}
	formats := ruleTexts(t)
	if len(formats) < 60 {
		t.Fatalf("found %d rules only: the search is broken", len(formats))
	}
	for _, format := range formats {
		if format == "the settings of an output must be a pointer to a struct" || format == "can't write %q: %s" {
			continue // a mistake in a program, see TestDecodeAfterLoad; and what root can't see, see the command's TestCheckAsService
		}
		pattern := regexp.MustCompile(`%[-+#0-9.]*[a-z]`).ReplaceAllString(regexp.QuoteMeta(format), ".*")
		if !regexp.MustCompile(pattern).MatchString(shown.String()) {
			t.Errorf("no case under testdata/rules shows the rule %q", format)
		}
	}
}

// ruleTexts returns the literal texts given to errorf, warnf, problem and the errors made here.
func ruleTexts(t *testing.T) []string {
	t.Helper()
	position := map[string]int{"errorf": 2, "warnf": 2, "problem": 1, "Errorf": 0, "New": 0}
	files, _ := filepath.Glob("*.go")
	var formats []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			i, ok := position[fun.Sel.Name]
			if !ok || i >= len(call.Args) {
				return true
			}
			if literal, ok := call.Args[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && text != "%s" {
					formats = append(formats, text)
				}
			}
			return true
		})
	}
	return formats
}

const smallest = `
[server]
tls_cert = "DIR/tls.pem"
tls_key = "DIR/tls.key"
[endpoint.linuxguard]
path = "/webhooks/linuxguard"
secrets = ["credential:webhook-secret"]
[output.siem]
type = "fake"
`

func mustLoad(t *testing.T, w *world, text string) *Config {
	t.Helper()
	cfg, report := w.load(text)
	if len(report.Problems) > 0 {
		t.Fatalf("problems: %v", report.Problems)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := mustLoad(t, w, smallest)
	text := strings.ReplaceAll(dump(t, cfg), w.dir, "DIR")
	text = regexp.MustCompile(`"Hash": "[0-9a-f]{64}"`).ReplaceAllString(text, `"Hash": "HASH"`)
	checkFile(t, "testdata/defaults.json", text)
}

// dump encodes a Config without the functions in it.
func dump(t *testing.T, cfg *Config) string {
	t.Helper()
	type output struct {
		Name, Type, StartAt string
		DropOldest          bool
		Match               Match
	}
	shown := struct {
		Config
		Outputs []output
	}{Config: *cfg}
	shown.Settings = nil // the same again, see the command's TestConfigShow
	for _, o := range cfg.Outputs {
		shown.Outputs = append(shown.Outputs, output{o.Name, o.Type, o.StartAt, o.DropOldest, o.Match})
	}
	got, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(got) + "\n"
}

func TestDirectoriesWithoutSystemd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, report := w.load(strings.ReplaceAll(smallest, "credential:webhook-secret", "file:DIR/secret"), func(o *Options) {
		o.Getenv = func(string) string { return "" }
	})
	if report.Err() != nil {
		t.Fatal(report.Err())
	}
	if cfg.Queue.Directory != "/var/lib/linuxguard-bridge" || cfg.Admin.Socket != "/run/linuxguard-bridge/admin.sock" {
		t.Errorf("got %q and %q", cfg.Queue.Directory, cfg.Admin.Socket)
	}
}

func TestLoadMissingFile(t *testing.T) {
	t.Parallel()
	cfg, report := Load("/nonexistent/config.toml", Options{})
	const want = "/nonexistent/config.toml: error: can't read the configuration file: no such file or directory"
	if cfg != nil || report.Err() == nil || report.Err().Error() != want {
		t.Errorf("got %v, want %s", report.Err(), want)
	}
}

func TestWritableFileIsWarnedOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(t, "config.toml", strings.ReplaceAll(smallest, "DIR", w.dir), 0o666)
	cfg, report := Load(w.path("config.toml"), w.options())
	if cfg == nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Text, "other users can write this file (mode 0666)") {
		t.Errorf("got %v", report.Problems)
	}
	w.mode(t, "config.toml", 0o644)
	if _, report := Load(w.path("config.toml"), w.options()); len(report.Problems) != 0 {
		t.Errorf("got %v", report.Problems)
	}
}

func TestInvalidErrorCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, report := w.load("[server]\nlisten = []\nlistn = 5\nplaintext = 7\n")
	got := report.Err().Error()
	if !strings.Contains(got, " more, see linuxguard-bridge check") || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, report := w.load(smallest + "addresses = [\"odd\",\n  \"bad\"]\n")
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		t.Fatal(err)
	}
	checkFile(t, "testdata/report.json", b.String())
	empty := &Report{File: "x"}
	b.Reset()
	if err := json.NewEncoder(&b).Encode(empty); err != nil || !strings.Contains(b.String(), `"problems":[]`) {
		t.Errorf("got %s, %v", &b, err)
	}
}

// TestDecodeAfterLoad proves that an output can be made again from a loaded file, with the same errors.
func TestDecodeAfterLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg, _ := w.load(smallest+"addresses = [\"a\", 5]\nodd = true\n", func(o *Options) { o.Construct = nil })
	var s fakeSettings
	err := cfg.Outputs[0].Decode(&s)
	if err == nil || !strings.Contains(err.Error(), "output.siem.odd: unknown key") {
		t.Errorf("got %v", err)
	}
	if want := []string{"a", "5"}; !reflect.DeepEqual(s.Addresses, want) {
		t.Errorf("got %q, want %q", s.Addresses, want)
	}
	if err := cfg.Outputs[0].Decode(s); err == nil {
		t.Error("a struct that is no pointer was taken")
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := smallest + "addresses = [\"a\"]\ntoken = \"file:DIR/secret\"\nca_file = \"DIR/tls.pem\"\n"
	print := func(text string) string { return mustLoad(t, w, text).Outputs[0].Fingerprint }
	first := print(text)
	if print("# a comment\n"+text) != first {
		t.Error("a comment changes the fingerprint")
	}
	if print(strings.ReplaceAll(text, `["a"]`, `["b"]`)) == first {
		t.Error("another value keeps the fingerprint")
	}
	w.write(t, "secret", "another secret, long enough", 0o600)
	second := print(text)
	if second == first {
		t.Error("another secret keeps the fingerprint")
	}
	w.certificate(t, "tls", today(), today().Add(100*24*3600e9))
	if print(text) == second {
		t.Error("another file keeps the fingerprint")
	}
}

// TestNoSecretIsShown puts a secret in clear where a reference belongs: no report may repeat it.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, clear := range []string{"hunter2-in-clear", "hunter2:in-clear", "hunter2:/in-clear", "credential", "env:"} {
		text := strings.ReplaceAll(smallest, "credential:webhook-secret", clear) +
			"token = \"" + clear + "\"\n[admin]\npassword = \"" + clear + "\"\n"
		_, report := w.load(text)
		if report.Err() == nil {
			t.Errorf("%q was taken as a reference", clear)
		}
		var b bytes.Buffer
		_ = report.WriteText(&b)
		_ = json.NewEncoder(&b).Encode(report)
		if strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), "in-clear") {
			t.Errorf("the report shows the secret:\n%s", &b)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	checkFile(t, "testdata/keys", strings.Join(Keys(), "\n")+"\n")
}
