package counterparts

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const waitFor = 20 * time.Second

func message(id string) string {
	return `<13>1 2026-03-02T14:32:01.25Z web-01 linuxguard - sudo [linuxguard@32473 id="` + id + `" odd="a\"b\\c\]d"] hello ` + id
}

func send(t *testing.T, d *Daemon, input, text string) {
	t.Helper()
	var conn net.Conn
	var err error
	switch input {
	case "udp":
		conn, err = net.Dial("udp", d.Addr(input))
	case "tls":
		pair, pairErr := d.TLS.Client.Certificate()
		if pairErr != nil {
			t.Fatal(pairErr)
		}
		conn, err = tls.Dial("tcp", d.Addr(input), &tls.Config{RootCAs: d.TLS.Authority.Pool(), Certificates: []tls.Certificate{pair}, ServerName: "localhost"})
	default:
		conn, err = net.Dial("tcp", d.Addr(input))
	}
	if err != nil {
		t.Fatal(err)
	}
	switch input {
	case "tcp", "tls":
		text = fmt.Sprintf("%d %s", len(text), text)
	case "newline":
		text += "\n"
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDaemonsParseWhatTheyGet(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *Daemon{
		"rsyslog":   func() *Daemon { return Rsyslog(t, RsyslogOptions{}) },
		"syslog-ng": func() *Daemon { return SyslogNG(t, SyslogNGOptions{}) },
	} {
		d := start()
		t.Logf("%s: %s", name, d.Version)
		inputs := []string{"udp", "tcp", "tls", "newline"}
		for _, input := range inputs {
			send(t, d, input, message(input))
		}
		for _, r := range d.WaitRecords(len(inputs), waitFor) {
			if id, ok := r.Param("id"); !ok || id != r.In || !strings.HasSuffix(r.Msg, "hello "+r.In) {
				t.Errorf("%s: %+v", name, r)
			}
			if odd, _ := r.Param("odd"); odd != `a"b\c]d` {
				t.Errorf("%s, %s: escaped parameter read as %q", name, r.In, odd)
			}
			if r.Host != "web-01" || r.App != "linuxguard" || r.MsgID != "sudo" || r.Pri != "13" {
				t.Errorf("%s: header %+v", name, r)
			}
			if name == "syslog-ng" && r.Params["linuxguard@32473.odd"] != `a"b\c]d` {
				t.Errorf("%s: params %v", name, r.Params)
			}
		}
	}
}

func TestDaemonComesBackAtItsAddress(t *testing.T) {
	t.Parallel()
	d := Rsyslog(t, RsyslogOptions{})
	send(t, d, "tcp", message("first"))
	d.WaitRecords(1, waitFor)
	d.Kill()
	if conn, err := net.Dial("tcp", d.Addr("tcp")); err == nil {
		_ = conn.Close()
		t.Fatal("it still listens after Kill")
	}
	d.Start()
	send(t, d, "tcp", message("second"))
	d.WaitRecords(2, waitFor)
	d.Pause()
	send(t, d, "tcp", message("third")) // the kernel takes it
	d.Resume()
	d.WaitRecords(3, waitFor)
}

func TestHECReceiver(t *testing.T) {
	t.Parallel()
	h := HECReceiver(t, HECOptions{TLS: true})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.TLS.Authority.Pool()}}}
	for i := 1; i <= 2; i++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL()+"/services/collector/event",
			strings.NewReader(`{"time":1772461921.25,"host":"web-01","event":{"signal_id":"s1","severity":4}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Splunk secret")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("answer %s", resp.Status)
		}
		got := h.WaitEvents(i, waitFor)[i-1]
		if got.Host != "web-01" || got.Event["signal_id"] != "s1" || fmt.Sprint(got.Event["severity"]) != "4" || got.Token != "secret" {
			t.Errorf("event %+v", got)
		}
		client.CloseIdleConnections()
		h.Kill()
		tear(t, h.out.path)
		h.Start()
	}
}

// tear leaves what a SIGKILL in the middle of a write leaves.
func tear(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"in":"tcp","event":{"signal_i`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornLines: a receiver that was killed in the middle of a write loses that line and no other.
func TestTornLines(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *Daemon{
		"rsyslog":   func(t *testing.T) *Daemon { return Rsyslog(t, RsyslogOptions{}) },
		"syslog-ng": func(t *testing.T) *Daemon { return SyslogNG(t, SyslogNGOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			for i := 1; i <= 3; i++ {
				send(t, d, "tcp", message(fmt.Sprint(i)))
				d.WaitRecords(i, waitFor)
				d.Kill()
				tear(t, d.out.path)
				d.Start()
			}
			for i, r := range d.Records() {
				if id, _ := r.Param("id"); id != fmt.Sprint(i+1) {
					t.Errorf("record %d: %+v", i, r)
				}
			}
		})
	}
}

// TestOnlyTornLinesAreLeftOut: what can't be decoded for another reason than a kill is an error.
func TestOnlyTornLinesAreLeftOut(t *testing.T) {
	t.Parallel()
	r := &received{path: filepath.Join(t.TempDir(), "received.ndjson")}
	if err := os.WriteFile(r.path, []byte("{\"msg\":\"one\"}\n{\"msg"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.endTorn(); err != nil {
		t.Fatal(err)
	}
	if got, err := readLines[Record](r); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // the test is over
	if _, err := f.WriteString("{\"msg\":\"two\"}\n{\"msg\n{\"msg\":\"three\"}\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := readLines[Record](r); err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("%+v, %v, want an error about line 4", got, err)
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	if got := parseAddress("0302017F:1F90"); got != "127.1.2.3:8080" {
		t.Errorf("got %q", got)
	}
	if got := parseAddress("nonsense"); got != "" {
		t.Errorf("got %q", got)
	}
}
