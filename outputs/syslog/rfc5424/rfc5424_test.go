package rfc5424_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	syslog5424 "github.com/leodido/go-syslog/v4/rfc5424"
	"github.com/linuxguard/linuxguard-bridge/outputs/syslog/rfc5424"
)

func TestTimestamp(t *testing.T) {
	t.Parallel()
	kolkata := time.FixedZone("", 5*3600+1800)
	for want, at := range map[string]time.Time{
		"-":                                {},
		"2026-03-02T14:32:01Z":             time.Date(2026, 3, 2, 14, 32, 1, 0, time.UTC),
		"2026-03-02T14:32:01.003Z":         time.Date(2026, 3, 2, 14, 32, 1, 3_000_000, time.UTC),
		"2026-03-02T14:32:01.120Z":         time.Date(2026, 3, 2, 14, 32, 1, 120_000_999, time.UTC),
		"2026-03-02T14:32:01.000003Z":      time.Date(2026, 3, 2, 14, 32, 1, 3_999, time.UTC), // cut, not rounded (section 6.2.3.1: six digits)
		"2026-03-02T14:32:01.123456+05:30": time.Date(2026, 3, 2, 14, 32, 1, 123_456_789, kolkata),
		"2026-03-02T14:32:01-08:00":        time.Date(2026, 3, 2, 14, 32, 1, 0, time.FixedZone("", -8*3600)),
		"2026-03-02T14:31:41Z":             time.Date(2026, 3, 2, 14, 32, 1, 0, time.FixedZone("", 20)), // hh:mm can't say 20 s
		"0001-02-03T04:05:06Z":             time.Date(1, 2, 3, 4, 5, 6, 0, time.UTC),
	} {
		if got := string(rfc5424.AppendTimestamp(nil, at)); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
	for _, year := range []int{-1, 10000} {
		if got := string(rfc5424.AppendTimestamp(nil, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))); got != "-" {
			t.Errorf("year %d: %s", year, got)
		}
	}
}

func TestHeaderField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		limit    int
	}{
		{"", "-", 5}, {"web-01", "web-01", 6}, {"web-01", "web-0", 5}, {"a b\nc\x00\x7f", "a_b_c__", 9},
		{"wéb🙂\xff", "w_b__", 9}, {"日本語", "__", 2}, {"!~", "!~", 9},
	} {
		if got := string(rfc5424.AppendHeaderField(nil, c.in, c.limit)); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestEscaping(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, value, text string }{
		{`plain # text, #1, #12, #400, #189, #19`, `plain # text, #1, #12, #400, #189, #19`, `plain # text, #1, #12, #400, #189, #19`},
		{`typed #012, ##012, #0012`, `typed #043012, ##043012, #0430012`, `typed #043012, ##043012, #0430012`},
		{"#01\x002 #\n", "#01#0002 ##012", "#01#0002 ##012"},
		{`a"b\c]d[`, `a\"b\\c\]d[`, `a"b\c]d[`},
		{"\x00\n\r\t\x1b\x1f\x7f", "#000#012#015#011#033#037#177", "#000#012#015#011#033#037#177"},
		{"é🙂\u00a0", "é🙂\u00a0", "é🙂\u00a0"},
		{"\u0085\u009f", "#302#205#302#237", "#302#205#302#237"},
		{"\u2028\u2029\u202a", "#342#200#250#342#200#251\u202a", "#342#200#250#342#200#251\u202a"},
		{"\xff\xc3(\xed\xa0\x80", "#377#303(#355#240#200", "#377#303(#355#240#200"},
		{"\ufffd", "\ufffd", "\ufffd"},
	} {
		if got := string(rfc5424.AppendValue(nil, c.in)); got != c.value {
			t.Errorf("value %q: %q, want %q", c.in, got, c.value)
		}
		if got := string(rfc5424.AppendText(nil, c.in)); got != c.text {
			t.Errorf("text %q: %q, want %q", c.in, got, c.text)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, valid := range map[string]bool{
		"": false, "a": true, "exampleSDID@32473": true, "a b": false, "a=b": false, "a]": false, `a"`: false, "é": false, "\x7f": false,
		strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
	} {
		if got := rfc5424.ValidName(name); got != valid {
			t.Errorf("%q: %t", name, got)
		}
	}
	if got := string(rfc5424.AppendName(nil, "a b=]\"é\n"+strings.Repeat("x", 40), 10)); got != "a_b_____xx"[:10] {
		t.Errorf("got %q", got)
	}
}

func TestFacility(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]rfc5424.Facility{"user": 1, "USER": 1, "0": 0, "kern": 0, "authpriv": 10, "13": 13, "local0": 16, "local7": 23, "23": 23} {
		if got, err := rfc5424.ParseFacility(name); err != nil || got != want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for name, hint := range map[string]string{
		"security": "4 (auth)", "audit": "13", "console": "14", "clock": "15", "ntp": "12", "": "use a number", "24": "use a number", "-1": "use a number", "local8": "use a number",
	} {
		if _, err := rfc5424.ParseFacility(name); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v, want ... %s", name, err, hint)
		}
	}
	if rfc5424.Facility(13).String() != "13" || rfc5424.User.String() != "user" {
		t.Error("names")
	}
	if got := string(rfc5424.AppendPriority(nil, 99, 99)); got != "<191>" {
		t.Errorf("out of range: %s", got)
	}
}

// FuzzEncode: whatever goes in, an independent parser reads the same back.
func FuzzEncode(f *testing.F) {
	f.Add(uint8(1), uint8(3), int64(1772461921), uint32(5), "web-01", "linuxguard", "1", "sudo", "name", `va"l\ue]`, "text\n")
	f.Add(uint8(255), uint8(255), int64(-1<<62), uint32(1<<31), "", "", "", "", "", "\xff\x00", "\ufeff")
	f.Fuzz(func(t *testing.T, facility, severity uint8, seconds int64, nanos uint32, host, app, proc, msgID, name, value, text string) {
		h := rfc5424.Header{
			Facility: rfc5424.Facility(facility), Severity: rfc5424.Severity(severity), Time: time.Unix(seconds, int64(nanos)).UTC(),
			Hostname: host, AppName: app, ProcID: proc, MsgID: msgID,
		}
		out := rfc5424.AppendHeader(nil, &h)
		out = rfc5424.OpenElement(out, "test@32473")
		if name = string(rfc5424.AppendName(nil, name, rfc5424.MaxName)); name != "" {
			out = rfc5424.AppendParam(out, name, value)
		}
		out = append(rfc5424.CloseElement(out), ' ')
		out = rfc5424.AppendText(out, text)
		if !utf8.Valid(out) || strings.ContainsFunc(string(out), func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }) {
			t.Fatalf("control characters or invalid UTF-8: %q", out)
		}
		parsed, err := syslog5424.NewParser().Parse(out)
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		m := parsed.(*syslog5424.SyslogMessage)
		if want := min(facility, 23)<<3 | min(severity, 7); *m.Priority != want {
			t.Errorf("PRI %d, want %d", *m.Priority, want)
		}
		for _, in := range []string{value, text} {
			if got := fromOctal(string(rfc5424.AppendText(nil, in))); got != in {
				t.Errorf("%q is read back as %q", in, got)
			}
		}
		if m.Timestamp != nil && !m.Timestamp.Equal(h.Time.Truncate(time.Microsecond)) {
			t.Errorf("TIMESTAMP %s, want %s", m.Timestamp, h.Time)
		}
		if name != "" {
			got := (*m.StructuredData)["test@32473"][name]
			want := string(rfc5424.AppendText(nil, value))
			unescaped := strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\]`, `]`).Replace(got)
			if got != want && unescaped != want {
				t.Errorf("parameter %q, want %q", got, want)
			}
		}
	})
}

// fromOctal is how a reader gets the bytes back: "#" and three octal digits up to 377 are one byte.
func fromOctal(s string) string {
	return regexp.MustCompile(`#[0-3][0-7]{2}`).ReplaceAllStringFunc(s, func(escaped string) string {
		n, err := strconv.ParseUint(escaped[1:], 8, 8)
		if err != nil {
			panic(err)
		}
		return string([]byte{byte(n)})
	})
}

func BenchmarkAppendValue(b *testing.B) {
	for name, text := range map[string]string{"plain": "Sudo command executed by jsmith on web-01", "wide": strings.Repeat("é", 20), "hostile": strings.Repeat("\n\"", 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			buf := make([]byte, 0, 1024)
			for b.Loop() {
				buf = rfc5424.AppendValue(buf[:0], text)
			}
		})
	}
}
