package tlsclient_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linuxguard/linuxguard-bridge/bridge/setting"
	"github.com/linuxguard/linuxguard-bridge/outputs"
	"github.com/linuxguard/linuxguard-bridge/outputs/tlsclient"
)

// authority signs certificates for one test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes NAME.pem and NAME.key for a certificate that ends after life.
func (a *authority) issue(name string, life time.Duration) (cert, key string) {
	a.t.Helper()
	private := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", keyDER)
}

const year = 365 * 24 * time.Hour

// handshake runs settings against a server with the given certificate that demands client certificates of a.
func (a *authority) handshake(s *tlsclient.Settings, name, certFile, keyFile string) (tls.ConnectionState, error) {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test is over
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := listener.Accept(); err == nil {
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}
	}()
	config, err := s.Config(name, time.Now)
	if err != nil {
		_ = listener.Close()
		<-served
		return tls.ConnectionState{}, err
	}
	conn, err := tls.Dial("tcp", listener.Addr().String(), config)
	if err != nil {
		<-served
		return tls.ConnectionState{}, err
	}
	state := conn.ConnectionState()
	_ = conn.Close()
	<-served
	return state, nil
}

func TestWhoThePeerIs(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("siem.example.com", year)
	der, _ := os.ReadFile(cert)
	block, _ := pem.Decode(der)
	print := tlsclient.Fingerprint(block.Bytes)
	other := "sha-256:" + strings.Repeat("00:", 31) + "00"
	for _, c := range []struct {
		name     string
		settings tlsclient.Settings
		wantErr  string
	}{
		{"by the address", tlsclient.Settings{CAFile: setting.ReadFile(a.file)}, ""},
		{"by server_name", tlsclient.Settings{CAFile: setting.ReadFile(a.file), ServerName: "siem.example.com"}, ""},
		{"another name", tlsclient.Settings{CAFile: setting.ReadFile(a.file), ServerName: "evil.example.com"}, "evil.example.com"},
		{"unknown authority", tlsclient.Settings{}, "unknown authority"},
		{"not verified", tlsclient.Settings{TLSSkipVerify: true}, ""},
		{"fingerprint alone", tlsclient.Settings{PeerFingerprints: []string{other, print}}, ""},
		{"fingerprint in rsyslog's spelling", tlsclient.Settings{PeerFingerprints: []string{"SHA256" + strings.TrimPrefix(print, "sha-256")}}, ""},
		{"another fingerprint", tlsclient.Settings{PeerFingerprints: []string{other}}, print},
		{"fingerprint, but another name", tlsclient.Settings{CAFile: setting.ReadFile(a.file), ServerName: "x", PeerFingerprints: []string{print}}, "x509"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.handshake(&c.settings, "127.0.0.1", cert, key)
			if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("handshake: %v, want an error with %q", err, c.wantErr)
			}
		})
	}
}

func TestFilesAreReadAtEveryConnect(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	serverCert, serverKey := a.issue("siem.example.com", year)
	s := &tlsclient.Settings{CAFile: setting.ReadFile(a.file)}
	clientCert, clientKey := a.issue("client", year)
	s.CertFile, s.KeyFile = setting.ReadFile(clientCert), setting.ReadFile(clientKey)
	if _, err := a.handshake(s, "127.0.0.1", serverCert, serverKey); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(clientCert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.handshake(s, "127.0.0.1", serverCert, serverKey); err == nil || !strings.Contains(err.Error(), "cert_file") {
		t.Errorf("with a damaged file: %v, want an error that names cert_file", err)
	}
	a.issue("client", year)
	if _, err := a.handshake(s, "127.0.0.1", serverCert, serverKey); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}

func TestCheckNamesTheKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("client", year)
	_, foreignKey := a.issue("other", year)
	empty := filepath.Join(a.dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings tlsclient.Settings
		wantKeys string
	}{
		{tlsclient.Settings{}, ""},
		{tlsclient.Settings{CAFile: setting.ReadFile(a.file), CertFile: setting.ReadFile(cert), KeyFile: setting.ReadFile(key), ServerName: "10.0.0.1"}, ""},
		{tlsclient.Settings{CAFile: "/nonexistent"}, "ca_file"},
		{tlsclient.Settings{CAFile: setting.ReadFile(empty)}, "ca_file"},
		{tlsclient.Settings{CertFile: setting.ReadFile(cert)}, "key_file"},
		{tlsclient.Settings{KeyFile: setting.ReadFile(key)}, "cert_file"},
		{tlsclient.Settings{CertFile: setting.ReadFile(cert), KeyFile: "/nonexistent"}, "key_file"},
		{tlsclient.Settings{CertFile: setting.ReadFile(cert), KeyFile: setting.ReadFile(foreignKey)}, "key_file"},
		{tlsclient.Settings{ServerName: "host:6514"}, "server_name"},
		{tlsclient.Settings{PeerFingerprints: []string{"md5:00"}}, "peer_fingerprints"},
		{tlsclient.Settings{PeerFingerprints: []string{"sha-256:00"}}, "peer_fingerprints"},
		{tlsclient.Settings{TLSSkipVerify: true, CAFile: setting.ReadFile(a.file), ServerName: "a:b"}, "server_name tls_skip_verify"},
	} {
		problems, _ := c.settings.Check(time.Now())
		var keys []string
		for _, p := range problems {
			var keyErr *outputs.KeyError
			if !errors.As(p, &keyErr) {
				t.Fatalf("%v is no KeyError", p)
			}
			keys = append(keys, keyErr.Key)
		}
		if got := strings.Join(keys, " "); got != c.wantKeys {
			t.Errorf("%+v: problems with %q, want %q (%v)", c.settings, got, c.wantKeys, problems)
		}
	}
}

func TestExpiryIsSaidBeforeItBites(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := &tlsclient.Settings{CAFile: setting.ReadFile(a.file)}
	clientCert, clientKey := a.issue("client", 40*24*time.Hour)
	s.CertFile, s.KeyFile = setting.ReadFile(clientCert), setting.ReadFile(clientKey)
	now := time.Now()
	e := tlsclient.NewExpiry(s, func() time.Time { return now })
	expect := func(want string) {
		t.Helper()
		var status outputs.Status
		e.Tell(&status)
		var texts []string
		for _, c := range status.Certificates {
			texts = append(texts, c.Where+": "+c.Text)
		}
		got := strings.Join(texts, "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("at %v: warnings %q, want %q", now, got, want)
		}
	}
	expect("")
	now = now.Add(25 * 24 * time.Hour)
	expect("in 14 days")
	now = now.Add(16 * 24 * time.Hour)
	expect("has expired")
	a.issue("client", year)
	now = now.Add(time.Minute)
	expect("")

	serverCert, serverKey := a.issue("siem.example.com", 42*24*time.Hour)
	state, err := a.handshake(&tlsclient.Settings{CAFile: setting.ReadFile(a.file)}, "127.0.0.1", serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	e.SetPeer("tls://siem.example.com:6514", state)
	expect("tls://siem.example.com:6514: the certificate of")
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := &tlsclient.Settings{TLSSkipVerify: true}
	clientCert, clientKey := a.issue("client", year)
	s.CertFile, s.KeyFile = setting.ReadFile(clientCert), setting.ReadFile(clientKey)
	if err := os.Chmod(clientKey, 0o644); err != nil {
		t.Fatal(err)
	}
	problems, warnings := s.Check(time.Now())
	if len(problems) > 0 || len(warnings) != 2 || warnings[0].Key != "tls_skip_verify" || warnings[1].Key != "key_file" {
		t.Errorf("problems %v, warnings %v", problems, warnings)
	}
}
