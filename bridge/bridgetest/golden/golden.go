// Package golden reads and writes golden cases: a file each, in the txtar format, with the input and all that is wanted
// of it (https://pkg.go.dev/golang.org/x/tools/txtar).
package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// Case is one file.
type Case struct {
	Name  string // of the file, without its folder and ending
	path  string
	files *txtar.Archive
}

// Cases reads every case of a folder, at least least of them.
func Cases(t testing.TB, dir string, least int) []*Case {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(paths) < least {
		t.Fatalf("%d cases in %s, %v", len(paths), dir, err)
	}
	cases := make([]*Case, len(paths))
	for i, path := range paths {
		cases[i] = Read(t, path)
	}
	return cases
}

// Read reads one case.
func Read(t testing.TB, path string) *Case {
	t.Helper()
	files, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Case{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), path: path, files: files}
}

// Text returns what stands under a name, which always ends with a newline, and whether there is such a name.
func (c *Case) Text(name string) (text string, ok bool) {
	for _, f := range c.files.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// Must is Text for what every case has.
func (c *Case) Must(t testing.TB, name string) string {
	t.Helper()
	text, ok := c.Text(name)
	if !ok {
		t.Fatalf("case %s has no %s", c.Name, name)
	}
	return text
}

// Set puts a text, which ends with a newline, under a name.
func (c *Case) Set(name, text string) {
	for i := range c.files.Files {
		if c.files.Files[i].Name == name {
			c.files.Files[i].Data = []byte(text)
			return
		}
	}
	c.files.Files = append(c.files.Files, txtar.File{Name: name, Data: []byte(text)})
}

// Write writes the case back.
func (c *Case) Write(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(c.path, txtar.Format(c.files), 0o600); err != nil {
		t.Fatal(err)
	}
}
