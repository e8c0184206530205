package lines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestATornLineIsEnded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200_000) // more than one chunk
	for _, c := range []struct {
		name, before string
		start        int64
		torn         bool
	}{
		{"empty", "", 0, false},
		{"whole", "one\ntwo\n", 0, false},
		{"torn", "one\ntw", 4, true},
		{"nothing but a torn line", "on", 0, true},
		{"a long torn line", "one\n" + long, 4, true},
		{"a long torn line alone", long, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "lines")
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			start, torn, err := EndTorn(path)
			if err != nil || torn != c.torn || torn && start != c.start {
				t.Errorf("line at %d, torn %v, %v; want %d, %v", start, torn, err, c.start, c.torn)
			}
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Append(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("next\n"); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			want := c.before
			if c.torn {
				want += "\n"
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want+"next\n" {
				t.Errorf("%.40q, %v", got, err)
			}
		})
	}
}

func TestAMissingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lines")
	if _, torn, err := EndTorn(path); torn || err != nil {
		t.Errorf("torn %v, %v", torn, err)
	}
	f, err := Append(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
