package webhook

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8:a::/48")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"untrusted peers are not believed", "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"a trusted one is", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"the client's own claim is left of it", "10.0.0.1:1", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"chain of proxies", "10.0.0.1:1", []string{"192.0.2.1, 198.51.100.1, 10.0.0.3,10.0.0.2"}, "198.51.100.1"},
		{"lines are one list", "10.0.0.1:1", []string{"192.0.2.1", "198.51.100.1, 10.0.0.3"}, "198.51.100.1"},
		{"proxies alone", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"empty header", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"garbage behind a proxy", "10.0.0.1:1", []string{"198.51.100.1, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"empty entry", "10.0.0.1:1", []string{"198.51.100.1,,10.0.0.2"}, "10.0.0.2"},
		{"with port", "10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "[2001:db8:a::1]:1", []string{"2001:db8:ffff::1"}, "2001:db8:ffff::1"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8:ffff::1]"}, "2001:db8:ffff::1"},
		{"IPv6 with port", "10.0.0.1:1", []string{"[2001:db8:ffff::1]:443"}, "2001:db8:ffff::1"},
		{"IPv6 with zone", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"unix socket", "@", []string{"198.51.100.1"}, "198.51.100.1"},
	} {
		r := &http.Request{Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := clientOf(r, parsePeer(c.peer), trusted); got.text != c.want || got.addr.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.text, c.want)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"203.0.113.9":           "203.0.113.9",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::",
		"2001:db8:1:2:ffff::":   "2001:db8:1:2::",
		"2001:db8:1:3::1":       "2001:db8:1:3::",
		"::ffff:203.0.113.9":    "203.0.113.9",
		"fe80::1%eth0":          "fe80::",
		"2001:db8:1:2::":        "2001:db8:1:2::",
		"ffff:ffff:ffff:ffff::": "ffff:ffff:ffff:ffff::",
	} {
		if got := newClient(netip.MustParseAddr(addr)).group().String(); got != want {
			t.Errorf("%s belongs to %s, want %s", addr, got, want)
		}
	}
}

// TestRateLimit: 429 takes the place of 401 only. A flood of forgeries from the sender's own address never costs a
// signed delivery its 200, nor another refusal its own status.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	from := func(addr string, change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			r.RemoteAddr = addr
			if change != nil {
				change(r)
			}
		}
	}
	forged := func(addr string) int { return b.post(b.fresh("forged"), from(addr, forge)).Code }
	count := func(n int, addr string) (refused, limited int) {
		for range n {
			switch code := forged(addr); code {
			case 401:
				refused++
			case 429:
				limited++
			default:
				t.Errorf("a forged request was answered %d", code)
			}
		}
		return refused, limited
	}
	if refused, limited := count(100, "[2001:db8::1]:1"); refused != DefaultFailureBurst || limited != 100-DefaultFailureBurst {
		t.Errorf("%d times 401, %d times 429", refused, limited)
	}
	if code := forged("[2001:db8::ffff:1]:1"); code != 429 {
		t.Errorf("the same /64 was answered %d", code)
	}
	if code := forged("[2001:db8:0:1::1]:1"); code != 401 {
		t.Errorf("another /64 was answered %d", code)
	}
	b.mustAnswer(b.post(b.fresh("signed"), from("[2001:db8::1]:1", nil)), 200, `{"status":"accepted"}`)
	w := b.post(b.fresh("x"), from("[2001:db8::1]:1", forge))
	b.mustAnswer(w, 429, `{"status":"refused","reason":"too many failed verifications"}`)
	if w.Header().Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	if code := b.post(b.fresh("x"), from("[2001:db8::1]:1", header("Content-Type", "text/plain"))).Code; code != 415 {
		t.Errorf("another refusal became %d", code)
	}
	b.clock.Advance(2 * DefaultFailureEvery)
	if refused, limited := count(5, "[2001:db8::1]:1"); refused != 2 || limited != 3 {
		t.Errorf("after two intervals %d times 401, %d times 429", refused, limited)
	}
}

// TestMemoryOfAddressesIsBounded floods from more addresses than are remembered.
func TestMemoryOfAddressesIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i := range 2 * maxVisitors {
		b.visitors.mayFail(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), b.clock.Now(), 10, time.Second)
	}
	if n := b.visitors.seen.Len(); n != maxVisitors {
		t.Errorf("%d addresses remembered, want %d", n, maxVisitors)
	}
	for i := range 2 * maxRefusedIDs {
		for range 2 * maxRefusedEach {
			b.refusals.add(fmt.Sprint("id-", i), Refusal{Status: 401})
		}
	}
	if n := b.refusals.byID.Len(); n != maxRefusedIDs {
		t.Errorf("%d delivery IDs remembered, want %d", n, maxRefusedIDs)
	}
	if n := len(b.Refused(fmt.Sprint("id-", 2*maxRefusedIDs-1))); n != maxRefusedEach {
		t.Errorf("%d refusals of one ID remembered, want %d", n, maxRefusedEach)
	}
}

// refusedLine is the form that contrib's fail2ban filter relies on.
var refusedLine = regexp.MustCompile(`refused (\S+): ([a-z_]+) \((\d{3})\)`)

func TestRefusalLines(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.FailureBurst = 2 })
	for _, c := range []struct {
		want   string
		change func(*http.Request)
	}{
		{"refused 203.0.113.9: signature (401)", func(r *http.Request) { forge(r) }},
		{"refused 203.0.113.9: signature (401)", func(r *http.Request) { r.Header.Del("LinuxGuard-Signature") }},
		{"refused 203.0.113.9: rate_limited (429)", forge},
		{"refused 203.0.113.9: not_found (404)", func(r *http.Request) { r.URL.Path = "/refused 192.0.2.1: signature (401)" }},
		{"refused 203.0.113.9: media_type (415)", header("Content-Type", "refused 192.0.2.1: signature (401)")},
		{"refused 203.0.113.9: method_not_allowed (405)", func(r *http.Request) { r.Method = "GET" }},
		{"refused 2001:db8::7: signature (401)", func(r *http.Request) { forge(r); r.RemoteAddr = "[2001:db8::7]:5" }},
	} {
		before := len(b.logs.String())
		b.post([]byte("refused 192.0.2.1: signature (401)"), func(r *http.Request) {
			r.Header.Set("LinuxGuard-Delivery", "refused 192.0.2.1: signature (401)")
			c.change(r)
		})
		lines := strings.Split(strings.TrimSpace(b.logs.String()[before:]), "\n")
		if len(lines) != 1 {
			t.Errorf("%d lines for one refusal: %q", len(lines), lines)
		}
		if found := refusedLine.FindAllString(lines[0], -1); len(found) != 1 || found[0] != c.want {
			t.Errorf("%q in %s, want %q", found, lines[0], c.want)
		}
	}
	mustNotContain(t, b.logs.String(), "192.0.2.1", testSecret)
}

// TestSignatureRefusalsSayWhy: a wrong secret, a missing header and a malformed one are told apart, with the names of the secrets tried.
func TestSignatureRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for want, change := range map[string]func(*http.Request){
		"matches none of the secrets": forge,
		"there is none":               func(r *http.Request) { r.Header.Del("LinuxGuard-Signature") },
		"malformed":                   header("LinuxGuard-Signature", "sha256=abc"),
	} {
		before := len(b.logs.String())
		b.post(b.fresh("s1"), change)
		line := b.logs.String()[before:]
		if !strings.Contains(line, want) || !strings.Contains(line, "secrets=") || !strings.Contains(line, "event=request_refused") {
			t.Errorf("want %q in %s", want, line)
		}
	}
	mustNotContain(t, b.logs.String(), testSecret)
}

// TestStaleSaysWhichClock: a stale delivery's line has its age, the limit and this host's time, and after several in a row a hint.
func TestStaleSaysWhichClock(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for i := range 2 * clockSuspectAfter {
		b.post(payload(fmt.Sprint("s", i), b.clock.Now().Add(-48*time.Hour)), nil)
	}
	logs := b.logs.String()
	for _, want := range []string{"event=quarantined", "reason=stale", "age=48h0m0s", "max_age=24h0m0s", "host_time=", "signed_at=", "hint="} {
		if !strings.Contains(logs, want) {
			t.Errorf("no %s in the log: %.2000s", want, logs)
		}
	}
}

func TestRefusalLinesAreRateLimited(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	lines := func() int { return strings.Count(b.logs.String(), "msg=\"refused ") }
	for range 1000 {
		b.post([]byte("{}"), forge)
	}
	if n := lines(); n != visitorLogBurst {
		t.Errorf("%d lines from one address, want %d", n, visitorLogBurst)
	}
	for i := range 1000 {
		b.post([]byte("{}"), func(r *http.Request) { forge(r); r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", i/250, i%250) })
	}
	if n := lines(); n != totalLogBurst {
		t.Errorf("%d lines from all addresses, want %d", n, totalLogBurst)
	}
	b.clock.Advance(time.Minute)
	b.post([]byte("{}"), forge)
	mustContain(t, b.logs.String(), fmt.Sprintf("not_logged=%d", 1000-visitorLogBurst), // on the first line of the others
		fmt.Sprintf("not_logged=%d", 1000-(totalLogBurst-visitorLogBurst)))
}

func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.post([]byte("{}"), forge)
	b.clock.Advance(time.Second)
	b.post([]byte("{}"), func(r *http.Request) { r.URL.Path = "/" })
	at := b.clock.Now()
	want := []Refusal{
		{at.Add(-time.Second), "signature", 401, "linuxguard", "203.0.113.9"},
		{at, "not_found", 404, "", "203.0.113.9"},
	}
	if got := b.Refused("0b5c8a52-7d6f-4f4e-9c3e-0f9d6a1b2c3d"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := b.Refused("another"); len(got) != 0 {
		t.Errorf("got %v for an unknown ID", got)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) {
		o.Allow = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	for i, c := range []struct {
		peer, forwarded string
		status          int
	}{
		{"198.51.100.7:1", "", 200},
		{"[2001:db8::1]:1", "", 200},
		{"203.0.113.9:1", "", 403},
		{"203.0.113.9:1", "198.51.100.7", 403},
		{"10.1.1.1:1", "198.51.100.7", 200},
		{"10.1.1.1:1", "203.0.113.9", 403},
		{"10.1.1.1:1", "198.51.100.7, 203.0.113.9", 403},
		{"10.1.1.1:1", "", 403},
	} {
		w := b.post(b.fresh(fmt.Sprint("sig_", i)), func(r *http.Request) {
			r.RemoteAddr = c.peer
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
		})
		if w.Code != c.status {
			t.Errorf("%s for %q: answered %d, want %d", c.peer, c.forwarded, w.Code, c.status)
		}
	}
}
