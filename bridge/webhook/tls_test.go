package webhook

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linuxguard/linuxguard-bridge/bridge/pemfile"
)

func TestTLSVersions(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", rig.addr(), &tls.Config{RootCAs: rig.ca.pool(), MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	weak := &tls.Config{RootCAs: rig.ca.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}}
	if conn, err := tls.Dial("tcp", rig.addr(), weak); err == nil {
		_ = conn.Close()
		t.Error("weak suites are accepted")
	}
	mustContain(t, rig.log.String(), "TLS handshake error")
}

// serial is the serial number of the certificate that the rig serves.
func (r *rig) serial() int64 {
	r.t.Helper()
	conn, err := r.dial()
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(_ *Options, s *ServerOptions) { s.certificatePoll = 20 * time.Millisecond })
	certFile, keyFile := rig.srvOpts.TLSCert, rig.srvOpts.TLSKey
	year := time.Now().AddDate(1, 0, 0)
	becomes := func(want int64) {
		t.Helper()
		eventually(t, "the new certificate is served", func() bool { return rig.serial() == want })
	}

	cert, key := rig.ca.issue(t, 3, year)
	writeFile(t, certFile, cert) // in two steps: in between the pair does not match
	writeFile(t, keyFile, key)
	becomes(3)

	cert, key = rig.ca.issue(t, 4, year) // by rename, as certbot and cert-manager do
	writeFile(t, certFile+".new", cert)
	writeFile(t, keyFile+".new", key)
	for _, name := range []string{certFile, keyFile} {
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	becomes(4)

	bad := func(what, text string, change func()) {
		t.Helper()
		before := strings.Count(rig.log.String(), text)
		change()
		eventually(t, what+" is said", func() bool { return strings.Count(rig.log.String(), text) > before })
		if got := rig.serial(); got != 4 {
			t.Errorf("%s: certificate %d is served", what, got)
		}
	}
	bad("garbage", "malformed certificate", func() {
		writeFile(t, certFile, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	})
	bad("an empty file", "is empty", func() { writeFile(t, certFile, nil); writeFile(t, keyFile, nil) })
	bad("a missing file", "no such file", func() { _ = os.Remove(certFile) })
	bad("an expired certificate", "has expired, the one in use has not", func() {
		cert, key := rig.ca.issue(t, 5, time.Now().Add(-time.Hour))
		writeFile(t, keyFile, key)
		writeFile(t, certFile, cert)
	})
	mustContain(t, rig.log.String(), "the last good ones stay in use")
	folded := strings.Count(rig.log.String(), "has expired, the one in use has not")
	time.Sleep(5 * rig.srvOpts.certificatePoll) // several polls of the same bad files
	if n := strings.Count(rig.log.String(), "has expired, the one in use has not"); n != folded {
		t.Errorf("one error was logged %d times", n)
	}
	if _, err := rig.reload(rig.srvOpts); err == nil {
		t.Error("a reload took the expired certificate")
	}

	cert, key = rig.ca.issue(t, 6, year)
	writeFile(t, certFile, cert)
	writeFile(t, keyFile, key)
	becomes(6)
	if got := rig.server.CertificateNotAfter(); got.Unix() != year.Unix() {
		t.Errorf("not after %v, want %v", got, year)
	}
}

func TestBadCertificateAtStart(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.write(t, dir, 2, time.Now().AddDate(1, 0, 0))
	_, otherKey := ca.write(t, t.TempDir(), 3, time.Now().AddDate(1, 0, 0))
	empty := filepath.Join(dir, "empty.pem")
	writeFile(t, empty, nil)
	for _, c := range []struct{ cert, key, ca, want string }{
		{cert, otherKey, "", "is not the key of the certificate"},
		{cert, filepath.Join(dir, "absent.pem"), "", "no such file"},
		{empty, key, "", "is empty"},
		{cert, key, empty, "is empty"},
		{cert, key, filepath.Join(dir, "absent.pem"), "no such file"},
	} {
		_, err := NewServer(ServerOptions{Listen: []string{"127.0.0.1:0"}, TLSCert: c.cert, TLSKey: c.key, ClientCAFile: c.ca}, http.NotFoundHandler())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want an error with %q, got %v", c.want, err)
		}
	}
}

func TestExpiryWarning(t *testing.T) {
	t.Parallel()
	clock, logs, ca := &fakeClock{now: time.Now()}, &logBuffer{}, newAuthority(t)
	cert, key := ca.write(t, t.TempDir(), 2, time.Now().Add(pemfile.ExpiryNotice+6*24*time.Hour))
	certs := &certificates{log: logs.logger(), now: clock.Now}
	apply, err := certs.prepare(files{cert: cert, key: key})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	lines := func(text string) int { return strings.Count(logs.String(), text) }
	for day := range 28 {
		for range 24 {
			certs.poll()
			clock.Advance(time.Hour)
		}
		soon, over := lines("expires soon"), lines("has expired")
		if wantSoon := min(max(0, day-5), 21); soon < wantSoon || soon > wantSoon+1 || (over > 0) != (day >= 27) {
			t.Errorf("day %d: %d warnings, %d errors", day, soon, over)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	clients := newAuthority(t)
	rig := newRig(t, func(_ *Options, s *ServerOptions) {
		s.ClientCAFile = filepath.Join(t.TempDir(), "clients.pem")
		writeFile(t, s.ClientCAFile, clients.pem())
	})
	pair := func(a *authority) tls.Certificate {
		cert, key := a.issue(t, 7, time.Now().AddDate(1, 0, 0))
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	good := rig.client(true, pair(clients))
	if status, _ := send(t, good, delivery(t, rig.url(), payload("sig_1", time.Now()))); status != 200 {
		t.Errorf("a known client is answered %d", status)
	}
	for name, client := range map[string]*http.Client{"without": rig.client(true), "with a stranger's": rig.client(true, pair(newAuthority(t)))} {
		resp, err := client.Do(delivery(t, rig.url(), payload("sig_2", time.Now())))
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("a client %s certificate is answered %d", name, resp.StatusCode)
		}
	}
	opts := rig.srvOpts
	opts.ClientCAFile = ""
	if _, err := rig.reload(opts); err != nil {
		t.Fatal(err)
	}
	if status, _ := send(t, rig.client(true), delivery(t, rig.url(), payload("sig_3", time.Now()))); status != 200 {
		t.Errorf("after client_ca_file was taken away a client is answered %d", status)
	}
}

func TestPlaintextOnTLSPort(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(delivery(t, "http://"+rig.addr()+testPath, payload("sig_1", time.Now())))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || !strings.Contains(string(body), "HTTP request to an HTTPS server") {
		t.Errorf("answered %d %q", resp.StatusCode, body)
	}
	if len(rig.queue.taken()) != 0 {
		t.Error("a delivery in plaintext was taken")
	}
}

// TestHandshakesAreCounted: a client that comes back with its session costs no signature, and is told apart.
func TestHandshakesAreCounted(t *testing.T) {
	t.Parallel()
	rig := newRig(t, nil)
	sessions := tls.NewLRUClientSessionCache(1)
	for range 3 {
		conn, err := tls.Dial("tcp", rig.addr(), &tls.Config{RootCAs: rig.ca.pool(), ClientSessionCache: sessions, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	m := rig.server.metrics
	eventually(t, "the counts", func() bool {
		return testutil.ToFloat64(m.fullHandshakes) == 1 && testutil.ToFloat64(m.resumedHandshakes) == 2
	})
}
