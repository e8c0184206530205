package config

import (
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "1MiB": 1 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40,
		"9223372036854775807": math.MaxInt64, "8388607TiB": 8388607 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "KiB", "1KB", "1K", "1M", "1 KiB", "-1", "+1", "1.5GiB", "1e3", "0x10", "1KiBB", "1kib", "１", "1_000",
		"9223372036854775808", "8388608TiB", "9007199254740992KiB",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1KiB", 1025: "1025 bytes", 3 << 20: "3MiB", 1 << 50: "1024TiB",
	} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
		if back, err := ParseSize(strings.TrimRight(FormatSize(n), " bytes")); err != nil || back != n {
			t.Errorf("%d: comes back as %d, %v", n, back, err)
		}
	}
}

func TestRoughSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 512: "512 bytes", 1024: "1.0KiB", 1536: "1.5KiB", 1 << 50: "1024.0TiB"} {
		if got := roughSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

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
