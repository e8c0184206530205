package mapping_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// sentLine is one golden record in one syslog format.
type sentLine struct {
	name string
	rec  *outputs.Record
	line string
}

func goldenLines(t *testing.T) (lines []sentLine) {
	t.Helper()
	for _, c := range cases(t) {
		rec := recordOf(t, c)
		for _, f := range formats(t) {
			if f.max > 0 {
				lines = append(lines, sentLine{c.Name + "/" + f.name, rec, string(f.encode(nil, rec))})
			}
		}
	}
	return lines
}

// TestRealReceivers: rsyslog and syslog-ng, reading lines framed by line feeds, take every golden record for one record
// and read the header that we meant.
func TestRealReceivers(t *testing.T) {
	t.Parallel()
	lines := goldenLines(t)
	for name, d := range map[string]*counterparts.Daemon{
		"rsyslog":   counterparts.Rsyslog(t, counterparts.RsyslogOptions{}),
		"syslog-ng": counterparts.SyslogNG(t, counterparts.SyslogNGOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", d.Addr("newline"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // a test's connection
			for _, l := range lines {
				if _, err := fmt.Fprintf(conn, "%s\n", l.line); err != nil {
					t.Fatal(err)
				}
			}
			got := d.WaitRecords(len(lines), 60*time.Second)
			if len(got) != len(lines) {
				t.Fatalf("%d records for %d lines", len(got), len(lines))
			}
			for i := range got {
				checkReceived(t, name, &lines[i], &got[i])
			}
		})
	}
}

func checkReceived(t *testing.T, daemon string, sent *sentLine, got *counterparts.Record) {
	t.Helper()
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s, %s: %s is %.300q, want %.300q", daemon, sent.name, what, got, want)
		}
	}
	if daemon == "rsyslog" {
		check("the raw message", got.Raw, sent.line)
	}
	if m := header3164.FindStringSubmatch(sent.line); m != nil {
		check("PRI", got.Pri, m[1])
		check("HOSTNAME", got.Host, m[3])
		tag, _, _ := strings.Cut(m[4], ":")
		check("APP-NAME", got.App, tag)
		return
	}
	s, err := parse5424(sent.line)
	if err != nil {
		t.Fatal(err)
	}
	check("PRI", got.Pri, strconv.Itoa(s.pri))
	if s.host != "-" { // for which syslog-ng shows the sender's address
		check("HOSTNAME", got.Host, s.host)
	}
	check("APP-NAME", got.App, s.app)
	if s.msgid != "-" {
		check("MSGID", got.MsgID, s.msgid)
	}
	msg := s.msg
	if daemon == "syslog-ng" {
		msg = strings.TrimPrefix(msg, "\ufeff") // rsyslog takes the byte order mark for a part of the message
	}
	check("MSG", strings.TrimPrefix(got.Msg, " "), msg)
	if daemon == "syslog-ng" {
		for id, params := range s.elements {
			for _, p := range params {
				check(p.name, got.Params[id+"."+p.name], p.value)
			}
		}
	}
}

// TestRealHEC: OpenTelemetry's receiver takes every golden record, all in one batch, and reads the metadata that we meant.
func TestRealHEC(t *testing.T) {
	t.Parallel()
	h := counterparts.HECReceiver(t, counterparts.HECOptions{})
	var batch bytes.Buffer
	sent := map[string]int{} // how often by metadata: the receiver groups events by it and so changes their order
	n := 0
	for _, c := range cases(t) {
		rec := recordOf(t, c)
		for _, f := range formats(t) {
			if !strings.HasPrefix(f.name, "hec") || f.name == "hec-raw" && c.Name == "huge-number" { // the body's own number is too large for it
				continue
			}
			batch.Write(append(f.encode(nil, rec), '\n'))
			sent[metadata(f, rec)]++
			n++
		}
	}
	postHEC(t, h.URL(), &batch)
	for _, got := range h.WaitEvents(n, 60*time.Second) {
		sent[fmt.Sprintf("%s %s %s %s", got.Host, got.Source, got.SourceType, got.Index)]--
		if got.Time < 1e9 || len(got.Event)+len(got.Fields) == 0 {
			t.Errorf("got %+v", got)
		}
	}
	for what, left := range sent {
		if left != 0 {
			t.Errorf("%d events of %.200q are missing", left, what)
		}
	}
}

func metadata(f format, rec *outputs.Record) string {
	host, sourceType, index := replaceInvalid(rec.Signal.ServerName), "linuxguard:signal", ""
	if host == "" {
		host = "unknown"
	}
	if rec.Synthetic {
		sourceType = "linuxguard:bridge"
	}
	if f.name == "hec" {
		index = "main"
	}
	return fmt.Sprintf("%s linuxguard %s %s", host, sourceType, index)
}

func postHEC(t *testing.T, url string, batch io.Reader) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/services/collector/event", batch)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Splunk 00000000-0000-0000-0000-000000000000")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, answer)
	}
}
