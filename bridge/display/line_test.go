package display

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                            "",
		"plain, ünïcode 日本 🔐":         "plain, ünïcode 日本 🔐",
		"\x1b]0;title\x07":            `\x1b]0;title\a`,
		"\x1b[2J\x1b[31mred":          `\x1b[2J\x1b[31mred`,
		"c1 \u009b31m":                `c1 \u009b31m`,
		"raw c1 \x9b31m":              `raw c1 \x9b31m`,
		"del\x7f nul\x00":             `del\x7f nul\x00`,
		"two\r\nlines\ttab":           `two\r\nlines\ttab`,
		"bidi \u202egpj.exe\u2066":    `bidi \u202egpj.exe\u2066`,
		"zero\u200bwidth \ufeff":      `zero\u200bwidth \ufeff`,
		"sep\u2028arator":             `sep\u2028arator`,
		"tag \U000e0041":              `tag \U000e0041`,
		"broken \xff\xc3(":            `broken \xff\xc3(`,
		"replacement \ufffd is shown": "replacement \ufffd is shown",
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Lines("a\n\tb\x1b\r"); got != "a\n\tb\\x1b\\r" {
		t.Errorf("Lines: %q", got)
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   "",
		" a\r\n\t b ":        "a b",
		"0123456789":         "0123456789",
		"0123456789a":        "0123456...",
		"012345é6789":        "012345...",
		"<b>\x1b[2J</b>long": `<b>\x1b...`,
	} {
		if got := Excerpt(in, 10); got != want {
			t.Errorf("Excerpt(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, seed := range []string{"", "a\x1b[31m\x9b", "\u202e\xff\n", "\xed\xa0\x80", "\x1bP+q\x1b\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, lines := range []bool{false, true} {
			out := clean(in, lines)
			if !utf8.ValidString(out) {
				t.Fatalf("%q became invalid UTF-8 %q", in, out)
			}
			for _, r := range out {
				if unicode.IsControl(r) && (!lines || r != '\n' && r != '\t') || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
					t.Fatalf("%q left %U in %q", in, r, out)
				}
			}
			if again := clean(out, lines); again != out {
				t.Fatalf("clean twice: %q, once: %q", again, out)
			}
			if isClean(in, lines) != (in == out) {
				t.Fatalf("isClean(%q) disagrees with %q", in, out)
			}
			if strings.Count(out, "\n") > strings.Count(in, "\n") {
				t.Fatalf("%q grew lines", in)
			}
		}
	})
}
