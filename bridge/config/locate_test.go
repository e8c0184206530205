package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	const src = `# a comment with [brackets] and = signs
top = 1
[a.b]   # another
  c.d = { "e f" = [1, [2, '3'], { g = """
x = [not a key]
""" }], h = 1979-05-27 07:32:00 } # h
"quoted \u0041" = '''
[no] '' = 1'''
ü = 1
[[list]]
x = 1
[[list]]
x = 2
[list.sub]
y = [ # comment ]
  "a", 'b' , # b
]
["wörld"]
z = ''
`
	want := map[string]position{
		"top": {"", 2, 1}, "a": {"", 3, 2}, "a.b": {"", 3, 4},
		"a.b.c": {"", 4, 3}, "a.b.c.d": {"", 4, 5}, `a.b.c.d."e f"`: {"", 4, 11},
		`a.b.c.d."e f"[0]`: {"", 4, 20}, `a.b.c.d."e f"[1]`: {"", 4, 23}, `a.b.c.d."e f"[1][0]`: {"", 4, 24}, `a.b.c.d."e f"[1][1]`: {"", 4, 27},
		`a.b.c.d."e f"[2]`: {"", 4, 33}, `a.b.c.d."e f"[2].g`: {"", 4, 35}, "a.b.c.d.h": {"", 6, 9},
		`a.b."quoted A"`: {"", 7, 1},
		"list":           {"", 10, 3}, "list[0]": {"", 10, 3}, "list[0].x": {"", 11, 1}, "list[1]": {"", 12, 3}, "list[1].x": {"", 13, 1},
		"list[1].sub": {"", 14, 7}, "list[1].sub.y": {"", 15, 1}, "list[1].sub.y[0]": {"", 16, 3}, "list[1].sub.y[1]": {"", 16, 8},
		`"wörld"`: {"", 18, 2}, `"wörld".z`: {"", 19, 1},
	}
	got := locate(strings.Replace(src, "ü = 1\n", "\n", 1), "")
	for key, at := range want {
		if got[key] != at {
			t.Errorf("%s: got %v, want %v", key, got[key], at)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is no key", key)
		}
	}
}

func TestFindFallsBackToTheTableAround(t *testing.T) {
	t.Parallel()
	l := locate("[a]\nb = 1\n", "")
	if got := l.find(path("a", "c").index(3)); got != (position{"", 1, 2}) {
		t.Errorf("got %v", got)
	}
	if got := l.find(path("x")); got != (position{}) {
		t.Errorf("got %v", got)
	}
}

// pathsOf lists everything that the parser found in a file.
func pathsOf(at keyPath, value any) []string {
	var paths []string
	if len(at) > 0 {
		paths = append(paths, at.String())
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			paths = append(paths, pathsOf(at.key(key), inner)...)
		}
	case []any:
		for i, inner := range v {
			paths = append(paths, pathsOf(at.index(i), inner)...)
		}
	case []map[string]any:
		for i, inner := range v {
			paths = append(paths, pathsOf(at.index(i), inner)...)
		}
	}
	return paths
}

// FuzzLocate has the parser as oracle: every key and list element that it finds is located, and nothing else is.
func FuzzLocate(f *testing.F) {
	for _, seed := range []string{
		"a = 1", "[a]\nb.c = {d = [1, {e = 2}]}", "[[a]]\n[[a]]\n[a.b]\nc='''x'''", "\"a\\tb\" = \"\"\"\\\n \"\"\"",
		"a = [\n# x\n1,\n]", "a = { # c\n b = 1,\n}", "\ufeffa = 1", "'' = 1", "a=\"\"\"x\"\"\"\"\"", "[a]\n[a.b]\n[[c.d]]\n[c.d.e]\n[c]",
		"a = [[]]", "a = {}", "[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]", "a.\"b.c\".d = 1\r\ne = 2\r\n", "a=1979-05-27 07:32:32Z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		var tree map[string]any
		if _, err := toml.Decode(src, &tree); err != nil || strings.HasPrefix(src, "\xff\xfe") || strings.HasPrefix(src, "\xfe\xff") {
			locate(src, "") // must not panic
			return
		}
		found := locate(src, "")
		want := pathsOf(nil, tree)
		for _, p := range want {
			if _, ok := found[p]; !ok {
				t.Errorf("%s of %q is not located", p, src)
			}
		}
		for p, at := range found {
			if !slices.Contains(want, p) {
				t.Errorf("%s of %q is located and does not exist", p, src)
			}
			if at.line < 1 || at.column < 1 || at.line > strings.Count(src, "\n")+1 {
				t.Errorf("%s of %q is at %v", p, src, at)
			}
		}
	})
}
