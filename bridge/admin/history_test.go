package admin

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestHistory: rates, lags and since when something is wrong, over more than an hour.
func TestHistory(t *testing.T) {
	t.Parallel()
	h, began := newHistory(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	look := func(i int, change func(*Status)) *Status {
		st := &Status{At: began.Add(time.Duration(i) * recordEvery), Report: Report{
			Receiver: ReceiverReport{Endpoints: []EndpointReport{{Accepted: uint64(20 * i)}, {Duplicate: uint64(10 * i)}}},
			Outputs:  []OutputReport{{Name: "siem", State: "up", Delivered: uint64(50 * i)}},
		}}
		change(st)
		h.add(st)
		h.date(st)
		return st
	}
	fail := func(text string) func(*Status) {
		return func(st *Status) {
			o := &st.Outputs[0]
			o.State, o.Queued.Events, o.Queued.Oldest = "down", 3, st.At.Add(-90*time.Second)
			st.Findings = []Finding{{key: "queue", Text: text}}
		}
	}
	for i := range 400 {
		look(i, func(*Status) {})
	}
	look(400, fail("no space"))
	st := look(403, fail("no space at all"))
	if since := st.At.Sub(st.Findings[0].Since); since != 3*recordEvery {
		t.Errorf("the finding is %v old", since)
	}
	if since := st.At.Sub(st.Outputs[0].Since); since != 3*recordEvery {
		t.Errorf("the state is %v old", since)
	}
	if n := len(h.received()); n < 350 || n > 360 {
		t.Errorf("%d points of an hour", n)
	}
	if got := h.received().lastMinute(); got != 3 {
		t.Errorf("received %v a second", got)
	}
	if got := h.deliveries("siem").lastMinute(); got != 5 {
		t.Errorf("delivered %v a second", got)
	}
	if got := h.lags("siem").last(); got != 90 {
		t.Errorf("a lag of %v", got)
	}
	if c := h.lags("siem").line(st.At, "lag", formatSeconds); c.Label != "lag in the last hour: at most 1m30s, now 1m30s" || !strings.HasPrefix(c.Path, "M") || !strings.HasSuffix(c.Path, "L360.0 1.0") {
		t.Errorf("%+v", c)
	}
	healthy := look(404, func(*Status) {})
	if again := look(405, fail("again")); !again.Findings[0].Since.Equal(again.At) || !again.Outputs[0].Since.Equal(again.At) {
		t.Errorf("what is wrong again is so since %v, %v", again.Findings[0].Since, again.Outputs[0].Since)
	}
	if healthy.Outputs[0].Since != healthy.At {
		t.Errorf("up since %v", healthy.Outputs[0].Since)
	}
}

// TestHistoryOfAReload: an output that is made anew counts from zero.
func TestHistoryOfAReload(t *testing.T) {
	t.Parallel()
	h := newHistory()
	for i, delivered := range []uint64{100, 5} {
		h.add(&Status{At: time.Unix(int64(10*i), 0), Report: Report{Outputs: []OutputReport{{Name: "a", Delivered: delivered}}}})
	}
	if got := h.deliveries("a").last(); got != 0 {
		t.Errorf("%v a second", got)
	}
}

// TestPageHistory: the page is well-formed, and its lines have a text for people who don't see them.
func TestPageHistory(t *testing.T) {
	t.Parallel()
	h := newHistory()
	var last Status
	for i := range 10 {
		last = Status{At: time.Unix(int64(1_800_000_000+10*i), 0), Report: Report{Host: "bridge-<1>", Outputs: []OutputReport{{Name: "siem"}},
			Receiver: ReceiverReport{Endpoints: []EndpointReport{{Name: "e", Accepted: uint64(i * i)}}}}}
		h.add(&last)
	}
	var b strings.Builder
	if err := newPage().render(&b, last, h); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{`aria-label="received in the last hour: at most 1.7/s, now 1.7/s"`, `<title>bridge-&lt;1&gt; · linuxguard-bridge</title>`,
		"Nothing is wrong.", `aria-label="lag in the last hour: at most 0s, now 0s"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	svg := page[strings.Index(page, "<svg"):]
	svg = svg[:strings.Index(svg, "</svg>")+len("</svg>")]
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0/s", 0.04: "0.0/s", 0.4: "0.4/s", 9.96: "10.0/s", 12.4: "12/s", 12345: "12345/s"} {
		if got := formatRate(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestFindings: what is wrong, in order, and not what was overcome.
func TestFindings(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	st := Status{At: now, Report: Report{
		Warnings:     []string{"odd"},
		Certificates: []CertificateReport{{Name: "server", NotAfter: now.Add(47 * time.Hour)}, {Name: "far", NotAfter: now.Add(100 * 24 * time.Hour)}},
		Receiver:     ReceiverReport{Endpoints: []EndpointReport{{Name: "e", Overdue: true, ExpectEvery: time.Hour, LastVerified: now.Add(-3 * time.Hour)}}},
		Outputs: []OutputReport{
			{Name: "a", Failing: true, FirstError: "first", LastError: "last", FailingSince: now.Add(-time.Minute)},
			{Name: "b", LastError: "long ago", LastErrorAt: now.Add(-time.Hour), Certificates: []OutputCertificate{
				{ID: "1", Where: "tls://x:6514", Text: "the certificate of x ends"}, {ID: "2", Where: "/ca.pem", Text: "the certificate of y ends"}}},
			{Name: "c", Certificates: []OutputCertificate{{ID: "2", Where: "/ca.pem", Text: "the certificate of y ends"}}},
		},
	}}
	var got []string
	for _, f := range findings(&st) {
		got = append(got, fmt.Sprint(f.Severity, " ", f.Text, " ", f.Runbook))
	}
	want := []string{
		"problem endpoint e is overdue: nothing that is signed came for longer than expect_every (1h) linuxguardendpointoverdue",
		"warning output a fails and is retried, nothing is lost: first; now: last linuxguardoutputlagging",
		"warning certificate server ends in 1d23h, 2027-01-17 07:00:00Z linuxguardcertificateexpiring",
		"warning odd ",
		"warning the certificate of x ends (output b at tls://x:6514) linuxguardcertificateexpiring",
		"warning the certificate of y ends (output b at /ca.pem, output c at /ca.pem) linuxguardcertificateexpiring",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}
