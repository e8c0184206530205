package bridge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/linuxguard/linuxguard-bridge/"

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Imports    []string
}

// goList returns the module's packages that the arguments name, by their path inside of it, with what they import of it.
func goList(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		name, own := strings.CutPrefix(p.ImportPath, module)
		if !own {
			continue
		}
		packages[name] = nil
		for _, i := range p.Imports {
			if i, own := strings.CutPrefix(i, module); own {
				packages[name] = append(packages[name], i)
			}
		}
	}
}

var (
	row  = regexp.MustCompile(`(?m)^//\t(\S+)(?: {2,}\S.*)?$`)
	more = regexp.MustCompile(`(?m)^//\t    (\S.*)$`)
)

// importTable reads the table of this package's documentation.
func importTable(t *testing.T) map[string][]string {
	t.Helper()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(source), "// # Who imports whom\n")
	if !found {
		t.Fatal("doc.go has no table")
	}
	table, last := map[string][]string{}, ""
	for line := range strings.Lines(section) {
		if m := more.FindStringSubmatch(line); m != nil {
			for name := range strings.SplitSeq(strings.TrimSuffix(m[1], ","), ", ") {
				table[last] = append(table[last], name)
			}
		} else if m := row.FindStringSubmatch(line); m != nil {
			last = m[1]
			table[last] = nil
		}
	}
	return table
}

// TestImports: the packages that the daemon is made of import of each other what the table says, neither more nor less.
func TestImports(t *testing.T) {
	t.Parallel()
	table, real := importTable(t), goList(t, "-deps", "../cmd/linuxguard-bridge")
	for _, name := range slices.Sorted(maps.Keys(real)) {
		want, known := table[name]
		if got := slices.Sorted(slices.Values(real[name])); !known || !slices.Equal(got, want) {
			t.Errorf("%s imports %v; the table in doc.go has %v", name, got, want)
		}
	}
	for name := range table {
		if _, exists := real[name]; !exists {
			t.Errorf("the table in doc.go has %s, which is no part of the daemon", name)
		}
	}
}

// TestOutputsKnowNoOther: a kind of output imports no other kind.
func TestOutputsKnowNoOther(t *testing.T) {
	t.Parallel()
	table := importTable(t)
	kinds := slices.DeleteFunc(table["outputs/all"], func(name string) bool { return name == "outputs" })
	if len(kinds) < 3 {
		t.Fatalf("kinds: %v", kinds)
	}
	for _, kind := range kinds {
		for _, imported := range table[kind] {
			if slices.Contains(kinds, imported) {
				t.Errorf("%s imports %s", kind, imported)
			}
		}
	}
}

// TestNobodyElseKnowsTheEngine: tests and the bench apart, only this package and the command may import an engine of the queue.
func TestNobodyElseKnowsTheEngine(t *testing.T) {
	t.Parallel()
	engine := func(name string) bool {
		return strings.HasPrefix(name, "bridge/queue/local") || name == "bridge/queue/postgres"
	}
	for name, imports := range goList(t, "../...") {
		if slices.ContainsFunc(imports, engine) && !engine(name) && name != "bridge" && name != "contrib/bench" && !strings.HasPrefix(name, "cmd/") {
			t.Errorf("%s imports an engine: %v", name, imports)
		}
	}
}
