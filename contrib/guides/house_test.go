package guides

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// TestHouseTour: the table in CONTRIBUTING.md has every package, and none that isn't there.
func TestHouseTour(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(contribtest.ReadFile(t, root+"CONTRIBUTING.md"), "| package | its one job |")
	table, _, _ = strings.Cut(table, "\n\n")
	listed, whole := map[string]bool{}, []string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			listed[m[1]] = true
			if strings.Contains(cells[1], "`"+m[1]+"` and below") {
				whole = append(whole, m[1]+"/")
			}
		}
	}
	for dir := range packages(t) {
		below := slices.ContainsFunc(whole, func(prefix string) bool { return strings.HasPrefix(dir+"/", prefix) })
		if !listed[dir] && !below {
			t.Errorf("the house tour leaves out %s", dir)
		}
	}
	for dir := range listed {
		if info, err := os.Stat(root + dir); err != nil || !info.IsDir() {
			t.Errorf("the house tour shows %s, which isn't there", dir)
		}
	}
}

// packages are the folders with Go files that aren't tests only.
func packages(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, top := range []string{"bridge", "outputs", "cmd", "packaging", "contrib"} {
		err := filepath.WalkDir(root+top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				found[strings.TrimPrefix(filepath.Dir(path), root)] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestWorkedExample: what CONTRIBUTING.md says of the file output is there.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(contribtest.ReadFile(t, root+"CONTRIBUTING.md"), "## Add an output")
	text, _, _ = strings.Cut(text, "\n## ")
	files := 0
	for _, m := range regexp.MustCompile("`(\\w+\\.go)`").FindAllStringSubmatch(text, -1) {
		files++
		if _, err := os.Stat(root + "outputs/file/" + m[1]); err != nil {
			t.Errorf("the file output has no %s", m[1])
		}
	}
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
		line := strings.TrimSpace(block[1])
		if !strings.Contains(contribtest.ReadFile(t, root+"outputs/file/output.go")+contribtest.ReadFile(t, root+"outputs/all/all.go"), line) {
			t.Errorf("no longer in the code: %s", line)
		}
	}
	if files < 6 {
		t.Errorf("only %d files named", files)
	}
}

// TestMakeTargets: a page that says "make something" names a target.
func TestMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := contribtest.ReadFile(t, root+"Makefile")
	for _, page := range []string{"CONTRIBUTING.md", "README.md", "contrib/README.md"} {
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z -]+)").FindAllStringSubmatch(contribtest.ReadFile(t, root+page), -1) {
			for target := range strings.FieldsSeq(m[1]) {
				if !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s: make %s", page, target)
				}
			}
		}
	}
}
