package config

import (
	"strings"
	"testing"
)

func TestHostNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 63)
	for name, want := range map[string]bool{
		"a": true, "localhost": true, "hooks.example.com": true, "a-b.c": true, "1.example": true, long: true,
		strings.Join([]string{long, long, long, long[:61]}, "."): true,
		strings.Join([]string{long, long, long, long[:62]}, "."): false,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "-a": false, "a-": false, "a_b": false, "a b": false,
		"ä.example": false, "1.2.3.4": false, "::1": false, long + "x": false, "a:1": false, "a/b": false,
	} {
		if got := isHostName(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

func TestMailAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a@b": true, "ops+acme@example.com": true,
		"": false, "a": false, "@b": false, "a@": false, "a b@c": false, "<a@b>": false, "a@b c": false, "a\n@b": false,
	} {
		if got := isMailAddress(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestClashes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "localhost:1", true},
		{"127.0.0.1:1", "[::ffff:127.0.0.1]:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"0.0.0.0:1", "127.0.0.1:1", true},
		{"0.0.0.0:1", "[::1]:1", true},
		{":1", "127.0.0.1:1", true},
		{"[::]:1", "127.0.0.1:1", true},
		{"unix:/a", "unix:/a", true},
		{"unix:/a", "unix:/b", false},
		{"unix:/a", "127.0.0.1:1", false},
		{"systemd", "127.0.0.1:1", false},
	} {
		a, errA := parseListen(c.a)
		b, errB := parseListen(c.b)
		if errA != nil || errB != nil || a.clashes(b) != c.want || b.clashes(a) != c.want {
			t.Errorf("%s and %s: got %v, %v, %v", c.a, c.b, a.clashes(b), errA, errB)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	keys := []string{"listen", "allow", "tls_cert", "tls_key", "max_body_bytes"}
	for word, want := range map[string]string{
		"listn": "listen", "lsiten": "listen", "LISTEN": "listen", "tls_crt": "tls_cert", "tlskey": "tls_key",
		"max_bodybytes": "max_body_bytes", "alow": "allow", "": "", "x": "", "port": "", "completely": "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestRelativeKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"addresses": "output.a.addresses", "addresses[1]": "output.a.addresses[1]", "match.header": "output.a.match.header",
		"rules[0].index": "output.a.rules[0].index", "x[1][2]": "output.a.x[1][2]", "": "output.a", "odd key": `output.a."odd key"`,
	} {
		if got := path("output", "a").relative(key).String(); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}
