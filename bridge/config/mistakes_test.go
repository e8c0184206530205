package config

import (
	"os"
	"strings"
	"testing"
)

// TestMistakes makes the mistakes of people who write TOML for the first time. Each is named in our words, with a remedy and the right line, and
// nothing of what stands in the file is repeated: CANARY may be a secret.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line, says string
		at         string // line and column, when they are not the line's own
	}{
		"no quotes":            {`token = CANARY`, "the value lacks its quotes", ""},
		"no quotes, a path":    {`path = /webhooks/CANARY`, "the value lacks its quotes", ""},
		"no quotes, a time":    {`max_age = 5m`, "the value lacks its quotes", ""},
		"no quotes, a size":    {`max_bytes = 64KiB`, "the value lacks its quotes", ""},
		"no quotes, an IP":     {`listen = 0.0.0.0:8443`, "the value lacks its quotes", ""},
		"no closing quote":     {`token = "CANARY`, "the closing quote is missing", ""},
		"no opening quote":     {`token = CANARY"`, "the value lacks its quotes", ""},
		"single quote":         {`token = 'CANARY`, "the closing quote is missing", ""},
		"curly quotes":         {`token = “CANARY”`, "typographic quotes", ""},
		"German quotes":        {`token = „CANARY“`, "typographic quotes", ""},
		"quote inside":         {`token = "CAN"ARY"`, "there is more behind the value", ""},
		"yes":                  {`plaintext = yes`, "write true or false", ""},
		"True":                 {`plaintext = True # CANARY`, "write true or false", ""},
		"off":                  {`plaintext = off`, "write true or false", ""},
		"null":                 {`token = null`, "to leave a key at its default", ""},
		"slash comment":        {`// CANARY`, "a comment begins with #", ""},
		"comment behind":       {`path = "/x" // CANARY`, "a comment begins with #", ""},
		"semicolon":            {`; CANARY`, "a comment begins with #", ""},
		"colon":                {`token: "CANARY"`, "not by a colon", ""},
		"colon without quotes": {`token: CANARY`, "not by a colon", ""},
		"no value":             {`token =`, "the value is missing", ""},
		"no key":               {`= "CANARY"`, "the key is missing", ""},
		"no equals":            {`token "CANARY"`, "this line is no [table] and no key", ""},
		"a word alone":         {`CANARY`, "this line is no [table] and no key", ""},
		"list without quotes":  {`secrets = [CANARY]`, "this list is not right", ""},
		"list without commas":  {`secrets = ["a" "CANARY"]`, "this list is not right", ""},
		"inline table":         {`match = { a: "CANARY" }`, "this inline table is not right", ""},
		"open header":          {`[CANARY`, "a table's header is one name in brackets", ""},
		"backslash":            {`path = "C:\CANARY"`, "a backslash begins an escape", ""},
		"no-break space":       {"token\u00a0= \"CANARY\"", "special blank", ""},
		"Latin-1":              {"path = \"/CANARY\xfc\"", "this character is not UTF-8", ""},
		"UTF-16":               {"\x00t\x00o\x00k", "UTF-16", "config.toml:1:1:"},
		"CR alone":             {"path = \"/x\"\rtoken = \"CANARY\"", "CR alone", "config.toml:1:1:"},
		"key twice":            {"token = \"CANARY1\"\ntoken = \"CANARY2\"", "this is in line 4 already", "config.toml:5:"},
		"table twice":          {"[server]\nhttp2 = true", "this is in line 2 already", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, report := LoadFiles([]File{{Name: "config.toml", Data: []byte("# the first line\n[server]\nhttp2 = false\n" + c.line + "\n")}}, Options{})
			text := report.Problems[0].String()
			at := c.at
			if at == "" {
				at = "config.toml:4:"
			}
			if len(report.Problems) != 1 || !strings.HasPrefix(text, at) || !strings.Contains(text, c.says) {
				t.Errorf("%q: got %q, want %q at %s", c.line, report.Problems, c.says, at)
			}
			if strings.Contains(text, "CANARY") {
				t.Errorf("%q repeats what may be a secret", text)
			}
		})
	}
}

// TestParts: conf.d holds more of the configuration, and every problem names the file that has it.
func TestParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	main, siem, _ := strings.Cut(strings.ReplaceAll(smallest, "DIR", w.dir), "[output.siem]")
	w.write(t, "config.toml", main, 0o600)
	w.write(t, "conf.d/20-siem.toml", "[output.siem]"+siem, 0o600)
	w.write(t, "conf.d/.30-siem.toml.swp", "rubbish", 0o600)
	w.write(t, "conf.d/README", "rubbish", 0o600)
	load := func() (*Config, string) {
		cfg, report := Load(w.path("config.toml"), w.options())
		var b strings.Builder
		_ = report.WriteText(&b)
		return cfg, strings.ReplaceAll(b.String(), w.dir, "DIR")
	}
	cfg, said := load()
	if cfg == nil || len(cfg.Outputs) != 1 || len(cfg.Endpoints) != 1 || cfg.Path != w.path("config.toml") {
		t.Fatalf("config %+v, report %s", cfg, said)
	}
	first := cfg.Hash
	w.write(t, "conf.d/30-more.toml", "[output.more]\ntype = \"fake\"\naddresses = [\"bad\"]\n[dedupe]\nwindow = \"96h\"\n", 0o666)
	if _, said := load(); !strings.Contains(said, "DIR/conf.d/30-more.toml:3:14: error: output.more.addresses[0]: is a bad address") ||
		!strings.Contains(said, "DIR/conf.d/30-more.toml: warning: other users can write this file") {
		t.Errorf("got %s", said)
	}
	w.write(t, "conf.d/30-more.toml", "[output.more]\ntype = \"fake\"\n", 0o600)
	if cfg, said := load(); cfg == nil || len(cfg.Outputs) != 2 || cfg.Hash == first {
		t.Errorf("config %+v, report %s", cfg, said)
	}
	w.write(t, "conf.d/40-again.toml", "[output.siem]\ntype = \"fake\"\n[server.acme]\ndomains = []\n", 0o600)
	w.write(t, "conf.d/50-broken.toml", "nonsense\n", 0o600)
	_, said = load()
	for _, want := range []string{
		"DIR/conf.d/40-again.toml:1:9: error: output.siem: is in DIR/conf.d/20-siem.toml, line 1, already (each table stands in one file only)",
		"DIR/conf.d/40-again.toml:3:2: error: server: is in DIR/config.toml, line 2, already (each table stands in one file only)",
		"DIR/conf.d/50-broken.toml:1:9: error: this line is no [table]",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("got\n%swithout %q", said, want)
		}
	}
	for _, name := range []string{"conf.d/40-again.toml", "conf.d/50-broken.toml", "conf.d/20-siem.toml"} {
		if err := os.Remove(w.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	w.write(t, "conf.d/25-admin.toml", "[admin]\nsocket = \"/run/other.sock\"\n", 0o600)
	if got := ControlSocket(w.path("config.toml"), w.getenv); got != "/run/other.sock" {
		t.Errorf("the control socket is %s", got)
	}
	if err := os.Symlink("/nonexistent", w.path("conf.d/60-dangling.toml")); err != nil {
		t.Fatal(err)
	}
	if _, said := load(); !strings.Contains(said, "DIR/conf.d/60-dangling.toml: error: can't read the configuration file: no such file or directory") {
		t.Errorf("got %s", said)
	}
}
