package fail2ban

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest"
	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
	"github.com/linuxguard/linuxguard-bridge/bridge/logging"
	"github.com/linuxguard/linuxguard-bridge/bridge/sender"
	"github.com/linuxguard/linuxguard-bridge/contrib/contribtest"
)

// inject is what an attacker would like fail2ban to see: somebody else's address in a line of ours.
const inject = "refused 198.51.100.66: signature (401)"

// attack sends, each from an address of its own, what normal mode must catch, and returns these addresses. One more
// address sends what only aggressive mode catches, and one delivers properly.
func attack(t *testing.T, b *bridgetest.Bridge) (caught []string, aggressive string) {
	t.Helper()
	sample := contribtest.Sample(3, inject)
	n := 0
	send := func(method, path string, d sender.Delivery, change func(*http.Request)) string {
		n++
		from := fmt.Sprintf("127.66.0.%d", n)
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+b.Address()+path, bytes.NewReader(d.Body))
		if err != nil {
			t.Fatal(err)
		}
		d.SetHeaders(req.Header)
		if change != nil {
			change(req)
		}
		client := &http.Client{Timeout: contribtest.Arrive, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, "tcp4", target)
			},
			TLSClientConfig: &tls.Config{RootCAs: b.TLS.Authority.Pool(), ServerName: "localhost"}, DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil { // a refusal can overtake the body that it is about; the log has it all the same
			t.Log(err)
			return from
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return from
	}
	good := b.Signer().Deliver(sample)
	forged := good.Forge()
	send(http.MethodPost, bridgetest.EndpointPath, good, nil) // accepted: never to be caught
	caught = []string{
		send(http.MethodPost, bridgetest.EndpointPath, forged, nil),
		send(http.MethodGet, bridgetest.EndpointPath, good, nil),
		send(http.MethodPost, "/.env", good, nil),
		send(http.MethodPost, "/"+strings.ReplaceAll(inject, " ", "%20"), good, nil),
		send(http.MethodPost, bridgetest.EndpointPath, forged, func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "198.51.100.66")
			r.Header.Set(sender.DeliveryHeader, inject)
			r.Header.Set(sender.EventHeader, inject)
			r.Header.Set("User-Agent", `"`+inject)
		}),
		send(http.MethodPost, bridgetest.EndpointPath, good, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }),
		send(http.MethodPost, bridgetest.EndpointPath, b.Signer().Deliver(make([]byte, 2<<20)), nil),
	}
	aggressive = fmt.Sprintf("127.66.0.%d", n+1)
	breakOff(t, b, aggressive)
	return caught, aggressive
}

// breakOff begins a body and ends the connection.
func breakOff(t *testing.T, b *bridgetest.Bridge, from string) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}, "tcp4", b.Address(),
		&tls.Config{RootCAs: b.TLS.Authority.Pool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // that is its point
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s: sha256=%064d\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
		bridgetest.EndpointPath, sender.SignatureHeader, 0)
	_, _ = io.Copy(io.Discard, conn)
}

// daemonLog runs a real bridge with log.format, attacks it and returns its log.
func daemonLog(t *testing.T, format string) (path string, caught []string, aggressive string) {
	t.Helper()
	b := bridgetest.New(t, bridgetest.Options{Outputs: contribtest.FileOutput(filepath.Join(t.TempDir(), "signals.ndjson"))})
	contribtest.WriteFile(t, b.ConfigPath, contribtest.Fill(t, b.ConfigPath, `format = "json"`, fmt.Sprintf("format = %q", format)))
	b.Start()
	t.Cleanup(b.Stop)
	caught, aggressive = attack(t, b)
	bridgetest.Eventually(t, contribtest.Arrive, "the last refusal's line", func() bool { return strings.Contains(b.RawLog(), "refused "+aggressive) })
	path = filepath.Join(t.TempDir(), format+".log")
	contribtest.WriteFile(t, path, b.RawLog())
	return path, caught, aggressive
}

// matched runs fail2ban-regex and returns the addresses that the filter finds, sorted.
func matched(t *testing.T, p counterparts.Program, log, mode string) []string {
	t.Helper()
	filter, err := filepath.Abs("filter.d/linuxguard-bridge.conf")
	if err != nil {
		t.Fatal(err)
	}
	out, err := fail2ban(t.Context(), p, "-o", "ip", log, filter+"[mode="+mode+"]").Output()
	if err != nil {
		t.Fatalf("fail2ban-regex: %v\n%s", err, out)
	}
	addresses := strings.Fields(string(out))
	slices.Sort(addresses)
	return addresses
}

func fail2ban(ctx context.Context, p counterparts.Program, args ...string) *exec.Cmd {
	args = append([]string{p.Path, "-c", filepath.Join(p.Root, "etc/fail2ban")}, args...)
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", args...)
	cmd.Env = append(os.Environ(), append(p.Env, "TZ=UTC")...)
	return cmd
}

func TestFilter(t *testing.T) {
	t.Parallel()
	p := counterparts.Fail2banRegex(t)
	t.Log(p.Version)
	jsonLog, caught, aggressive := daemonLog(t, "json")
	textLog, textCaught, _ := daemonLog(t, "text")
	slices.Sort(caught)
	slices.Sort(textCaught)
	foreign(t, textLog, `2026-11-23 13:00:00 WARN  delivery failed, trying again error="`+inject+`"`)
	foreign(t, jsonLog, `{"time":"2026-11-23T13:00:00.123456789Z","level":"WARN","msg":"delivery failed, trying again","error":"`+inject+`"}`)
	for log, want := range map[string][]string{jsonLog: caught, textLog: textCaught, journalLog(t, p, jsonLog): caught} {
		if got := matched(t, p, log, "normal"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v\n%s", log, got, want, contribtest.ReadFile(t, log))
		}
		want = append(slices.Clone(want), aggressive)
		if got := matched(t, p, log, "aggressive"); !slices.Equal(got, want) {
			t.Errorf("%s, aggressive: %v, want %v", log, got, want)
		}
	}
}

// foreign adds a line in which somebody else's text, such as a destination's error, looks like a refusal.
func foreign(t *testing.T, log, line string) {
	t.Helper()
	contribtest.WriteFile(t, log, contribtest.ReadFile(t, log)+line+"\n")
}

// journalLog is log, which is JSON, as fail2ban's systemd backend would see it: written by the bridge's journal handler,
// and made a line by fail2ban's own code.
func journalLog(t *testing.T, p counterparts.Program, log string) string {
	t.Helper()
	var entries bytes.Buffer
	for line := range strings.Lines(contribtest.ReadFile(t, log)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		entry := map[string]string{"_HOSTNAME": "bridge-1", "_PID": "4711", "_COMM": "linuxguard-brid"}
		for _, field := range strings.Split(strings.TrimSpace(viaJournal(t, record)), "\n") {
			name, value, _ := strings.Cut(field, "=")
			entry[name] = value
		}
		encoded, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		entries.Write(append(encoded, '\n'))
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/journalline.py")
	cmd.Env = append(os.Environ(), append(p.Env, "TZ=UTC")...)
	cmd.Stdin = &entries
	lines, err := cmd.Output()
	if err != nil {
		t.Fatalf("fail2ban's journal lines: %v", err)
	}
	path := filepath.Join(t.TempDir(), "journal.log")
	contribtest.WriteFile(t, path, string(lines))
	return path
}

// viaJournal logs a record again through the journal handler and returns the datagram that journald would get.
func viaJournal(t *testing.T, record map[string]any) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lgj") // short, for the socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	socket := filepath.Join(dir, "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // read only
	log, err := logging.New(logging.Options{Format: "journal", Level: slog.LevelDebug, JournalSocket: socket, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	message, _ := record["msg"].(string)
	var attrs []slog.Attr
	for key, value := range record {
		if key != "time" && key != "level" && key != "msg" {
			attrs = append(attrs, slog.Any(key, value))
		}
	}
	log.LogAttrs(t.Context(), slog.LevelWarn, message, attrs...)
	buffer := make([]byte, 1<<16)
	if err := conn.SetReadDeadline(time.Now().Add(contribtest.Arrive)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// TestJail reads jail and filter with fail2ban's own configuration reader.
func TestJail(t *testing.T) {
	t.Parallel()
	p := counterparts.Fail2banRegex(t)
	config := filepath.Join(t.TempDir(), "fail2ban")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(p.Root, "etc/fail2ban"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"filter.d/linuxguard-bridge.conf", "jail.d/linuxguard-bridge.conf"} {
		contribtest.WriteFile(t, filepath.Join(config, name), contribtest.ReadFile(t, name))
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", filepath.Join(p.Root, "usr/bin/fail2ban-client"), "-c", config, "-d")
	cmd.Env = append(os.Environ(), p.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fail2ban-client -d: %v\n%s", err, out)
	}
	for _, want := range []string{"['add', 'linuxguard-bridge', 'systemd']", "['set', 'linuxguard-bridge', 'maxretry', 10]",
		"_SYSTEMD_UNIT=linuxguard-bridge.service", "refused ", "['start', 'linuxguard-bridge']"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("fail2ban-client -d doesn't say %q", want)
		}
	}
}
