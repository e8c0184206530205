package webhook

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/bridgetest/counterparts"
)

// pebble is a running test CA.
type pebble struct {
	Directory, CA, Root string
	caFile              string
}

// startPebble starts one that validates at these listeners; nil stands for a port where nobody listens.
func startPebble(t *testing.T, http01, alpn01 net.Listener, args ...string) *pebble {
	t.Helper()
	args = append([]string{"-http-port", portOf(http01), "-tls-port", portOf(alpn01)}, args...)
	command := exec.CommandContext(t.Context(), counterparts.Pebble(t), args...)
	command.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	p := &pebble{}
	if err == nil {
		err = json.Unmarshal(line, p)
	}
	if err != nil {
		t.Fatalf("pebble does not say where it is: %v", err)
	}
	p.caFile = filepath.Join(t.TempDir(), "acme-ca.pem")
	writeFile(t, p.caFile, []byte(p.CA))
	return p
}

func portOf(l net.Listener) string {
	if l == nil {
		return "1"
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const acmeDomain = "hooks.bridge.test"

// acmeRig is a rig whose certificates come from p.
func acmeRig(t *testing.T, p *pebble, https, http01 net.Listener, change func(*ServerOptions)) *rig {
	t.Helper()
	return newRig(t, func(_ *Options, s *ServerOptions) {
		s.Listen, s.Listeners = nil, []net.Listener{https}
		s.ACME = &ACME{Domains: []string{acmeDomain}, Email: "ops@bridge.test", DirectoryURL: p.Directory, CAFile: p.caFile, HTTPListener: http01}
		if change != nil {
			change(s)
		}
	})
}

// acmeClient trusts what p issued, and finds the rig under its public name.
func acmeClient(p *pebble, rig *rig, certs ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(p.Root))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: acmeDomain, Certificates: certs}, ForceAttemptHTTP2: true,
	}
	rig.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func TestACME(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		http01, alpn bool
		clientCerts  bool
	}{
		{"TLS-ALPN-01", false, true, false},
		{"HTTP-01", true, false, false},
		{"TLS-ALPN-01 with client certificates", false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			https := loopback(t)
			var http01, alpn net.Listener
			if c.http01 {
				http01 = loopback(t)
			}
			if c.alpn {
				alpn = https
			}
			p := startPebble(t, http01, alpn)
			clients := newAuthority(t)
			rig := acmeRig(t, p, https, http01, func(s *ServerOptions) {
				if c.clientCerts {
					s.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
					writeFile(t, s.ClientCAFile, clients.pem())
				}
			})
			certPEM, keyPEM := clients.issue(t, 7, time.Now().AddDate(1, 0, 0))
			pair, err := tls.X509KeyPair(certPEM, keyPEM)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "there is a certificate", func() bool { return !rig.server.CertificateNotAfter().IsZero() })
			status, answer := send(t, acmeClient(p, rig, pair), delivery(t, rig.url(), payload("sig_1", time.Now())))
			if status != 200 {
				t.Errorf("answered %d %q", status, answer)
			}
			mustBePrivate(t, filepath.Join(rig.srvOpts.StateDirectory, "acme"))
			mustContain(t, rig.log.String(), "certificate in use", acmeDomain)
			if c.http01 {
				mustAnswerOnlyChallenges(t, http01)
			}
		})
	}
}

func TestACMEAdvice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		http, listen, want string
	}{
		{"", "0.0.0.0:443", ""},
		{"", "[::]:443", ""},
		{"", "systemd", ""},
		{"", "0.0.0.0:8443", "forward that port to 0.0.0.0:8443, or set http_listen"},
		{"0.0.0.0:80", "0.0.0.0:8443", ""},
		{"127.0.0.1:8080", "0.0.0.0:8443", "port 80 of hooks.bridge.test: forward that port to 127.0.0.1:8080"},
	} {
		a := &ACME{Domains: []string{acmeDomain}, HTTPListen: c.http}
		got := strings.Join(a.Advice([]string{c.listen}), "")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q, %q: %q, want %q", c.http, c.listen, got, c.want)
		}
	}
}

func mustBePrivate(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		t.Errorf("the account and the certificate are not stored: %v, %v", entries, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", entry.Name(), info, err)
		}
	}
}

func mustAnswerOnlyChallenges(t *testing.T, l net.Listener) {
	t.Helper()
	for range acmeConnections + 50 { // idle ones keep nobody out
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test is over
	}
	for _, path := range []string{"/", testPath, "/.well-known/acme-challenge/unknown"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = acmeDomain
		if status, _ := send(t, http.DefaultClient, r); status != http.StatusNotFound {
			t.Errorf("the listener for HTTP-01 answers %d for %s", status, path)
		}
	}
}

// TestACMECertificateOutlivesARestart: the second process takes the first one's certificate from disk, with no CA there.
func TestACMECertificateOutlivesARestart(t *testing.T) {
	t.Parallel()
	https := loopback(t)
	state := t.TempDir()
	p := startPebble(t, nil, https)
	keepState := func(s *ServerOptions) { s.StateDirectory = state }
	first := acmeRig(t, p, https, nil, keepState)
	end := first.server.CertificateNotAfter
	eventually(t, "there is a certificate", func() bool { return !end().IsZero() })
	if status, _ := send(t, acmeClient(p, first), delivery(t, first.url(), payload("sig_1", time.Now()))); status != 200 {
		t.Fatalf("answered %d", status)
	}
	first.stop()
	gone := *p
	gone.Directory = "https://127.0.0.1:1/dir"
	second := acmeRig(t, &gone, loopback(t), nil, keepState)
	if status, _ := send(t, acmeClient(p, second), delivery(t, second.url(), payload("sig_2", time.Now()))); status != 200 {
		t.Errorf("after the restart answered %d", status)
	}
	eventually(t, "the same certificate is in use", func() bool { return second.server.CertificateNotAfter().Equal(end()) })
}

// TestACMERenews takes certificates that live for 12 seconds: autocert renews in the last third.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	https := loopback(t)
	p := startPebble(t, nil, https, "-validity", "12")
	rig := acmeRig(t, p, https, nil, nil)
	serial := func() string {
		conn, err := tls.Dial("tcp", rig.addr(), &tls.Config{ServerName: acmeDomain, InsecureSkipVerify: true})
		if err != nil {
			return ""
		}
		defer conn.Close() //nolint:errcheck // nothing was written
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	var first string
	eventually(t, "a certificate is served", func() bool { first = serial(); return first != "" })
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if now := serial(); now != "" && now != first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the certificate was never renewed")
		}
	}
}

// TestACMETrouble: without an ACME server the bridge listens all the same, says what is wrong once, and stops at once.
func TestACMETrouble(t *testing.T) {
	t.Parallel()
	https := loopback(t)
	p := startPebble(t, nil, https)
	writeFile(t, p.caFile, newAuthority(t).pem()) // roots that don't know this ACME server
	rig := acmeRig(t, p, https, nil, nil)
	eventually(t, "the trouble is said", func() bool { return strings.Contains(rig.log.String(), "no certificate from the ACME server yet") })
	mustContain(t, rig.log.String(), "certificate signed by unknown authority")
	if !rig.server.CertificateNotAfter().IsZero() {
		t.Error("there is a certificate")
	}
	start := time.Now()
	rig.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if _, err := NewServer(ServerOptions{
		Listen: []string{"127.0.0.1:0"}, StateDirectory: t.TempDir(), ACME: &ACME{Domains: []string{acmeDomain}, CAFile: "/absent"},
	}, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "server.acme") {
		t.Errorf("a missing ca_file: %v", err)
	}
}
