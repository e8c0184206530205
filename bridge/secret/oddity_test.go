package secret

import (
	"strings"
	"testing"
)

func TestOddity(t *testing.T) {
	t.Parallel()
	const good = "whsec_0123456789abcdef"
	for text, want := range map[string]string{
		good: "", "": "", "two words": "", "it's": "", `"`: "", "größe": "",
		"\ufeff" + good: "byte order mark", "\xff\xfea\x00b\x00": "UTF-16", "\xfe\xff\x00a": "UTF-16", "a\x00b\x00": "UTF-16",
		" " + good: "blanks", good + "\t": "blanks", good + "\n": "empty line", "\r\n" + good: "empty line", good + "\n" + good: "several lines",
		`"` + good + `"`: "quotes", "'" + good + "'": "quotes", "sha256=" + good: "sha256=", "SHA256=" + good: "sha256=", "\xffabc": "UTF-8",
	} {
		got := NewValue(text).Oddity()
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if strings.Contains(got, good) {
			t.Errorf("%q is shown: %s", text, got)
		}
	}
}
